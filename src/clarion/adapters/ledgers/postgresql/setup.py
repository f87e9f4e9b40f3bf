"""The configuration of tenants: versioned documents, tenants, API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from clarion.adapters.ledgers.documents import (
    NO_VERSION,
    DocumentKind,
    DocumentKinds,
    changed_meanwhile,
    encode,
    name_taken,
    require_tenant,
    versions_of,
)
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.revisions import NEWEST, SetupChange, SetupRevisions
from clarion.adapters.ledgers.postgresql.schedules import change_schedule
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

_OF = "shelf = $1 AND tenant = $2 AND key = $3"
LIVE = f"SELECT body FROM documents WHERE {_OF} AND live = 1"
VERSIONS_LIVE = "SELECT key, version FROM documents WHERE shelf = $1 AND tenant = $2 AND live = 1"
VERSION = f"SELECT body FROM documents WHERE {_OF} AND version = $4"
VERSIONS = f"SELECT body FROM documents WHERE {_OF} AND version < $4 ORDER BY version DESC LIMIT $5"
NEXT_VERSION = f"SELECT 1 + coalesce(max(version), 0) FROM documents WHERE {_OF}"
RETIRE = f"UPDATE documents SET live = 0 WHERE {_OF} AND live = 1 RETURNING key"
DISCARD = f"DELETE FROM documents WHERE {_OF} RETURNING key"
STORE = "INSERT INTO documents (shelf, tenant, key, version, live, body) VALUES ($1, $2, $3, $4, 1, $5)"

ALL = "SELECT shelf, tenant, key, body FROM documents WHERE live = 1"
DELTA = """
    SELECT c.shelf, c.tenant, c.key, d.body FROM setup_changes AS c
    LEFT JOIN documents AS d ON d.shelf = c.shelf AND d.tenant = c.tenant AND d.key = c.key AND d.live = 1
    WHERE c.revision > $1 AND c.shelf <> 'tenant'
"""


class PostgresDocuments(Generic[D]):
    """Implements `ports.ledger.DocumentStore`."""

    def __init__(self, kind: DocumentKind[D], revisions: SetupRevisions, database: Database) -> None:
        self._kind = kind
        self._revisions = revisions
        self._database = database

    async def put(self, tenant: TenantId, document: D, *, before: D | None = None, fresh: bool = False) -> D:
        async def put(change: SetupChange) -> D:
            if before is not None or fresh:
                await self.require(change, tenant, document.key, before)
            return await self.store(change, tenant, document)

        return await self._revisions.write(put)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        return await self._revisions.write(lambda change: self.discard(change, tenant, key))

    async def version(self, tenant: TenantId, key: str, version: int) -> D | None:
        row = await self._database.row(VERSION, self._kind.name, tenant, key, version)
        return None if row is None else self._kind.opened(tenant, row["body"])

    async def versions(self, tenant: TenantId, key: str, before: int | None, limit: int) -> Sequence[D]:
        below = NO_VERSION if before is None else before
        found = await self._database.rows(VERSIONS, self._kind.name, tenant, key, below, limit)
        return [self._kind.opened(tenant, row["body"]) for row in found]

    # A transaction over several kinds writes with `store` and `discard`.

    async def store(self, change: SetupChange, tenant: TenantId, document: D) -> D:
        """Write the next version, or the document in place of what was there."""
        place = (self._kind.name, tenant, document.key)
        stored, version = document, 1
        if self._kind.versioned:
            version = await change.connection.fetchval(NEXT_VERSION, *place)
            stored = replace(document, version=version)  # type: ignore[type-var]
        await change.connection.execute(RETIRE if self._kind.versioned else DISCARD, *place)
        await change.connection.execute(STORE, *place, version, self._kind.closed(tenant, stored))
        await change.note(*place)
        return stored

    async def discard(self, change: SetupChange, tenant: TenantId, key: str) -> bool:
        """Take a document off; whether it was there."""
        place = (self._kind.name, tenant, key)
        await change.note(*place)
        gone = await change.connection.fetch(RETIRE if self._kind.versioned else DISCARD, *place)
        return bool(gone)

    async def require(self, change: SetupChange, tenant: TenantId, key: str, before: D | None) -> None:
        """Conflict unless exactly this is live, or nothing."""
        found = await change.connection.fetch(LIVE, self._kind.name, tenant, key)
        self._kind.require(tenant, key, [row["body"] for row in found], before)

    async def require_versions(self, change: SetupChange, tenant: TenantId, seen: Mapping[str, int]) -> None:
        """Conflict unless exactly these versions are live."""
        found = await change.connection.fetch(VERSIONS_LIVE, self._kind.name, tenant)
        self._kind.require_versions(((row["key"], row["version"]) for row in found), seen)


# ── tenants ───────────────────────────────────────────────────────────────────────────────────────────────

TENANT = "SELECT body FROM tenants WHERE id = $1"
TENANT_NAMED = "SELECT id FROM tenants WHERE key = $1"
TENANTS = "SELECT body FROM tenants"
TENANTS_DELTA = """
    SELECT t.body FROM setup_changes AS c JOIN tenants AS t ON t.id = c.tenant
    WHERE c.revision > $1 AND c.shelf = 'tenant'
