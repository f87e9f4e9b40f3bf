"""The set-up as this process sees it: all of it in memory, read without waiting, and kept up by the store's revisions.

Every revision is one change, whoever makes it. A view knows up to which one it has seen everything, and asks the store
for what changed behind it: after each change of its own, when somebody may have been faster, and now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

import structlog

from clarion.errors import Conflict, PreconditionFailed, Unavailable
from clarion.model.audience import Segment
from clarion.model.connection import Connection, Secret
from clarion.model.ids import TenantId
from clarion.model.schedule import ScheduleChange
from clarion.model.setup import (
    Category,
    DocumentNow,
    Integration,
    Learned,
    Partial,
    ReleaseBasis,
    SetupDelta,
    Template,
    TemplateDraft,
    Tenant,
    Workflow,
)
from clarion.model.sink import Sink
from clarion.model.source import Source
from clarion.model.whatsapp import WhatsAppTemplates
from clarion.ports import terms
from clarion.ports.clock import Clock
from clarion.ports.ledger import ApiKeyStore, DocumentStore, SetupStore, Tenants
from clarion.ports.ledger.setup import Document

log = structlog.get_logger(__name__)

NO_VERSION = 2**62
"""Above every version."""
LOOK_EVERY_S = 1.0
"""How long a change that another process made may stay unseen here."""


T = TypeVar("T")
D = TypeVar("D", bound=Document)


class SetupView:
    """All configuration of all tenants. Writes go through to the store, and are seen here when they return."""

    def __init__(self, store: SetupStore) -> None:
        self._store = store
        self.revision = 0
        """Up to here every change is seen."""
        self._asking = asyncio.Lock()
        self.tenants = TenantsView(store.tenants, self)
        self.categories: DocumentsView[Category] = DocumentsView(store.categories, self)
        self.workflows: DocumentsView[Workflow] = DocumentsView(store.workflows, self)
        self.templates: DocumentsView[Template] = DocumentsView(store.templates, self)
        self.drafts: DocumentsView[TemplateDraft] = DocumentsView(store.drafts, self)
        self.learned: DocumentsView[Learned] = DocumentsView(store.learned, self)
        """Of the installation: under tenant 0."""
        self.test_templates: DocumentsView[Template] = DocumentsView(store.test_templates, self)
        """What authors send to themselves, under keys of its own: never live."""
        self.partials: DocumentsView[Partial] = DocumentsView(store.partials, self)
        self.integrations: DocumentsView[Integration] = DocumentsView(store.integrations, self)
        self.whatsapp_templates: DocumentsView[WhatsAppTemplates] = DocumentsView(
            store.whatsapp_templates, self
        )
        """By the key of their integration."""
        self.sources: DocumentsView[Source] = DocumentsView(store.sources, self)
        self.sinks: DocumentsView[Sink] = DocumentsView(store.sinks, self)
        self.segments: DocumentsView[Segment] = DocumentsView(store.segments, self)
        self.secrets: DocumentsView[Secret] = DocumentsView(store.secrets, self)
        self.connections: DocumentsView[Connection] = DocumentsView(store.connections, self)
        self.keys: ApiKeyStore = store.keys

    async def catch_up(self, revision: int | None = None) -> None:
        """When this returns, everything up to this revision (None: everything) is seen here, whoever changed it."""
        async with self._asking:  # so that nothing old is shown after something newer
            if revision is None or revision > self.revision:
                self._show(await self._store.delta(self.revision))

    async def follow(self, clock: Clock) -> None:
        """See the changes of other processes soon, until cancelled."""
        changed = asyncio.Event()
        self._store.on_change(changed.set)
        while True:
            with suppress(TimeoutError):
                async with clock.timeout(LOOK_EVERY_S):
                    await changed.wait()
            changed.clear()
            try:
                await self.catch_up()
            except Unavailable:
                log.warning("setup_not_followed")

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
        basis: ReleaseBasis | None = None,
    ) -> Sequence[Template]:
        """See `ports.ledger.SetupStore.release`. After a Conflict this shows what is really live."""
        async with self.written():
            return await self._store.release(tenant, templates, partial=partial, draft=draft, basis=basis)

    async def apply(self, changes: SetupDelta, schedules: Sequence[ScheduleChange] = ()) -> None:
        """See `ports.ledger.SetupStore.apply`."""
        async with self.written():
            await self._store.apply(changes, schedules)

    def written(self) -> SetupWrite:
        """Around a write: what it changed is seen behind it, and what was in its way too."""
        return SetupWrite(self)

    def _show(self, delta: SetupDelta) -> None:
        whole = not delta.after
        self.tenants.show(delta.tenants, whole=whole)
        self.categories.show(delta.categories, whole=whole)
        self.workflows.show(delta.workflows, whole=whole)
        self.templates.show(delta.templates, whole=whole)
        self.drafts.show(delta.drafts, whole=whole)
        self.learned.show(delta.learned, whole=whole)
        self.test_templates.show(delta.test_templates, whole=whole)
        self.partials.show(delta.partials, whole=whole)
        self.integrations.show(delta.integrations, whole=whole)
        self.whatsapp_templates.show(delta.whatsapp_templates, whole=whole)
        self.sources.show(delta.sources, whole=whole)
        self.sinks.show(delta.sinks, whole=whole)
        self.segments.show(delta.segments, whole=whole)
        self.secrets.show(delta.secrets, whole=whole)
        self.connections.show(delta.connections, whole=whole)
        self.revision = delta.revision


class SetupWrite:
    """The end of a write to the set-up."""

    def __init__(self, view: SetupView) -> None:
        self._view = view

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, *fault: object) -> None:
        if kind is not None and not issubclass(kind, Conflict | PreconditionFailed):
            return
        if kind is None and terms.dry_running():
            return
        try:
            await self._view.catch_up()
        except Unavailable:
            log.warning("setup_not_followed")  # What is written is written: it is seen a little later.


class DocumentsView(Generic[D]):
    """Keyed documents of a tenant."""

    def __init__(self, store: DocumentStore[D], setup: SetupView) -> None:
        self._store = store
        self._setup = setup
        self._live: dict[TenantId, dict[str, D]] = {}

    def all(self, tenant: TenantId) -> Mapping[str, D]:
        """Every document by key: the live ones. The same mapping until something changes, then another one; do not
        mutate."""
        return self._live.get(tenant, {})

    async def put(self, tenant: TenantId, document: D, *, before: D | None = None, fresh: bool = False) -> D:
        """See `ports.ledger.DocumentStore.put`. After a Conflict `all` shows what is really live."""
        async with self._setup.written():
            return await self._store.put(tenant, document, before=before, fresh=fresh)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """See `ports.ledger.DocumentStore.delete`."""
        async with self._setup.written():
            return await self._store.delete(tenant, key)

    async def version(self, tenant: TenantId, key: str, version: int) -> D | None:
        """An exact version, live or old."""
        live = self.all(tenant).get(key)
        if live is not None and getattr(live, "version", 1) == version:
            return live
        if not 0 < version < NO_VERSION:
            return None  # nor would every store take every number
        return await self._store.version(tenant, key, version)

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[D]:
        """See `ports.ledger.DocumentStore.versions`."""
        return await self._store.versions(tenant, key, before, limit)

    def show(self, changed: Sequence[DocumentNow[D]], *, whole: bool) -> None:
        """These are live now; `whole`: and no others. What did not change stays the same object."""
        by_tenant: dict[TenantId, list[DocumentNow[D]]] = {}
        for one in changed:
            by_tenant.setdefault(one.tenant, []).append(one)
        for tenant in {*by_tenant, *self._live} if whole else by_tenant:
            before = self._live.get(tenant, {})
            # A new mapping each time: whoever walks the old one is not disturbed.
            after = {} if whole else dict(before)
            for one in by_tenant.get(tenant, ()):
                if one.document is None:
                    after.pop(one.key, None)
                elif before.get(one.key) == one.document:
                    after[one.key] = before[one.key]
                else:
                    after[one.key] = one.document
            if after != before:
                self._live[tenant] = after


class TenantsView:
    """The tenants of this installation."""

    def __init__(self, store: Tenants, setup: SetupView) -> None:
        self._store = store
        self._setup = setup
        self._all: dict[TenantId, Tenant] = {}

    def all(self) -> Mapping[TenantId, Tenant]:
        """By id, the oldest first. The same mapping until something changes; do not mutate."""
        return self._all

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        """See `ports.ledger.Tenants.put`. After a Conflict `all` shows what is really stored."""
        async with self._setup.written():
            return await self._store.put(tenant, before=before)

    async def change(self, tenant: TenantId, to: Callable[[Tenant], Tenant]) -> Tenant:
        """Store `to(what is stored)`, so that no other change is lost. What `to` raises is raised, and nothing is
        stored. `to` runs again when somebody else was faster: it looks at its argument only."""
        while True:
            before = self._all[tenant]
            try:
                return await self.put(to(before), before=before)
            except Conflict:
                if self._all[tenant] == before:
                    raise

    def show(self, changed: Sequence[Tenant], *, whole: bool) -> None:
        """These are stored now; `whole`: and no others."""
        if changed or whole:
            known = {**({} if whole else self._all), **{tenant.id: tenant for tenant in changed}}
            self._all = dict(sorted(known.items()))
