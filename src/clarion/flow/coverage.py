"""Which channels of a tenant have an integration, cached until its integrations change."""

from __future__ import annotations

from collections.abc import Mapping

from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.setup import Integration, Workflow
from clarion.model.submission import Notice
from clarion.rules.coverage import missing, served


class Coverage:
    """The covered channels of each tenant. It is asked for every event and every run."""

    def __init__(self, setup: SetupView) -> None:
        self._setup = setup
        self._served: dict[TenantId, tuple[Mapping[str, Integration], frozenset[Channel]]] = {}

    def served(self, tenant: TenantId) -> frozenset[Channel]:
        """The channels that at least one enabled integration serves."""
        integrations = self._setup.integrations.all(tenant)
        known = self._served.get(tenant)
        if known is None or known[0] is not integrations:
            known = self._served[tenant] = integrations, served(integrations.values())
        return known[1]

    def missing(self, tenant: TenantId) -> dict[str, tuple[Channel, ...]]:
        """Workflows with channels that no integration serves."""
        found = {
            key: missing(workflow, self.served(tenant))
            for key, workflow in self._setup.workflows.all(tenant).items()
        }
        return {key: channels for key, channels in found.items() if channels}

    def notices(self, tenant: TenantId, workflow: Workflow) -> tuple[Notice, ...]:
        """What the caller of a workflow should know."""
        channels = missing(workflow, self.served(tenant))
        if not channels:
            return ()
        return tuple(
            Notice(
                code="no_integration",
                detail=f"No integration serves `{channel}`: its messages of {workflow.key!r} wait until there is one "
                "(PUT /v1/integrations/{key}).",
            )
            for channel in channels
        )
