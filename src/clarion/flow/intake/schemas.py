"""Checks what comes with an event: its data against the schemas of its workflow and of the templates that uses, and
attributes of recipients against what the tenant says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import structlog

from clarion.content.templates.schema import Mismatch, Schema, SchemaRefused
from clarion.errors import InvalidData
from clarion.flow.intake.recipients import WorkflowTrigger
from clarion.flow.setup_view import SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import Template, Workflow
from clarion.rules import attributes

log = structlog.get_logger(__name__)

_decode = msgspec.json.Decoder().decode


Owner = TypeVar("Owner", Template, Workflow)
Owned = Mapping[str, tuple[Owner, Schema]]
"""By key: what has a schema, and that."""


class Compiled(msgspec.Struct, frozen=True):
    """The schemas of a tenant's live templates and workflows; those without one are not in it."""

    templates: Mapping[str, Template]
    workflows: Mapping[str, Workflow]
    of_templates: Owned[Template]
    of_workflows: Owned[Workflow]


class Schemas:
    """Compiles the schema of each version of a template or workflow once, and checks events against it."""

    def __init__(self, setup: SetupView) -> None:
        self._setup = setup
        self._compiled: dict[TenantId, Compiled] = {}

    def check(self, tenant: TenantId, targets: Sequence[WorkflowTrigger], data: msgspec.Raw) -> None:
        """Raises InvalidData with every mismatch. Costs a few look-ups when nothing has a schema."""
        for target in targets:
            for recipient, place in target.placed_inline():
                attributes.check(self._setup.tenants.all()[tenant], recipient.attributes or {}, place)
        known = self._of(tenant)
        if not known.of_templates and not known.of_workflows:
            return
        wanted: dict[str, Schema] = {}
        for target in targets:
            if (own := known.of_workflows.get(target.workflow.key)) is not None:
                wanted[f"the workflow {target.workflow.key!r}"] = own[1]
            for template in target.workflow.templates():
                if (entry := known.of_templates.get(template)) is not None:
                    wanted[f"the template {template!r}"] = entry[1]
        if not wanted:
            return
        found: dict[Mismatch, None] = {}
        decoded, size = _decode(data), len(memoryview(data))
        for schema in wanted.values():
            found.update(dict.fromkeys(schema.mismatches(decoded, size)))
        if found:
            need = "need" if len(wanted) > 1 else "needs"
            raise InvalidData(
                f"The data is not what {' and '.join(wanted)} {need}",
                [(f"#/data{m.pointer}", m.detail) for m in found],
            )

    def _of(self, tenant: TenantId) -> Compiled:
        templates, workflows = self._setup.templates.all(tenant), self._setup.workflows.all(tenant)
        known = self._compiled.get(tenant)
        if known is None or known.templates is not templates or known.workflows is not workflows:
            known = self._compiled[tenant] = Compiled(
                templates,
                workflows,
                _owned(templates, known.of_templates if known is not None else {}),
                _owned(workflows, known.of_workflows if known is not None else {}),
            )
        return known


def _owned(live: Mapping[str, Owner], before: Owned[Owner]) -> Owned[Owner]:
    return {
        key: entry
        for key, document in live.items()
        if document.data_schema is not None and (entry := _entry(document, before.get(key)))
    }


def _entry(document: Owner, before: tuple[Owner, Schema] | None) -> tuple[Owner, Schema] | None:
    """The document with its compiled schema; that of before when it is the same version."""
    if before is not None and before[0] is document:
        return before
    try:
        return document, Schema(document.data_schema or {})
    except SchemaRefused as refused:
        # It was accepted when it was published: rather send than refuse every event.
        log.error("schema_unusable", key=document.key, version=document.version, error=str(refused))
        return None
