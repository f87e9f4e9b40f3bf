"""Checks the data of an event against the schemas of the templates its workflow uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import structlog

from clarion.content.templates.schema import Mismatch, Schema, SchemaRefused
from clarion.errors import InvalidData
from clarion.flow.intake.recipients import WorkflowTrigger
from clarion.flow.setup_view import SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import Template

log = structlog.get_logger(__name__)

_decode = msgspec.json.Decoder().decode


class Compiled(msgspec.Struct, frozen=True):
    """The schemas of a tenant's live templates; those without one are not in it."""

    templates: Mapping[str, Template]
    schemas: Mapping[str, tuple[Template, Schema]]


class Schemas:
    """Compiles the schema of each template version once, and checks events against it."""

    def __init__(self, setup: SetupView) -> None:
        self._setup = setup
        self._compiled: dict[TenantId, Compiled] = {}

    def check(self, tenant: TenantId, targets: Iterable[WorkflowTrigger], data: msgspec.Raw) -> None:
        """Raises InvalidData with every mismatch. Costs two look-ups when no template has a schema."""
        schemas = self._of(tenant)
        if not schemas:
            return
        wanted = {
            template: schemas[template][1]
            for target in targets
            for template in target.workflow.templates()
            if template in schemas
        }
        if not wanted:
            return
        found: dict[Mismatch, None] = {}
        decoded, size = _decode(data), len(memoryview(data))
        for schema in wanted.values():
            found.update(dict.fromkeys(schema.mismatches(decoded, size)))
        if found:
            raise InvalidData(
                f"The data is not what the template {next(iter(wanted))!r} needs"
                if len(wanted) == 1
                else f"The data is not what the templates {', '.join(map(repr, wanted))} need",
                [(f"#/data{m.pointer}", m.detail) for m in found],
            )

    def _of(self, tenant: TenantId) -> Mapping[str, tuple[Template, Schema]]:
        templates = self._setup.templates.all(tenant)
        known = self._compiled.get(tenant)
        if known is None or known.templates is not templates:
            before = known.schemas if known is not None else {}
            schemas = {
                key: entry
                for key, template in templates.items()
                if template.data_schema is not None and (entry := _entry(template, before.get(key)))
            }
            known = self._compiled[tenant] = Compiled(templates, schemas)
        return known.schemas


def _entry(template: Template, before: tuple[Template, Schema] | None) -> tuple[Template, Schema] | None:
    """The template with its compiled schema; that of before when it is the same version."""
    if before is not None and before[0] is template:
        return before
    try:
        return template, Schema(template.data_schema or {})
    except SchemaRefused as refused:
        # It was accepted when it was published: rather send than refuse every event.
        log.error("schema_unusable", template=template.key, version=template.version, error=str(refused))
        return None
