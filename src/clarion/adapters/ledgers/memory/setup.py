"""The configuration of tenants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from clarion.adapters.ledgers.documents import SEGMENTS, changed_meanwhile
from clarion.adapters.ledgers.memory.schedules import change_schedule
from clarion.adapters.ledgers.memory.tables import Tables, having, lacking
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.errors import Conflict
from clarion.model.audience import Segment
from clarion.model.connection import Connection, Secret
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange
from clarion.model.setup import (
    INBOX,
    ApiKey,
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
from clarion.ports.ledger import SetupStore
from clarion.ports.ledger.setup import Document

D = TypeVar("D", bound=Document)
T = TypeVar("T")


class MemoryDocuments(Generic[D]):
    """Implements `ports.ledger.DocumentStore`. `versioned`: older versions are kept."""

    def __init__(
        self, kind: str, tables: Tables, transactions: Transactions, *, versioned: bool = False
    ) -> None:
        self._kind = kind
        self._tables = tables
        self._transactions = transactions
        self._versioned = versioned

    async def put(self, tenant: TenantId, document: D, *, before: D | None = None, fresh: bool = False) -> D:
        def put() -> D:
            if before is not None or fresh:
                self.require(tenant, document.key, before)
            return self.store(tenant, document)

        return await self._transactions.write(put)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return await self._transactions.write(lambda: self.discard(tenant, key))

    async def version(self, tenant: TenantId, key: str, version: int) -> D | None:
        found = [one for one in self._of(tenant, key) if getattr(one, "version", 1) == version]
        return found[0] if found else None

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[D]:
        found = [
            one for one in self._of(tenant, key) if before is None or getattr(one, "version", 1) < before
        ]
        return found[::-1][:limit]

    def _of(self, tenant: TenantId, key: str) -> tuple[D, ...]:
        return self._tables.versions.get((self._kind, tenant, key), ())

    def now(self) -> tuple[DocumentNow[D], ...]:
        """Everything that is live."""
        return tuple(
            DocumentNow(tenant, key, document)
            for (kind, tenant), documents in self._tables.documents.items()
            if kind == self._kind
            for key, document in documents.items()
        )

    # -- inside a transaction ---------------------------------------------------------------------------------

    def all(self, tenant: TenantId) -> Mapping[str, D]:
        """By key, what is live."""
        return self._tables.documents.get((self._kind, tenant), {})

    def store(self, tenant: TenantId, document: D) -> D:
        """The next version is live, or the document in place of what was there."""
        old = self._of(tenant, document.key) if self._versioned else ()
        if self._versioned:
            document = replace(document, version=len(old) + 1)  # type: ignore[type-var]
        self._tables.versions[self._kind, tenant, document.key] = (*old, document)
        self._tables.documents[self._kind, tenant] = having(self.all(tenant), document.key, document)
        self._tables.next("setup")
        return document

    def discard(self, tenant: TenantId, key: str) -> bool:
        """It is not live any more; whether it was."""
        was_live = key in self.all(tenant)
        if was_live:
            self._tables.documents[self._kind, tenant] = lacking(self.all(tenant), key)
        if not self._versioned:
            self._tables.versions.pop((self._kind, tenant, key), None)
        self._tables.next("setup")
        return was_live

    def require(self, tenant: TenantId, key: str, before: D | None) -> None:
        """Conflict unless exactly this is live, or nothing."""
        if self.all(tenant).get(key) != before:
            raise Conflict(
                f"the {self._kind} {key!r} was changed meanwhile: read it again and repeat the change"
            )

    def require_all(self, tenant: TenantId, seen: Mapping[str, D]) -> None:
        """Conflict unless exactly these are live."""
        for key in sorted({*self.all(tenant), *seen}):
            self.require(tenant, key, seen.get(key))


class MemoryTenants:
    """Implements `ports.ledger.Tenants`."""

    def __init__(
        self, tables: Tables, transactions: Transactions, integrations: MemoryDocuments[Integration]
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._integrations = integrations

    def all(self) -> Mapping[TenantId, Tenant]:
        """By id."""
        return self._tables.tenants.get("all", {})

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        def put() -> Tenant:
            if before is not None and self.all().get(tenant.id) != before:
                raise Conflict("the tenant was changed meanwhile: read it again and repeat the change")
            stored = self.store(tenant)
            if not tenant.id:
                self._integrations.store(stored.id, INBOX)
            return stored

        return await self._transactions.write(put)

    def store(self, tenant: Tenant) -> Tenant:
        """Inside a transaction."""
        if any(one.key == tenant.key and one.id != tenant.id for one in self.all().values()):
            raise Conflict(f"there is a tenant {tenant.key!r} already: choose another key", pointer="#/key")
        if not tenant.id:
            tenant = replace(tenant, id=TenantId(max(self.all(), default=0) + 1))
        self._tables.tenants["all"] = having(self.all(), tenant.id, tenant)
        self._tables.next("setup")
        return tenant


class MemoryKeys:
    """Implements `ports.ledger.Keys`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def find(self, hash: bytes) -> ApiKey | None:
        return next((key for key in self._tables.keys.values() if key.hash == hash), None)

    async def add(self, key: ApiKey) -> None:
        def add() -> None:
            self._tables.keys[key.tenant, key.id] = key

        await self._transactions.write(add)

    async def page(self, tenant: TenantId) -> Sequence[ApiKey]:
        ours = [key for key in self._tables.keys.values() if key.tenant == tenant]
        return sorted(ours, key=lambda key: (key.created_at, key.id), reverse=True)

    async def revoke(self, tenant: TenantId, key_id: str, at: Instant) -> bool:
        def revoke() -> bool:
            key = self._tables.keys.get((tenant, key_id))
            if key is None or key.revoked_at is not None:
                return False
            self._tables.keys[tenant, key_id] = replace(key, revoked_at=at)
            return True

        return await self._transactions.write(revoke)

    async def touch(self, used: Mapping[str, Instant]) -> None:
        def touch() -> None:
            for place, key in list(self._tables.keys.items()):
                at = used.get(key.id)
                if at is not None and at > (key.last_used_at or 0):
                    self._tables.keys[place] = replace(key, last_used_at=at)

        await self._transactions.write(touch)


