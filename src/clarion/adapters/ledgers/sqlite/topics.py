"""Topics and their subscribers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.sqlite import open_users
from clarion.adapters.ledgers.sqlite.files import changed
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import TenantId, UserNo
from clarion.model.topic import Topic

_topics, _members = schema.topics.c, schema.subscriptions.c
_tenant: Any = bindparam("of_tenant")
_topic: Any = bindparam("of_topic")
_after: Any = bindparam("after")
_limit: Any = bindparam("most")
_here = (_members.tenant == _tenant) & (_members.topic == _topic)

_new = insert(schema.topics).values(tenant=_tenant, key=_topic, name=bindparam("new_name"))
PUT = Command(_new.on_conflict_do_update(index_elements=["tenant", "key"], set_={"name": _new.excluded.name}))
ENSURE = Command(_new.on_conflict_do_nothing())
DELETE = Command(delete(schema.topics).where(_topics.tenant == _tenant, _topics.key == _topic))
EMPTY = Command(delete(schema.subscriptions).where(_here))

_counted = select(
    _topics.key,
    _topics.name,
    select(func.count())
    .select_from(schema.subscriptions)
    .where(_members.tenant == _topics.tenant, _members.topic == _topics.key)
    .scalar_subquery()
    .label("members"),
).where(_topics.tenant == _tenant)
ONE = Query(_counted.where(_topics.key == _topic).limit(1))
PAGE = Query(_counted.where(_topics.key > _after).order_by(_topics.key).limit(_limit))
MEMBERS = Query(
    select(_members.user).where(_here, _members.user > _after).order_by(_members.user).limit(_limit)
)

SUBSCRIBE = """
    INSERT INTO subscriptions (tenant, topic, user) SELECT ?2, ?3, value FROM json_each(?1) WHERE true
    ON CONFLICT DO NOTHING
"""
UNSUBSCRIBE = """
    DELETE FROM subscriptions
    WHERE tenant = ?2 AND topic = ?3 AND user IN (SELECT value FROM json_each(?1))
"""


class SqliteTopics:
    """Implements `ports.ledger.Topics`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        await self._writer.call(lambda c: PUT(c, of_tenant=tenant, of_topic=topic.key, new_name=topic.name))

    async def delete(self, tenant: TenantId, key: str) -> bool:
        def delete(connection: sqlite3.Connection) -> int:
            connection.execute(open_users.MEMBERS_CHANGED, (tenant, key))
            EMPTY(connection, of_tenant=tenant, of_topic=key)
            return DELETE(connection, of_tenant=tenant, of_topic=key)

        return await self._writer.call(delete) > 0

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[Topic]:
        found = await self._readers.call(lambda c: PAGE.rows(c, of_tenant=tenant, after=after, most=limit))
        return [Topic(key=key, name=name, members=members) for key, name, members in found]

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        return await self._writer.call(
            lambda connection: subscribe(connection, tenant, key, users), rows=max(1, len(users))
        )

    async def unsubscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        def unsubscribe(connection: sqlite3.Connection) -> int:
            open_users.changed(connection, tenant, users)
            return changed(connection, UNSUBSCRIBE, (encoded(users), tenant, key))

        return await self._writer.call(unsubscribe, rows=max(1, len(users)))

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        found = await self._readers.call(
            lambda c: MEMBERS.rows(c, of_tenant=tenant, of_topic=key, after=after, most=limit)
        )
        return [no for (no,) in found]


def subscribe(connection: sqlite3.Connection, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
    """In a transaction of the writer; how many were new."""
    ENSURE(connection, of_tenant=tenant, of_topic=key, new_name="")
    open_users.changed(connection, tenant, users)
    return changed(connection, SUBSCRIBE, (encoded(users), tenant, key))