"""
TENANT_ADD = "INSERT INTO tenants (key, body) VALUES ($1, '') RETURNING id"
TENANT_PUT = """
    INSERT INTO tenants (id, key, body) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET key = excluded.key, body = excluded.body
"""


class PostgresTenants:
    """Implements `ports.ledger.Tenants`."""

    def __init__(self, revisions: SetupRevisions, integrations: PostgresDocuments[Integration]) -> None:
        self._revisions = revisions
        self._integrations = integrations

    async def put(self, tenant: Tenant, *, before: Tenant | None = None) -> Tenant:
        async def put(change: SetupChange) -> Tenant:
            if before is not None:
                found = await change.connection.fetch(TENANT, tenant.id)
                require_tenant([row["body"] for row in found], before)
            stored = await _put_tenant(change, tenant)
            if not tenant.id:
                await self._integrations.store(change, stored.id, INBOX)
            return stored

        return await self._revisions.write(put)


async def _put_tenant(change: SetupChange, tenant: Tenant) -> Tenant:
    if await change.connection.fetchval(TENANT_NAMED, tenant.key) not in (None, tenant.id):
        raise name_taken(tenant.key)
    if not tenant.id:
        tenant = replace(tenant, id=TenantId(await change.connection.fetchval(TENANT_ADD, tenant.key)))
    await change.connection.execute(TENANT_PUT, tenant.id, tenant.key, encode(tenant))
    await change.note("tenant", tenant.id, "")
    return tenant


# ── API keys ──────────────────────────────────────────────────────────────────────────────────────────────

_KEY = "id, tenant, name, hash, scope, created_at, expires_at, last_used_at, revoked_at"
KEY_FIND = f"SELECT {_KEY} FROM api_keys WHERE hash = $1"
KEYS_PAGE = f"SELECT {_KEY} FROM api_keys WHERE tenant = $1 ORDER BY created_at DESC, id DESC"
KEY_ADD = f"INSERT INTO api_keys ({_KEY}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
KEY_REVOKE = """
    UPDATE api_keys SET revoked_at = $3 WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL RETURNING id
"""
KEYS_TOUCH = """
    UPDATE api_keys SET last_used_at = used.at FROM unnest($1::text[], $2::bigint[]) AS used (id, at)
    WHERE api_keys.id = used.id AND coalesce(last_used_at, 0) < used.at
