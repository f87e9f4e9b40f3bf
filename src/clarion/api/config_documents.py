"""Single documents of the configuration for pages, which neither know the routes nor how these check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.api import request_bodies
from clarion.api.auth import Identity
from clarion.api.config_kinds import BY_NAME, ConfigKind
from clarion.api.config_plan import ConfigBody, ConfigPlanner, in_terms
from clarion.api.config_schemas import schema_of
from clarion.api.dependencies import ApiParts
from clarion.api.faults import pointer
from clarion.api.problems import Fault
from clarion.api.stored_documents import shown
from clarion.errors import ClarionError
from clarion.model.conditions import Conditions
from clarion.model.ids import TenantId
from clarion.model.setup import Scope
from clarion.model.user import Value
from clarion.ports.configuration import CheckedDocument, DocumentFault, LiveDocument
from clarion.ports.terms import Subject, Terms


class ConfigDocuments:
    """Implements `ports.configuration.Configuration`."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    def schema(self, kind: str) -> Mapping[str, Any]:
        """See the port."""
        found = schema_of(kind, self._parts)
        assert found is not None
        return found

    async def live(
        self, tenant: TenantId, kind: str, key: str, version: int | None = None
    ) -> LiveDocument | None:
        """See the port."""
        of = BY_NAME[kind]
        tag = await self._parts.ledger.tag(_subject(tenant, of, key))
        if version is not None:
            old = await self._parts.ledger.setup.workflows.version(tenant, key, version)
            found = None if old is None else shown(of.document, old)
        else:
            found = (await of.live(_caller(tenant), self._parts)).get(key)
        return None if found is None else LiveDocument(written=of.written(found), tag=tag or "")

    async def keys(self, tenant: TenantId, kind: str) -> Sequence[str]:
        """See the port."""
        return sorted(await BY_NAME[kind].live(_caller(tenant), self._parts))

    async def check(
        self, tenant: TenantId, kind: str, key: str, written: Mapping[str, Any]
    ) -> CheckedDocument:
        """See the port."""
        planner = ConfigPlanner(_caller(tenant), self._parts)
        planned = await planner.plan(ConfigBody(documents={kind: {key: dict(written)}}))
        place = pointer(["documents", kind, key])
        document = _readable(written, BY_NAME[kind])
        return CheckedDocument(
            faults=tuple(_fault(one, place) for one in planned.plan.errors),
            document=document,
            written={} if document is None else BY_NAME[kind].written(document),
            changes=bool(planned.plan.changes),
            waiting_runs=planned.plan.changes[0].waiting_runs if planned.plan.changes else {},
        )

    async def publish(
        self, tenant: TenantId, kind: str, key: str, written: Mapping[str, Any], tag: str | None
    ) -> None:
        """See the port."""
        of, caller = BY_NAME[kind], _caller(tenant)
        document = request_bodies.convert(dict(written), of.document)
        match = Conditions(none_match=("*",)) if tag is None else Conditions(match=(f'"{tag}"',))
        terms = Terms(_subject(tenant, of, key), match, creates=True)
        await in_terms(terms, lambda: of.put(key, document, caller, self._parts))


def _caller(tenant: TenantId) -> Identity:
    return Identity(tenant=tenant, scope=Scope.ADMIN)


def _subject(tenant: TenantId, kind: ConfigKind, key: str) -> Subject:
    return Subject(tenant=tenant, kind=kind.noun, key=key)


def _readable(written: Mapping[str, Any], kind: ConfigKind) -> Value | None:
    try:
        return request_bodies.convert(dict(written), kind.document)
    except ClarionError:
        return None


def _fault(fault: Fault, place: str) -> DocumentFault:
    return DocumentFault(
        detail=fault.detail,
        pointer=fault.pointer.removeprefix(place),
        unknown_field=fault.code == "unknown_field",
    )
