"""Sends failed messages again when a user of the API asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from clarion.errors import InvalidInput
from clarion.flow.ledger import Ledger
from clarion.model.ids import MessageId, TenantId
from clarion.model.message import MessageFilter
from clarion.ports.clock import Clock

TemplateVersion = Literal["live", "planned"] | int
"""With which version of its template a message is sent: the one that is live now, the one it has, or an exact one."""


class Retries:
    """Retries failed messages on request. There is no other way to send a message again."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._records = ledger.records
        self._templates = ledger.setup.templates
        self._clock = clock

    async def retry(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        limit: int,
        template_version: TemplateVersion,
    ) -> frozenset[MessageId]:
        """Put messages that failed back with fresh attempts; which (at most `limit`).

        A message whose template is not live any more keeps the version it has.
        """
        versions = await self.versions(tenant, ids, template_version)
        return await self._records.requeue(tenant, where, ids, self._clock.now(), limit, versions)

    async def versions(
        self, tenant: TenantId, ids: Sequence[MessageId] | None, wanted: TemplateVersion
    ) -> Mapping[str, int]:
        """The version of each template that a retry of `ids` (None: of whatever matches) sends."""
        if wanted == "planned":
            return {}
        if wanted == "live":
            return {key: one.version for key, one in self._templates.all(tenant).items()}
        if ids is None:
            raise InvalidInput(
                "a version number needs `ids`, because each template counts its own versions. Send `ids`, or send "
                "`live` or `planned`.",
                pointer="#/template_version",
            )
        found = [await self._records.get(tenant, number) for number in ids]
        versions = {message.template: wanted for message in found if message is not None}
        for template in versions:
            if await self._templates.version(tenant, template, wanted) is None:
                raise InvalidInput(
                    f"the template {template!r} has no version {wanted}.", pointer="#/template_version"
                )
        return versions
