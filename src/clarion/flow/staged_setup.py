"""A configuration in the making: what the documents and schedules of one tenant would be after some changes. In memory, until all
of them are stored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Generic, TypeVar, cast

from msgspec.structs import replace

from clarion.flow.ledger import Ledger
from clarion.flow.setup_view import DocumentsView, SetupView
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange, ScheduleRow
from clarion.model.setup import DocumentNow, Partial, SetupDelta, Template, TemplateDraft, Tenant
from clarion.ports.ledger import Schedules, SetupStore
from clarion.ports.ledger.setup import Document

D = TypeVar("D", bound=Document)
Kept = Callable[[DocumentNow[Any]], None]
PAGE = 500
"""Schedules read at once."""


class StagedLedger:
    """A ledger whose set-up and schedules begin with what this tenant has, and whose changes to them nobody else sees."""

    def __init__(self, live: Ledger, staged: StagedSetup, schedules: StagedSchedules) -> None:
        self._live = live
        self._staged = staged
        self._schedules = schedules
        self.ledger = copy(live)
        self.ledger.setup = SetupView(cast(SetupStore, staged))
        self.ledger.schedules = schedules

    @classmethod
    async def of(cls, live: Ledger, tenant: TenantId) -> StagedLedger:
        """As it is now."""
        schedules = StagedSchedules(await _every(live.schedules, tenant))
        made = cls(live, StagedSetup(live.setup, tenant), schedules)
        await made.ledger.setup.catch_up()
        return made

    async def store(self) -> None:
        """Make all changes in one transaction. Conflict when anything in the set-up is another by now."""
        await self._live.setup.apply(self._staged.changes(), self._schedules.changes())


class StagedDocuments(Generic[D]):
    """Implements `ports.ledger.DocumentStore`. Only its owner writes here, so nothing can have changed meanwhile."""

    def __init__(self, live: DocumentsView[D], tenant: TenantId, keep: Kept) -> None:
        self._before = live
        self._keep = keep
        self.now: dict[str, D] = dict(live.all(tenant))

    async def put(self, tenant: TenantId, document: D, *, before: D | None = None, fresh: bool = False) -> D:
        old = self.now.get(document.key)
        if hasattr(document, "version"):
            document = replace(document, version=getattr(old, "version", 0) + 1)  # type: ignore[type-var]
        self.now[document.key] = document
        self._keep(DocumentNow(tenant, document.key, document))
        return document

    async def delete(self, tenant: TenantId, key: str) -> bool:
        if self.now.pop(key, None) is None:
            return False
        self._keep(DocumentNow(tenant, key, None))
        return True

    async def version(self, tenant: TenantId, key: str, version: int) -> D | None:
        return await self._before.version(tenant, key, version)

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[D]:
        return await self._before.versions(tenant, key, before, limit)


class StagedSetup:
    """Implements `ports.ledger.SetupStore`, with every kind of document that the set-up has."""

    def __init__(self, setup: SetupView, tenant: TenantId) -> None:
        self._tenant = tenant
        self._live = setup
        self._seen = setup.revision
        self._tenants = {tenant: setup.tenants.all()[tenant]}
        self._changed: list[tuple[str, DocumentNow[Any]]] = []
        self._kinds: dict[str, StagedDocuments[Any]] = {}
        for name, view in vars(setup).items():
            if isinstance(view, DocumentsView):
                self._kinds[name] = StagedDocuments(view, tenant, self._keeper(name))
                setattr(self, name, self._kinds[name])
        self.tenants = self
        self.keys = setup.keys

    def _keeper(self, name: str) -> Kept:
        return lambda changed: self._changed.append((name, changed))

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        """See `ports.ledger.Tenants.put`."""
        self._tenants[tenant.id] = tenant
        return tenant

    async def delta(self, after: int) -> SetupDelta:
        """Everything at first, then what changed."""
        if not after:
            changed = [
                (name, DocumentNow(self._tenant, key, document))
                for name, kind in self._kinds.items()
                for key, document in kind.now.items()
            ]
        else:
            changed = self._changed[after - 1 :]
        by_kind: dict[str, list[DocumentNow[Any]]] = {name: [] for name in self._kinds}
        for name, one in changed:
            by_kind[name].append(one)
        return SetupDelta(
            after=after,
            revision=1 + len(self._changed),
            tenants=tuple(self._tenants.values()),
            **{name: tuple(found) for name, found in by_kind.items()},
        )

    def changes(self) -> SetupDelta:
        """Everything that is another now than in the beginning."""
        last = {(name, one.key): one for name, one in self._changed}
        by_kind: dict[str, list[DocumentNow[Any]]] = {}
        for (name, _), one in last.items():
            by_kind.setdefault(name, []).append(one)
        return SetupDelta(
            after=self._seen,
            revision=self._seen,
            tenants=tuple(
                one for one in self._tenants.values() if one != self._live.tenants.all().get(one.id)
            ),
            **{name: tuple(found) for name, found in by_kind.items()},
        )

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
        basis: object = None,
    ) -> Sequence[Template]:
        """See `ports.ledger.SetupStore.release`."""
        if partial is not None:
            await self._kinds["partials"].put(tenant, partial)
        return [await self._kinds["templates"].put(tenant, template) for template in templates]


class StagedSchedules:
    """Implements `ports.ledger.Schedules`. Only its owner writes here."""

    def __init__(self, rows: Sequence[ScheduleRow]) -> None:
        self._before = {row.key: row for row in rows}
        self._now = dict(self._before)

    async def put(self, row: ScheduleRow, after: int | None) -> bool:
        self._now[row.key] = row
        return True

    async def get(self, tenant: TenantId, key: str) -> ScheduleRow | None:
        return self._now.get(key)

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[ScheduleRow]:
        return [self._now[key] for key in sorted(self._now) if key > after][:limit]

    async def drop(self, tenant: TenantId, key: str) -> bool:
        return self._now.pop(key, None) is not None

    async def due(self, now: Instant, limit: int) -> Sequence[ScheduleRow]:
        """Nothing fires here."""
        return ()

    def changes(self) -> Sequence[ScheduleChange]:
        """Every schedule that is another now than in the beginning. One that was deleted and is there again is deleted first."""
        found: list[ScheduleChange] = []
        for key, before in self._before.items():
            now = self._now.get(key)
            if now is None or now.id != before.id:
                found.append(ScheduleChange(tenant=before.tenant, key=key, row=None))
        for key, row in self._now.items():
            was = self._before.get(key)
            if row is not was:
                after = was.revision if was is not None and was.id == row.id else None
                found.append(ScheduleChange(tenant=row.tenant, key=key, row=row, after=after))
        return found


async def _every(schedules: Schedules, tenant: TenantId) -> Sequence[ScheduleRow]:
    rows: list[ScheduleRow] = []
    while page := await schedules.page(tenant, rows[-1].key if rows else "", PAGE):
        rows += page
        if len(page) < PAGE:
            break
    return rows
