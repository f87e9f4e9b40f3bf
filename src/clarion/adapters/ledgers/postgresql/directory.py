"""Search for users and topics by part of a name."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.topics import FIND as TOPIC
from clarion.adapters.ledgers.postgresql.users import BY_NUMBER, PostgresUserRows, storable
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.topic import Topic
from clarion.model.user import User

OWNERS = """
    SELECT "user" FROM contact_hashes WHERE tenant = $1 AND hash = $2 AND channel = $3 ORDER BY "user" LIMIT $4
"""
TOPICS_KNOWN = "SELECT key FROM topics WHERE tenant = $1 AND key = ANY($2::text[])"


def _near(table: str, column: str) -> str:
    """The names before and behind $2 in the order of an index, at most $3 each way."""
    half = f"(SELECT {column} FROM {table} WHERE tenant = $1 AND {column} {{}} $2 ORDER BY {column} {{}} LIMIT $3)"
    return f"{half.format('<', 'DESC')} UNION ALL {half.format('>=', 'ASC')}"


USERS_NEAR = _near("users", "user_id")
TOPICS_NEAR = _near("topics", "key")


class PostgresDirectory:
    """Implements `ports.ledger.Directory`."""

    def __init__(self, database: Database, user_rows: PostgresUserRows) -> None:
        self._database = database
        self._user_rows = user_rows

    async def with_contact(
        self, tenant: TenantId, channel: Channel, hash: bytes, limit: int
    ) -> Sequence[User]:
        numbers = [row[0] for row in await self._database.rows(OWNERS, tenant, hash, channel.value, limit)]
        found = await self._database.rows(BY_NUMBER, numbers) if numbers else ()
        return [self._user_rows.opened(row) for row in found]

    async def users_near(self, tenant: TenantId, user_id: str, limit: int) -> Sequence[str]:
        return await self._near(USERS_NEAR, tenant, user_id, limit)

    async def topics(self, tenant: TenantId, keys: Sequence[str]) -> frozenset[str]:
        wanted = [key for key in keys if storable(key)]
        return frozenset(row[0] for row in await self._database.rows(TOPICS_KNOWN, tenant, wanted))

    async def topic(self, tenant: TenantId, key: str) -> Topic | None:
        row = await self._database.row(TOPIC, tenant, key)
        return None if row is None else Topic(**row)

    async def topics_near(self, tenant: TenantId, key: str, limit: int) -> Sequence[str]:
        return await self._near(TOPICS_NEAR, tenant, key, limit)

    async def _near(self, statement: str, tenant: TenantId, name: str, limit: int) -> Sequence[str]:
        if not storable(name):
            return ()
        return [row[0] for row in await self._database.rows(statement, tenant, name, limit)]
