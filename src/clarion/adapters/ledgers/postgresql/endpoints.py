"""Webhook endpoints: the definition is in the user's profile, the state in a table of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.suppressions import PostgresSuppressions
from clarion.adapters.ledgers.postgresql.users import PostgresUserRows
from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.endpoint import Endpoint, EndpointState
from clarion.model.ids import BEHIND_ALL, Instant, TenantId, UserNo
from clarion.model.suppression import Suppression
from clarion.model.user import User
from clarion.ports import terms

_WEBHOOK = f"'{Channel.WEBHOOK.value}'"
ADD = 'INSERT INTO endpoints (tenant, id, "user") VALUES ($1, $2, $3) ON CONFLICT DO NOTHING'
DROP = "DELETE FROM endpoints WHERE tenant = $1 AND id = $2 RETURNING id"
OFF = "UPDATE endpoints SET announced = 1 WHERE tenant = $1 AND id = $2 RETURNING id"
ON = "UPDATE endpoints SET announced = 0, failing_since = NULL WHERE tenant = $1 AND id = $2 RETURNING id"
ALLOW = f"DELETE FROM suppressions WHERE tenant = $1 AND hash = $2 AND channel = {_WEBHOOK}"
_STATES = f"""
    SELECT e.id, e.tenant, e."user", e.failing_since, off.at, coalesce(off.reason, '') AS reason
    FROM endpoints AS e LEFT JOIN LATERAL (
        SELECT at, reason FROM suppressions WHERE tenant = e.tenant AND hash = e.id AND channel = {_WEBHOOK} LIMIT 1
    ) AS off ON true
"""
"""What `state` reads."""
FIND = f"{_STATES} WHERE e.tenant = $1 AND e.id = $2"
PAGE = f"{_STATES} WHERE e.tenant = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3"
PAGE_OF_USER = f"""{_STATES}
    WHERE e."user" = $4 AND e.id < $2 AND e.tenant = $1 ORDER BY e.id DESC LIMIT $3
"""
FAILING = f"""{_STATES}
    WHERE e.failing_since IS NOT NULL AND e.announced = 0
        AND (off.at IS NOT NULL OR $1 <= -e.failing_since + (
            SELECT newest.at FROM deliveries AS newest WHERE newest.endpoint = e.id ORDER BY seq DESC LIMIT 1
        ))
    ORDER BY e.failing_since LIMIT $2
"""


class PostgresEndpoints:
    """Implements `ports.ledger.Endpoints`."""

    def __init__(
        self, database: Database, user_rows: PostgresUserRows, suppressions: PostgresSuppressions
    ) -> None:
        self._database = database
        self._user_rows = user_rows
        self._suppressions = suppressions

    async def put(
        self, tenant: TenantId, user: UserNo, endpoint: Endpoint, before: Endpoint | None
    ) -> Endpoint:
        dry = terms.dry_running()

        async def put(connection: Any) -> None:
            owner = await self._owner(connection, user)
            if owner is None and dry:
                return  # The dry run made the owner as well, and that is undone already.
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the endpoint was deleted meanwhile")
            if owner.profile.endpoint(endpoint.id) != before:
                raise Conflict("the endpoint was changed meanwhile: read it again and repeat the change")
            await connection.execute(ADD, tenant, endpoint.id, user)
            others = tuple(one for one in owner.profile.endpoints if one.id != endpoint.id)
            await self._with_endpoints(connection, owner, (*others, endpoint))

        await self._database.write(put)
        return endpoint

    async def delete(self, tenant: TenantId, endpoint_id: bytes) -> bool:
        async def delete(connection: Any) -> bool:
            found = await connection.fetchrow(FIND, tenant, endpoint_id)
            owner = None if found is None else await self._owner(connection, UserNo(found["user"]))
            if owner is None or not await connection.fetch(DROP, tenant, endpoint_id):
                return False
            await connection.execute(ALLOW, tenant, endpoint_id)
            left = tuple(one for one in owner.profile.endpoints if one.id != endpoint_id)
            await self._with_endpoints(connection, owner, left)
            return True

        return await self._database.write(delete)

    async def find(self, tenant: TenantId, endpoint_id: bytes) -> EndpointState | None:
        row = await self._database.row(FIND, tenant, endpoint_id)
        return None if row is None else state(row)

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: bytes | None, limit: int
    ) -> Sequence[EndpointState]:
        behind = BEHIND_ALL if before is None else before
        if user is None:
            found = await self._database.lists.rows(PAGE, tenant, behind, limit)
        else:
            found = await self._database.lists.rows(PAGE_OF_USER, tenant, behind, limit, user)
        return [state(row) for row in found]

    async def failing(self, for_ms: int, limit: int) -> Sequence[EndpointState]:
        return [state(row) for row in await self._database.rows(FAILING, for_ms, limit)]

    async def switch(self, tenant: TenantId, endpoint_id: bytes, off: str, at: Instant) -> bool:
        async def switched_off(connection: Any) -> bool:
            there = bool(await connection.fetch(OFF, tenant, endpoint_id))
            if there:
                await self._suppressions.store(connection, [_off(tenant, endpoint_id, off, at)])
            return there

        async def switched_on(connection: Any) -> bool:
            await connection.execute(ALLOW, tenant, endpoint_id)
            return bool(await connection.fetch(ON, tenant, endpoint_id))

        return await self._database.write(switched_off if off else switched_on)

    async def _owner(self, connection: Any, user: UserNo) -> User | None:
        return (await self._user_rows.held(connection, [user])).get(user)

    async def _with_endpoints(self, connection: Any, user: User, endpoints: tuple[Endpoint, ...]) -> None:
        profile = replace(user.profile, endpoints=endpoints)
        await self._user_rows.with_profiles(connection, [(user, profile)])


def state(row: Any) -> EndpointState:
    """A row of the statements."""
    return EndpointState(
        id=row["id"],
        tenant=row["tenant"],
        user=row["user"],
        failing_since=row["failing_since"],
        disabled_at=row["at"],
        disabled_reason=row["reason"],
    )


def _off(tenant: TenantId, endpoint_id: bytes, reason: str, at: Instant) -> Suppression:
    return Suppression(tenant=tenant, channel=Channel.WEBHOOK, hash=endpoint_id, reason=reason, at=at)