"""


class PostgresApiKeys:
    """Implements `ports.ledger.ApiKeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, hash: bytes) -> ApiKey | None:
        row = await self._database.row(KEY_FIND, hash)
        return None if row is None else _api_key(row)

    async def add(self, key: ApiKey) -> None:
        values = (
            key.id,
            key.tenant,
            key.name,
            key.hash,
            key.scope.value,
            key.created_at,
            key.expires_at,
            key.last_used_at,
            key.revoked_at,
        )
        await self._database.write(lambda connection: connection.execute(KEY_ADD, *values))

    async def page(self, tenant: TenantId) -> Sequence[ApiKey]:
        return [_api_key(row) for row in await self._database.rows(KEYS_PAGE, tenant)]

    async def revoke(self, tenant: TenantId, key_id: str, at: Instant) -> bool:
        return bool(await self._database.write(lambda c: c.fetch(KEY_REVOKE, tenant, key_id, at)))

    async def touch(self, used: Mapping[str, Instant]) -> None:
        if used:
            ordered = sorted(used.items())
            columns = [key_id for key_id, _ in ordered], [at for _, at in ordered]
            await self._database.write(lambda connection: connection.execute(KEYS_TOUCH, *columns))


def _api_key(row: Mapping[str, Any]) -> ApiKey:
    return ApiKey(**dict(row) | {"scope": Scope(row["scope"])})


# ── together ──────────────────────────────────────────────────────────────────────────────────────────────


class PostgresSetup(SetupStore):
    """Implements `ports.ledger.SetupStore`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._changed: Callable[[], None] = lambda: None
        self._revisions = revisions = SetupRevisions(database)
        self._kinds = kinds = DocumentKinds(vault)
        parts = (revisions, database)
        self.categories = PostgresDocuments(kinds.categories, *parts)
        self.workflows = PostgresDocuments(kinds.workflows, *parts)
        self.templates = self._templates = PostgresDocuments(kinds.templates, *parts)
        self.drafts = self._drafts = PostgresDocuments(kinds.drafts, *parts)
        self.learned = PostgresDocuments(kinds.learned, *parts)
        self.test_templates = PostgresDocuments(kinds.test_templates, *parts)
        self.partials = self._partials = PostgresDocuments(kinds.partials, *parts)
        self.integrations = integrations = PostgresDocuments(kinds.integrations, *parts)
        self.whatsapp_templates = PostgresDocuments(kinds.whatsapp_templates, *parts)
        self.sources = PostgresDocuments(kinds.sources, *parts)
        self.sinks = PostgresDocuments(kinds.sinks, *parts)
        self.segments = PostgresDocuments(kinds.segments, *parts)
        self.secrets = PostgresDocuments(kinds.secrets, *parts)
        self.connections = PostgresDocuments(kinds.connections, *parts)
        self.tenants = PostgresTenants(revisions, integrations)
        self.keys = PostgresApiKeys(database)

    def on_change(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def told(self, revision: str) -> None:
        """Somebody says that there is a new revision."""
        self._changed()

    async def delta(self, after: int) -> SetupDelta:
        if after:
            ((newest,),) = await self._database.rows(NEWEST)
            if newest == after:
                return SetupDelta(after=after, revision=after)
        return await self._database.read(lambda connection: self._delta(connection, after))

    async def _delta(self, connection: Any, after: int) -> SetupDelta:
        revision = await connection.fetchval(NEWEST)
        if 0 < after <= revision:
            rows = await connection.fetch(DELTA, after)
            tenants = await connection.fetch(TENANTS_DELTA, after)
        else:  # Behind nothing, or behind what another database has seen.
            after = 0
            rows, tenants = await connection.fetch(ALL), await connection.fetch(TENANTS)
        return self._kinds.delta(after, revision, [row["body"] for row in tenants], [tuple(r) for r in rows])

    async def release(
        self,
        tenant: TenantId,
        templates: Sequence[Template],
        *,
        partial: Partial | None = None,
        draft: TemplateDraft | None = None,
        basis: ReleaseBasis | None = None,
    ) -> Sequence[Template]:
        async def release(change: SetupChange) -> list[Template]:
            if basis is not None:
                await self._templates.require_versions(change, tenant, versions_of(basis.templates))
                await self._partials.require_versions(change, tenant, versions_of(basis.partials))
            if draft is not None:
                await self._drafts.require(change, tenant, draft.key, draft)
                await self._drafts.discard(change, tenant, draft.key)
            if partial is not None:
                await self._partials.store(change, tenant, partial)
            return [await self._templates.store(change, tenant, template) for template in templates]

        return await self._revisions.write(release)

    async def apply(self, changes: SetupDelta, schedules: Sequence[ScheduleChange] = ()) -> None:
        async def apply(change: SetupChange) -> None:
            if change.revision != changes.after + 1:
                raise changed_meanwhile()
            for tenant in changes.tenants:
                await _put_tenant(change, tenant)
            for name, now in changes.documents():
                documents: PostgresDocuments[Any] = getattr(self, name)
                if now.document is None:
                    await documents.discard(change, now.tenant, now.key)
                else:
                    await documents.store(change, now.tenant, now.document)
            for one in schedules:
                if not await change_schedule(change.connection, one):
                    raise changed_meanwhile()

        await self._revisions.write(apply)
