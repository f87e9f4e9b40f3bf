"""Search for users and topics by part of a name."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.sqlite import user_statements as sql
from clarion.adapters.ledgers.sqlite.files import rows
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.topics import ONE as TOPIC
from clarion.adapters.ledgers.sqlite.users import UserRows
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.topic import Topic
from clarion.model.user import User


class SqliteDirectory:
    """Implements `ports.ledger.Directory`."""

    def __init__(self, readers: Readers, user_rows: UserRows) -> None:
        self._readers = readers
        self._user_rows = user_rows

    async def with_contact(
        self, tenant: TenantId, channel: Channel, hash: bytes, limit: int
    ) -> Sequence[User]:
        wanted = (encoded([(tenant, channel.value)]), hash)
        return await self._readers.call(
            lambda connection: self._user_rows.opened(
                connection,
                sql.USERS_BY_NUMBER,
                (encoded(sorted(user for _, user in rows(connection, sql.OWNERS, wanted))[:limit]),),
            )
        )

    async def users_near(self, tenant: TenantId, user_id: str, limit: int) -> Sequence[str]:
        return [name for (name,) in await self._readers.rows(sql.USERS_NEAR, (tenant, user_id, limit))]

    async def topics(self, tenant: TenantId, keys: Sequence[str]) -> frozenset[str]:
        found = await self._readers.rows(sql.TOPICS_KNOWN, (tenant, encoded(keys)))
        return frozenset(key for (key,) in found)

    async def topic(self, tenant: TenantId, key: str) -> Topic | None:
        found = await self._readers.call(lambda c: TOPIC.rows(c, of_tenant=tenant, of_topic=key))
        return Topic(key=found[0][0], name=found[0][1], members=found[0][2]) if found else None

    async def topics_near(self, tenant: TenantId, key: str, limit: int) -> Sequence[str]:
        return [name for (name,) in await self._readers.rows(sql.TOPICS_NEAR, (tenant, key, limit))]
