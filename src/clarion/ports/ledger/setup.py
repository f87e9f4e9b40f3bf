"""What tenants configure: documents in versions, tenants, API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from clarion.model.ids import Instant, TenantId
from clarion.model.setup import (
    ApiKey,
    Category,
    Integration,
    Learned,
    Partial,
    ReleaseBasis,
    Template,
    TemplateDraft,
    Tenant,
    Workflow,
)

T = TypeVar("T")


class DocumentStore(Protocol[T]):
    """Keyed documents of a tenant (categories, workflows, templates, ...), held in memory."""

    def all(self, tenant: TenantId) -> Mapping[str, T]:
        """Every document by key: the live, committed versions. Never waits. The same mapping until something changes,
        then another one; do not mutate."""

    async def put(self, tenant: TenantId, document: T, *, before: T | None = None, fresh: bool = False) -> T:
        """Create or replace; workflows, templates and partials get the next `version`, older ones are kept.

        `before`: what the document was made from; Conflict when something else is live by now, also when another
        process put it there. `fresh`: Conflict when anything is. After a Conflict `all` shows what is really live.
        """

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """Whether it was there."""

    async def version(self, tenant: TenantId, key: str, version: int) -> T | None:
        """An exact version, live or old."""

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[T]:
        """All versions that were ever live, newest first, also of a deleted document; those below `before`."""


class Setup(Protocol):
    """All configuration of all tenants."""

    tenants: Tenants
    categories: DocumentStore[Category]
    workflows: DocumentStore[Workflow]
    templates: DocumentStore[Template]
    drafts: DocumentStore[TemplateDraft]
    learned: DocumentStore[Learned]
    """Of the installation: under tenant 0."""
    trials: DocumentStore[Template]
    """What authors send to themselves, under keys of its own: never live."""
    partials: DocumentStore[Partial]
    integrations: DocumentStore[Integration]
    keys: Keys

    @property
    def revision(self) -> int:
        """Grows with every change by any process; at least that of the newest change seen here."""

    async def catch_up(self, revision: int | None = None) -> None:
        """When this returns, everything up to this revision (None: everything) is seen here, whoever changed it."""

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
        basis: ReleaseBasis | None = None,
    ) -> Sequence[Template]:
        """One transaction: next versions of the templates and of the partial are live, the draft is gone.

        The templates as they are stored, in order. Conflict, and nothing is changed, when `draft` is another one by
        now, or anything of the `basis` is: also by another process. After it `all` shows what is really live.
        """


class Tenants(Protocol):
    """The tenants of this installation, held in memory."""

    def all(self) -> Mapping[TenantId, Tenant]:
        """By id."""

    async def put(self, tenant: Tenant) -> Tenant:
        """Create (id 0: the store assigns one, and adds the integration `INBOX`) or replace by id."""

    async def change(self, tenant: TenantId, to: Callable[[Tenant], Tenant]) -> Tenant:
        """Store `to(what is stored)` in one transaction, so that no other change is lost. What `to` raises is raised,
        and nothing is stored. `to` may run more than once, and in another thread: it looks at its argument only."""


class Keys(Protocol):
    """API keys, by keyed hash."""

    async def find(self, hash: bytes) -> ApiKey | None:
        """Also revoked and expired ones; the caller decides."""

    async def add(self, key: ApiKey) -> None:
        """Store a new key."""

    async def page(self, tenant: TenantId) -> Sequence[ApiKey]:
        """All keys of a tenant, newest first."""

    async def revoke(self, tenant: TenantId, key_id: str, at: Instant) -> bool:
        """Whether a live key was revoked."""

    async def touch(self, used: Mapping[str, Instant]) -> None:
        """Record last use, key id to time; called now and then, in batches."""
