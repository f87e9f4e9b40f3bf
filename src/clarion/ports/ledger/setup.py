"""The configuration of tenants: versioned documents, tenants, API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from clarion.model.audience import Segment
from clarion.model.connection import Connection, Secret
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange
from clarion.model.setup import (
    ApiKey,
    Category,
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

T = TypeVar("T")


class Document(Protocol):
    """What has a key in its tenant."""

    @property
    def key(self) -> str:
        """Its name."""


class DocumentStore(Protocol[T]):
    """Keyed documents of a tenant (categories, workflows, templates, ...)."""

    async def put(self, tenant: TenantId, document: T, *, before: T | None = None, fresh: bool = False) -> T:
        """Create or replace; workflows, templates and partials get the next `version`, older ones are kept.

        `before`: what the document was made from; Conflict when something else is live by now. `fresh`: Conflict when
        anything is.
        """

    async def delete(self, tenant: TenantId, key: str) -> bool:
        """Whether it was there."""

    async def version(self, tenant: TenantId, key: str, version: int) -> T | None:
        """An exact version, live or old."""

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[T]:
        """All versions that were ever live, newest first, also of a deleted document; those below `before`."""


class SetupStore(Protocol):
    """All configuration of all tenants."""

    tenants: Tenants
    categories: DocumentStore[Category]
    workflows: DocumentStore[Workflow]
    templates: DocumentStore[Template]
    drafts: DocumentStore[TemplateDraft]
    learned: DocumentStore[Learned]
    """Of the installation: under tenant 0."""
    test_templates: DocumentStore[Template]
    """What authors send to themselves, under keys of its own: never live."""
    partials: DocumentStore[Partial]
    integrations: DocumentStore[Integration]
    whatsapp_templates: DocumentStore[WhatsAppTemplates]
    """By the key of their integration."""
    sources: DocumentStore[Source]
    sinks: DocumentStore[Sink]
    segments: DocumentStore[Segment]
    secrets: DocumentStore[Secret]
    connections: DocumentStore[Connection]
    keys: ApiKeyStore

    async def delta(self, after: int) -> SetupDelta:
        """What tenants and documents changed behind the revision `after`, as they are now, and the revision they are
        at. Every change counts one at least. A store that does not know gives everything, see `SetupDelta.after`."""

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` on the event loop as soon as another process may have changed something. A store that is not told
        of that never calls, so ask for the `delta` now and then."""

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
        now, or anything of the `basis` is.
        """

    async def apply(self, changes: SetupDelta, schedules: Sequence[ScheduleChange] = ()) -> None:
        """One transaction: tenants and documents are as in `changes`, each with its next version, and schedules are stored and
        deleted. Conflict, and nothing is changed, when anything in the set-up changed behind `changes.after`, or when
        a schedule is not the one that was read.
        """


class Tenants(Protocol):
    """The tenants of this installation."""

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        """Create (id 0: the store assigns one, and adds the integration `INBOX`) or replace by id.

        `before`: what it was made from; Conflict when something else is stored by now.
        """


class ApiKeyStore(Protocol):
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