class MemorySetup(SetupStore):
    """Implements `ports.ledger.SetupStore`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions
        parts: tuple[Any, ...] = (tables, transactions)
        self.categories = self._categories = MemoryDocuments[Category]("category", *parts)
        self.workflows = self._workflows = MemoryDocuments[Workflow]("workflow", *parts, versioned=True)
        self.templates = self._templates = MemoryDocuments[Template]("template", *parts, versioned=True)
        self.drafts = self._drafts = MemoryDocuments[TemplateDraft]("draft", *parts)
        self.learned = self._learned = MemoryDocuments[Learned]("learned", *parts)
        self.test_templates = self._test_templates = MemoryDocuments[Template]("trial", *parts)
        self.partials = self._partials = MemoryDocuments[Partial]("partial", *parts, versioned=True)
        self.integrations = self._integrations = MemoryDocuments[Integration]("integration", *parts)
        self.whatsapp_templates = self._whatsapp_templates = MemoryDocuments[WhatsAppTemplates](
            "whatsapp", *parts
        )
        self.sources = self._sources = MemoryDocuments[Source]("source", *parts)
        self.sinks = self._sinks = MemoryDocuments[Sink]("sink", *parts)
        self.segments = self._segments = MemoryDocuments[Segment](SEGMENTS, *parts)
        self.secrets = self._secrets = MemoryDocuments[Secret]("secret", *parts)
        self.connections = self._connections = MemoryDocuments[Connection]("connection", *parts)
        self.tenants = self._tenants = MemoryTenants(tables, transactions, self._integrations)
        self.keys = MemoryKeys(tables, transactions)

    async def delta(self, after: int) -> SetupDelta:
        revision = self._tables.numbers.get("setup", 0)
        if after and after == revision:
            return SetupDelta(after=after, revision=revision)
        return SetupDelta(
            after=0,
            revision=revision,
            tenants=tuple(self._tenants.all().values()),
            categories=self._categories.now(),
            workflows=self._workflows.now(),
            templates=self._templates.now(),
            drafts=self._drafts.now(),
            learned=self._learned.now(),
            test_templates=self._test_templates.now(),
            partials=self._partials.now(),
            integrations=self._integrations.now(),
            whatsapp_templates=self._whatsapp_templates.now(),
            sources=self._sources.now(),
            sinks=self._sinks.now(),
            segments=self._segments.now(),
            secrets=self._secrets.now(),
            connections=self._connections.now(),
        )

    def on_change(self, changed: Callable[[], None]) -> None:
        """Nobody tells."""

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
        basis: ReleaseBasis | None = None,
    ) -> Sequence[Template]:
        def release() -> list[Template]:
            if basis is not None:
                self._templates.require_all(tenant, basis.templates)
                self._partials.require_all(tenant, basis.partials)
            if draft is not None:
                self._drafts.require(tenant, draft.key, draft)
                self._drafts.discard(tenant, draft.key)
            if partial is not None:
                self._partials.store(tenant, partial)
            return [self._templates.store(tenant, template) for template in templates]

        return await self._transactions.write(release)

    async def apply(self, changes: SetupDelta, schedules: Sequence[ScheduleChange] = ()) -> None:
        def apply() -> None:
            if self._tables.numbers.get("setup", 0) != changes.after:
                raise changed_meanwhile()
            for tenant in changes.tenants:
                self._tenants.store(tenant)
            for name, now in changes.documents():
                documents: MemoryDocuments[Any] = getattr(self, name)
                if now.document is None:
                    documents.discard(now.tenant, now.key)
                else:
                    documents.store(now.tenant, now.document)
            if not all(change_schedule(self._tables, one) for one in schedules):
                raise changed_meanwhile()

        await self._transactions.write(apply)
