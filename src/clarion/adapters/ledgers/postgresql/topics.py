"""Topics and their subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql import open_users
from clarion.adapters.ledgers.postgresql.database import Database
from clarion.model.ids import TenantId, UserNo
from clarion.model.topic import Topic

PUT = """
    INSERT INTO topics (tenant, key, name) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, key) DO UPDATE SET name = excluded.name
"""
ENSURE = "INSERT INTO topics (tenant, key, name) VALUES ($1, $2, '') ON CONFLICT DO NOTHING"
DELETE = "DELETE FROM topics WHERE tenant = $1 AND key = $2 RETURNING key"
EMPTY = "DELETE FROM subscriptions WHERE tenant = $1 AND topic = $2"
_COUNTED = """
    SELECT key, name, (
        SELECT count(*) FROM subscriptions AS s WHERE s.tenant = topics.tenant AND s.topic = topics.key
    ) AS members FROM topics WHERE tenant = $1
"""
FIND = f"{_COUNTED} AND key = $2"
PAGE = f"{_COUNTED} AND key > $2 ORDER BY key LIMIT $3"
MEMBERS = """
    SELECT "user" FROM subscriptions WHERE tenant = $1 AND topic = $2 AND "user" > $3 ORDER BY "user" LIMIT $4
"""
SUBSCRIBE = """
    INSERT INTO subscriptions (tenant, topic, "user") SELECT $1, $2, new FROM unnest($3::bigint[]) AS new
    ORDER BY new ON CONFLICT DO NOTHING RETURNING "user"
"""
UNSUBSCRIBE = """
    DELETE FROM subscriptions WHERE tenant = $1 AND topic = $2 AND "user" = ANY($3::bigint[]) RETURNING "user"
"""


class PostgresTopics:
    """Implements `ports.ledger.Topics`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        await self._database.write(lambda connection: connection.execute(PUT, tenant, topic.key, topic.name))

    async def delete(self, tenant: TenantId, key: str) -> bool:
        async def delete(connection: Any) -> bool:
            await open_users.tenant(connection, tenant)
            await connection.execute(open_users.MEMBERS_CHANGED, tenant, key)
            gone = await connection.fetch(DELETE, tenant, key)
            await connection.execute(EMPTY, tenant, key)
            return bool(gone)

        return await self._database.write(delete)

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[Topic]:
        return [Topic(**row) for row in await self._database.lists.rows(PAGE, tenant, after, limit)]

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        return await self._database.write(lambda connection: subscribe(connection, tenant, key, users))

    async def unsubscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        async def unsubscribe(connection: Any) -> int:
            await open_users.tenant(connection, tenant)
            await open_users.changed(connection, tenant, users)
            return len(await connection.fetch(UNSUBSCRIBE, tenant, key, users))

        return await self._database.write(unsubscribe)

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        return [row[0] for row in await self._database.rows(MEMBERS, tenant, key, after, limit)]


async def subscribe(connection: Any, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
    """In the transaction; how many were new."""
    await open_users.tenant(connection, tenant)
    await open_users.changed(connection, tenant, users)
    await connection.execute(ENSURE, tenant, key)
    return len(await connection.fetch(SUBSCRIBE, tenant, key, users))
