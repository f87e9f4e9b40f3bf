"""Webhook endpoints: the definition is in the user's profile, the state in a table of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.sqlite import endpoint_statements as sql
from clarion.adapters.ledgers.sqlite import user_statements
from clarion.adapters.ledgers.sqlite.files import changed, rows
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.suppressions import Owned, SqliteSuppressions
from clarion.adapters.ledgers.sqlite.users import UserRows
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.endpoint import Endpoint, EndpointState
from clarion.model.ids import BEHIND_ALL, Instant, TenantId, UserNo
from clarion.model.suppression import Suppression
from clarion.model.user import User
from clarion.ports import terms


class SqliteEndpoints:
    """Implements `ports.ledger.Endpoints`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        user_cache: UserCache,
        user_rows: UserRows,
        suppressions: SqliteSuppressions,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._user_cache = user_cache
        self._user_rows = user_rows
        self._suppressions = suppressions

    async def put(
        self, tenant: TenantId, user: UserNo, endpoint: Endpoint, before: Endpoint | None
    ) -> Endpoint:
        dry = terms.dry_running()

        def put(connection: sqlite3.Connection) -> User | None:
            owner = self._owner(connection, user)
            if owner is None and dry:
                return None  # The dry run made the owner as well, and that is undone already.
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the endpoint was deleted meanwhile")
            if owner.profile.endpoint(endpoint.id) != before:
                raise Conflict("the endpoint was changed meanwhile: read it again and repeat the change")
            connection.execute(sql.ENDPOINT_ADD, (tenant, endpoint.id, user))
            others = tuple(one for one in owner.profile.endpoints if one.id != endpoint.id)
            return self._with_endpoints(connection, owner, (*others, endpoint))

        await self._writer.call(put, after=self._changed)
        return endpoint

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> bool:
        def delete(connection: sqlite3.Connection) -> User | None:
            found = rows(connection, sql.ENDPOINT, (tenant, endpoint_id))
            owner = self._owner(connection, state(found[0]).user) if found else None
            if owner is None:
                return None
            connection.execute(sql.ENDPOINT_DROP, (tenant, endpoint_id))
            connection.execute(sql.ENDPOINT_ALLOW, (tenant, endpoint_id))
            left = tuple(one for one in owner.profile.endpoints if one.id != endpoint_id)
            return self._with_endpoints(connection, owner, left)

        return await self._writer.call(delete, after=self._changed) is not None

    async def find(self, tenant: TenantId, endpoint_id: bytes) -> EndpointState | None:
        found = await self._readers.rows(sql.ENDPOINT, (tenant, endpoint_id))
        return state(found[0]) if found else None

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: bytes | None, limit: int
    ) -> Sequence[EndpointState]:
        behind = BEHIND_ALL if before is None else before
        if user is None:
            found = await self._readers.rows(sql.ENDPOINTS_PAGE, (tenant, behind, limit))
        else:
            found = await self._readers.rows(sql.ENDPOINTS_OF_USER, (tenant, behind, limit, user))
        return [state(row) for row in found]

    async def failing(self, for_ms: int, limit: int) -> Sequence[EndpointState]:
        return [state(row) for row in await self._readers.rows(sql.ENDPOINTS_FAILING, (for_ms, limit))]

    async def switch(self, tenant: TenantId, endpoint_id: bytes, off: str, at: Instant) -> bool:
        if off:
            return await self._off(_off(tenant, endpoint_id, off, at))
        place = (tenant, endpoint_id)
        owner = await self.find(*place)

        def on(connection: sqlite3.Connection) -> bool:
            connection.execute(sql.ENDPOINT_ALLOW, place)
            return bool(changed(connection, sql.ENDPOINT_ON, place))

        def is_on(done: bool) -> None:
            if owner is not None:
                self._user_cache.allow(owner.user, endpoint_id)

        return await self._writer.call(on, after=is_on)

    async def _off(self, suppression: Suppression) -> bool:
        def off(connection: sqlite3.Connection) -> Owned:
            if not changed(connection, sql.ENDPOINT_OFF, (suppression.tenant, suppression.hash)):
                return []
            return self._suppressions.store(connection, [suppression])

        stored: Owned = await self._writer.call(off, after=self._suppressions.stored)
        return bool(stored)

    def _owner(self, connection: sqlite3.Connection, user: UserNo) -> User | None:
        found = self._user_rows.opened(connection, user_statements.USERS_BY_NUMBER, (encoded([user]),))
        return found[0] if found else None

    def _with_endpoints(
        self, connection: sqlite3.Connection, user: User, endpoints: tuple[Endpoint, ...]
    ) -> User:
        profile = replace(user.profile, endpoints=endpoints)
        return self._user_rows.with_profiles(connection, [(user, profile)])[0]

    def _changed(self, user: User | None) -> None:
        if user is not None:
            self._user_cache.write([user])


def state(row: list[Any]) -> EndpointState:
    """A row of the statements."""
    endpoint_id, tenant, user, failing_since, disabled_at, reason = row
    return EndpointState(
        id=bytes.fromhex(endpoint_id),
        tenant=tenant,
        user=user,
        failing_since=failing_since,
        disabled_at=disabled_at,
        disabled_reason=reason,
    )


def _off(tenant: TenantId, endpoint_id: bytes, reason: str, at: Instant) -> Suppression:
    return Suppression(tenant=tenant, channel=Channel.WEBHOOK, hash=endpoint_id, reason=reason, at=at)
