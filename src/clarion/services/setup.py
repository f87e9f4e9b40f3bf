"""What a tenant configures: documents that are live at once, and its own defaults. Templates are published by `templates`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from clarion.errors import NotFound
from clarion.flow.setup_view import DocumentsView, SetupView
from clarion.model.audience import Segment
from clarion.model.connection import Connection, Secret
from clarion.model.ids import TenantId
from clarion.model.setup import AwaitedEvent, Category, Integration, Template, Tenant, Workflow
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.rules.match import nearest

Waiting = Callable[[TenantId, str], Awaitable[Mapping[str, Mapping[tuple[int, str], int]]]]
D = TypeVar("D", Category, Workflow, Template, Integration, Source, Sink, Segment, Secret, Connection)


class SetupService:
    """Stores documents that the caller has validated."""

    def __init__(self, setup: SetupView, waiting: Waiting) -> None:
        """`waiting`: see `ports.ledger.Runs.waiting`."""
        self._setup = setup
        self._waiting = waiting
        self._stores: dict[type, DocumentsView[Any]] = {
            Category: setup.categories,
            Workflow: setup.workflows,
            Template: setup.templates,
            Integration: setup.integrations,
            Source: setup.sources,
            Sink: setup.sinks,
            Segment: setup.segments,
            Secret: setup.secrets,
            Connection: setup.connections,
        }

    async def put(self, tenant: TenantId, document: D, before: D | None) -> D:
        """Create or replace. `before`: what it was made from; Conflict when something else is live by now."""
        said: Any = document
        if isinstance(document, Workflow):
            said = await self._with_earlier_events(tenant, document)
        stored: D = await self._stores[type(document)].put(tenant, said, before=before)
        return stored

    async def _with_earlier_events(self, tenant: TenantId, workflow: Workflow) -> Workflow:
        """The workflow, which says what runs of its earlier versions still listen for: those that wait, and those of the
        live one that are about to."""
        workflows = self._setup.workflows
        live = workflows.all(tenant).get(workflow.key)
        waiting = (await self._waiting(tenant, workflow.key)).get(workflow.key, {})
        versions = {version for version, _ in waiting}
        older = [live, *[await workflows.version(tenant, workflow.key, one) for one in versions]]
        listening = (event for one in older if one is not None for event in one.awaited())
        earlier = {(event.type, event.by): AwaitedEvent(type=event.type, by=event.by) for event in listening}
        for event in workflow.awaited():
            earlier.pop((event.type, event.by), None)
        return replace(workflow, earlier_events=tuple(earlier.values()))

    async def delete(self, tenant: TenantId, kind: type[D], key: str) -> None:
        """Raises NotFound with the nearest key when there is no such document."""
        store = self._stores[kind]
        if not await store.delete(tenant, key):
            noun = kind.__name__.lower()
            raise NotFound(f"There is no {noun} {key!r}. {nearest(key, store.all(tenant))}".rstrip())

    async def create_tenant(self, tenant: Tenant) -> Tenant:
        """With the id that the store gives it, and the integration for its inbox."""
        return await self._setup.tenants.put(tenant)

    async def change_tenant(self, tenant: TenantId, to: Callable[[Tenant], Tenant]) -> Tenant:
        """Store `to(what is stored)`, so that no other change is lost. `to` may run more than once."""
        return await self._setup.tenants.change(tenant, to)
