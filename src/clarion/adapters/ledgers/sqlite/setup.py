"""The configuration of tenants: versioned documents, tenants, API keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec.structs import replace
from sqlalchemy import bindparam, delete, func, insert, select, update

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.documents import (
    NO_VERSION,
    DocumentKind,
    DocumentKinds,
    Row,
    changed_meanwhile,
    encode,
    name_taken,
    require_tenant,
    versions_of,
)
from clarion.adapters.ledgers.sqlite import setup_statements as sql
from clarion.adapters.ledgers.sqlite.files import one
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.revisions import Revisions, newest, note
from clarion.adapters.ledgers.sqlite.schedules import change_schedule
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange
from clarion.model.setup import (
    INBOX,
    ApiKey,
    Integration,
    Partial,
    ReleaseBasis,
    Scope,
    SetupDelta,
    Template,
    TemplateDraft,
    Tenant,
)
from clarion.ports.ledger import SetupStore
from clarion.ports.ledger.setup import Document
from clarion.ports.vault import Vault

D = TypeVar("D", bound=Document)

# ── documents ─────────────────────────────────────────────────────────────────────────────────────────────

_doc = schema.documents.c
_of = (
    (_doc.shelf == bindparam("on_shelf"))
    & (_doc.tenant == bindparam("of_tenant"))
    & (_doc.key == bindparam("of_key"))
)
DOCUMENT_LIVE = Query(select(_doc.body).where(_of, _doc.live == 1).limit(1))
VERSIONS_LIVE = Query(
    select(_doc.key, _doc.version)
    .where(_doc.shelf == bindparam("on_shelf"), _doc.tenant == bindparam("of_tenant"), _doc.live == 1)
    .limit(-1)
)
DOCUMENT = Query(select(_doc.body).where(_of, _doc.version == bindparam("of_version")).limit(1))
DOCUMENT_VERSIONS = Query(
    select(_doc.body)
    .where(_of, _doc.version < bindparam("below"))
    .order_by(_doc.version.desc())
    .limit(bindparam("at_most"))
)
NEWEST = Query(select(func.coalesce(func.max(_doc.version), 0)).where(_of).limit(1))
RETIRE = Command(update(schema.documents).where(_of, _doc.live == 1).values(live=0))
DISCARD = Command(delete(schema.documents).where(_of))
STORE = Command(
    insert(schema.documents).values(
        shelf=bindparam("on_shelf"),
        tenant=bindparam("of_tenant"),
        key=bindparam("of_key"),
        version=bindparam("of_version"),
        live=1,
        body=bindparam("new_body"),
    )
)


class SqliteDocuments(Generic[D]):
    """Implements `ports.ledger.DocumentStore`."""

    def __init__(self, kind: DocumentKind[D], revisions: Revisions, readers: Readers) -> None:
        self._kind = kind
        self._revisions = revisions
        self._readers = readers

    async def put(self, tenant: TenantId, document: D, *, before: D | None = None, fresh: bool = False) -> D:
        def put(connection: sqlite3.Connection) -> D:
            if before is not None or fresh:
                self.require(connection, tenant, document.key, before)
            return self.store(connection, tenant, document)

        return await self._revisions.write(put)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return await self._revisions.write(lambda connection: self.discard(connection, tenant, key)) > 0

    async def version(self, tenant: TenantId, key: str, version: int) -> D | None:
        found = await self._readers.call(
            lambda connection: DOCUMENT.rows(connection, **self._place(tenant, key), of_version=version)
        )
        return self._kind.opened(tenant, found[0][0]) if found else None

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[D]:
        page = {"below": NO_VERSION if before is None else before, "at_most": limit}
        found = await self._readers.call(
            lambda connection: DOCUMENT_VERSIONS.rows(connection, **self._place(tenant, key), **page)
        )
        return [self._kind.opened(tenant, body) for (body,) in found]

    # A transaction over several shelves writes with `store` and `discard`.

    def store(self, connection: sqlite3.Connection, tenant: TenantId, document: D) -> D:
        """Write the next version, or the document in place of what was there."""
        place = self._place(tenant, document.key)
        stored, version = document, 1
        if self._kind.versioned:
            ((newest,),) = NEWEST.rows(connection, **place)
            version = newest + 1
            stored = replace(document, version=version)  # type: ignore[type-var]
            RETIRE(connection, **place)
        else:
            DISCARD(connection, **place)
        STORE(connection, **place, of_version=version, new_body=self._kind.closed(tenant, stored))
        note(connection, self._kind.name, tenant, document.key)
        return stored

    def discard(self, connection: sqlite3.Connection, tenant: TenantId, key: str) -> int:
        """Take a document off; how many there were."""
        note(connection, self._kind.name, tenant, key)
        return (RETIRE if self._kind.versioned else DISCARD)(connection, **self._place(tenant, key))

    def require(self, connection: sqlite3.Connection, tenant: TenantId, key: str, before: D | None) -> None:
        """Conflict unless exactly this is live, or nothing."""
        found = DOCUMENT_LIVE.rows(connection, **self._place(tenant, key))
        self._kind.require(tenant, key, [body for (body,) in found], before)

    def require_versions(
        self, connection: sqlite3.Connection, tenant: TenantId, seen: Mapping[str, int]
    ) -> None:
        """Conflict unless exactly these versions are live."""
        found = VERSIONS_LIVE.rows(connection, on_shelf=self._kind.name, of_tenant=tenant)
        self._kind.require_versions(((key, version) for key, version in found), seen)

    def _place(self, tenant: TenantId, key: str) -> dict[str, Any]:
        return {"on_shelf": self._kind.name, "of_tenant": tenant, "of_key": key}


# ── tenants ───────────────────────────────────────────────────────────────────────────────────────────────

_tenant = schema.tenants.c
TENANT = Query(select(_tenant.body).where(_tenant.id == bindparam("of_id")).limit(1))
TENANT_NAMED = Query(select(_tenant.id).where(_tenant.key == bindparam("named")).limit(1))
TENANT_ADD = Command(insert(schema.tenants).values(key=bindparam("named"), body=b""))
TENANT_ADD_AT = Command(
    insert(schema.tenants).values(id=bindparam("of_id"), key=bindparam("named"), body=b"")
)
TENANT_REPLACE = Command(
    update(schema.tenants)
    .where(_tenant.id == bindparam("of_id"))
    .values(key=bindparam("named"), body=bindparam("new_body"))
)


class SqliteTenants:
    """Implements `ports.ledger.Tenants`."""

    def __init__(self, revisions: Revisions, integrations: SqliteDocuments[Integration]) -> None:
        self._revisions = revisions
        self._integrations = integrations

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        def put(connection: sqlite3.Connection) -> Tenant:
            if before is not None:
                require_tenant([body for (body,) in TENANT.rows(connection, of_id=tenant.id)], before)
            stored = _put_tenant(connection, tenant)
            if not tenant.id:
                self._integrations.store(connection, stored.id, INBOX)
            return stored

        return await self._revisions.write(put)


def _put_tenant(connection: sqlite3.Connection, tenant: Tenant) -> Tenant:
    same_name = TENANT_NAMED.rows(connection, named=tenant.key)
    if same_name and same_name[0] != [tenant.id]:
        raise name_taken(tenant.key)
    if not tenant.id:
        TENANT_ADD(connection, named=tenant.key)
        ((no,),) = TENANT_NAMED.rows(connection, named=tenant.key)
        tenant = replace(tenant, id=TenantId(no))
    body = encode(tenant)
    if not TENANT_REPLACE(connection, of_id=tenant.id, named=tenant.key, new_body=body):
        TENANT_ADD_AT(connection, of_id=tenant.id, named=tenant.key)
        TENANT_REPLACE(connection, of_id=tenant.id, named=tenant.key, new_body=body)
    note(connection, "tenant", tenant.id, "")
    return tenant


# ── API keys ──────────────────────────────────────────────────────────────────────────────────────────────

_key = schema.api_keys.c
KEY_FIND = Query(select(schema.api_keys).where(_key.hash == bindparam("of_hash")).limit(1))
KEYS_PAGE = Query(
    select(schema.api_keys)
    .where(_key.tenant == bindparam("of_tenant"))
    .order_by(_key.created_at.desc(), _key.id.desc())
    .limit(-1)
)
KEY_ADD = Command(insert(schema.api_keys).values({c.name: bindparam(f"new_{c.name}") for c in _key}))
KEY_REVOKE = Command(
    update(schema.api_keys)
    .where(_key.tenant == bindparam("of_tenant"), _key.id == bindparam("of_id"), _key.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
KEY_TOUCH = Command(
    update(schema.api_keys)
    .where(_key.id == bindparam("of_id"), func.coalesce(_key.last_used_at, 0) < bindparam("now"))
    .values(last_used_at=bindparam("now"))
)


class SqliteKeys:
    """Implements `ports.ledger.Keys`."""

    def __init__(self, writer: Writer, readers: Readers, local: sqlite3.Connection) -> None:
        self._writer = writer
        self._readers = readers
        self._local = local

    async def find(self, hash: bytes) -> ApiKey | None:
        found = KEY_FIND.rows(self._local, of_hash=hash)
        return _api_key(found[0]) if found else None

    async def add(self, key: ApiKey) -> None:
        values = {f"new_{name}": getattr(key, name) for name in key.__struct_fields__} | {
            "new_scope": key.scope.value
        }
        await self._writer.call(lambda connection: KEY_ADD(connection, **values))

    async def page(self, tenant: TenantId) -> Sequence[ApiKey]:
        found = await self._readers.call(lambda connection: KEYS_PAGE.rows(connection, of_tenant=tenant))
        return [_api_key(row) for row in found]

    async def revoke(self, tenant: TenantId, key_id: str, at: Instant) -> bool:
        return bool(await self._writer.call(lambda c: KEY_REVOKE(c, of_tenant=tenant, of_id=key_id, now=at)))

    async def touch(self, used: Mapping[str, Instant]) -> None:
        def touch(connection: sqlite3.Connection) -> None:
            for key_id, at in used.items():
                KEY_TOUCH(connection, of_id=key_id, now=at)

        if used:
            await self._writer.call(touch, rows=len(used))


def _api_key(row: list[Any]) -> ApiKey:
    key = dict(zip((c.name for c in _key), row, strict=True))
    return ApiKey(**key | {"scope": Scope(key["scope"])})


_WITHOUT_INBOX = "SELECT value FROM meta WHERE key = 'tenants_without_inbox'"
_WITH_INBOX = "DELETE FROM meta WHERE key = 'tenants_without_inbox'"


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────


class SqliteSetup(SetupStore):
    """Implements `ports.ledger.SetupStore`."""

    def __init__(self, writer: Writer, readers: Readers, local: sqlite3.Connection, vault: Vault) -> None:
        self._revisions = revisions = Revisions(writer)
        self._readers = readers
        self._local = local
        self._kinds = kinds = DocumentKinds(vault)
        parts = (revisions, readers)
        self.categories = SqliteDocuments(kinds.categories, *parts)
        self.workflows = SqliteDocuments(kinds.workflows, *parts)
        self.templates = self._templates = SqliteDocuments(kinds.templates, *parts)
        self.drafts = self._drafts = SqliteDocuments(kinds.drafts, *parts)
        self.learned = SqliteDocuments(kinds.learned, *parts)
        self.test_templates = SqliteDocuments(kinds.test_templates, *parts)
        self.partials = self._partials = SqliteDocuments(kinds.partials, *parts)
        self.integrations = self._integrations = SqliteDocuments(kinds.integrations, *parts)
        self.whatsapp_templates = SqliteDocuments(kinds.whatsapp_templates, *parts)
        self.sources = SqliteDocuments(kinds.sources, *parts)
        self.sinks = SqliteDocuments(kinds.sinks, *parts)
        self.segments = SqliteDocuments(kinds.segments, *parts)
        self.secrets = SqliteDocuments(kinds.secrets, *parts)
        self.connections = SqliteDocuments(kinds.connections, *parts)
        self.tenants = SqliteTenants(revisions, self._integrations)
        self.keys = SqliteKeys(writer, readers, local)

    async def delta(self, after: int) -> SetupDelta:
        if after and newest(self._local) == after:
            return SetupDelta(after=after, revision=after)
        return await self._readers.call(lambda connection: self._delta(connection, after))

    def _delta(self, connection: sqlite3.Connection, after: int) -> SetupDelta:
        revision = newest(connection)
        if 0 < after <= revision:
            rows: list[Row] = connection.execute(sql.SETUP_DELTA, (after,)).fetchall()
            tenants = connection.execute(sql.TENANTS_DELTA, (after,)).fetchall()
        else:  # Behind nothing, or behind what another file has seen.
            after, rows = 0, connection.execute(sql.SETUP_LIVE).fetchall()
            tenants = connection.execute(sql.TENANTS_LIVE).fetchall()
        return self._kinds.delta(after, revision, [body for (body,) in tenants], rows)

    def give_inboxes(self, connection: sqlite3.Connection) -> None:
        """Tenants from before revision 0010 get what new ones begin with, once, unless they have their own."""
        last = one(connection, _WITHOUT_INBOX)
        if last is None:
            return
        there = self._delta(connection, 0)
        known: dict[TenantId, dict[str, Integration]] = {}
        for now in there.integrations:
            if now.document is not None:
                known.setdefault(now.tenant, {})[now.key] = now.document
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for tenant in there.tenants:
                its = known.get(tenant.id, {})
                if tenant.id > last or any(has.channel is INBOX.channel for has in its.values()):
                    continue
                inbox = replace(INBOX, key=INBOX.key if INBOX.key not in its else f"{INBOX.key}-in-app")
                self._integrations.store(connection, tenant.id, inbox)
            connection.execute(_WITH_INBOX)

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
        def store(connection: sqlite3.Connection) -> list[Template]:
            if basis is not None:
                self._templates.require_versions(connection, tenant, versions_of(basis.templates))
                self._partials.require_versions(connection, tenant, versions_of(basis.partials))
            if draft is not None:
                self._drafts.require(connection, tenant, draft.key, draft)
                self._drafts.discard(connection, tenant, draft.key)
            if partial is not None:
                self._partials.store(connection, tenant, partial)
            return [self._templates.store(connection, tenant, template) for template in templates]

        return await self._revisions.write(store, rows=len(templates) + 1)

    async def apply(self, changes: SetupDelta, schedules: Sequence[ScheduleChange] = ()) -> None:
        def store(connection: sqlite3.Connection) -> None:
            if newest(connection) != changes.after:
                raise changed_meanwhile()
            for tenant in changes.tenants:
                _put_tenant(connection, tenant)
            for name, now in changes.documents():
                documents: SqliteDocuments[Any] = getattr(self, name)
                if now.document is None:
                    documents.discard(connection, now.tenant, now.key)
                else:
                    documents.store(connection, now.tenant, now.document)
            if not all(change_schedule(connection, schedule) for schedule in schedules):
                raise changed_meanwhile()

        rows = sum(1 for _ in changes.documents()) + len(schedules)
        await self._revisions.write(store, rows=rows + 1)
