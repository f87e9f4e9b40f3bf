"""A set-up in the making: what the documents of one tenant would be after some changes. In memory; nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

from msgspec.structs import replace

from clarion.flow.setup_view import DocumentsView, SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import DocumentNow, Partial, SetupDelta, Template, TemplateDraft, Tenant
from clarion.ports.ledger import SetupStore
from clarion.ports.ledger.setup import Document

D = TypeVar("D", bound=Document)
Kept = Callable[[DocumentNow[Any]], None]


async def staged(setup: SetupView, tenant: TenantId) -> SetupView:
    """A set-up that begins with what this tenant has, and whose changes nobody else sees."""
    view = SetupView(cast(SetupStore, StagedSetup(setup, tenant)))
    await view.catch_up()
    return view


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
