"""Topics, their subscribers, and search for users and topics by part of a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clarion.adapters.ledgers.memory import segments
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import owners
from clarion.model.channel import Channel
from clarion.model.ids import TenantId, UserNo
from clarion.model.topic import Topic
from clarion.model.user import User

NOBODY: frozenset[UserNo] = frozenset()


class MemoryTopics:
    """Implements `ports.ledger.Topics`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def put(self, tenant: TenantId, topic: Topic) -> None:
        def put() -> None:
            self._tables.topics[tenant, topic.key] = topic.name

        await self._transactions.write(put)

    async def delete(self, tenant: TenantId, key: str) -> bool:
        def delete() -> bool:
            segments.changed(self._tables, tenant, self._members(tenant, key))
            self._tables.subscriptions.pop((tenant, key), None)
            return self._tables.topics.pop((tenant, key), None) is not None

        return await self._transactions.write(delete)

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[Topic]:
        keys = sorted(key for of, key in self._tables.topics if of == tenant and key > after)
        return [_topic(self._tables, tenant, key) for key in keys[:limit]]

    async def subscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        return await self._transactions.write(lambda: subscribe(self._tables, tenant, key, users))

    async def unsubscribe(self, tenant: TenantId, key: str, users: Sequence[UserNo]) -> int:
        def unsubscribe() -> int:
            members = self._members(tenant, key)
            gone = members & set(users)
            segments.changed(self._tables, tenant, gone)
            self._tables.subscriptions[tenant, key] = members - gone
            return len(gone)

        return await self._transactions.write(unsubscribe)

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        return sorted(no for no in self._members(tenant, key) if no > after)[:limit]

    def _members(self, tenant: TenantId, key: str) -> frozenset[UserNo]:
        return self._tables.subscriptions.get((tenant, key), NOBODY)


class MemoryDirectory:
    """Implements `ports.ledger.Directory`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def with_contact(
        self, tenant: TenantId, channel: Channel, hash: bytes, limit: int
    ) -> Sequence[User]:
        return owners(self._tables, tenant, channel, hash)[:limit]

    async def users_near(self, tenant: TenantId, user_id: str, limit: int) -> Sequence[str]:
        return _near((name for of, name in self._tables.user_numbers if of == tenant), user_id, limit)

    async def topics(self, tenant: TenantId, keys: Sequence[str]) -> frozenset[str]:
        return frozenset(key for key in keys if (tenant, key) in self._tables.topics)

    async def topic(self, tenant: TenantId, key: str) -> Topic | None:
        return _topic(self._tables, tenant, key) if (tenant, key) in self._tables.topics else None

    async def topics_near(self, tenant: TenantId, key: str, limit: int) -> Sequence[str]:
        return _near((name for of, name in self._tables.topics if of == tenant), key, limit)


def subscribe(tables: Tables, tenant: TenantId, key: str, users: Iterable[UserNo]) -> int:
    """Inside a transaction; how many were new."""
    tables.topics.setdefault((tenant, key), "")
    members = tables.subscriptions.get((tenant, key), NOBODY)
    new = set(users) - members
    segments.changed(tables, tenant, new)
    tables.subscriptions[tenant, key] = members | new
    return len(new)


def _topic(tables: Tables, tenant: TenantId, key: str) -> Topic:
    members = len(tables.subscriptions.get((tenant, key), NOBODY))
    return Topic(key=key, name=tables.topics[tenant, key], members=members)


def _near(names: Iterable[str], name: str, limit: int) -> list[str]:
    """Before and behind it in the alphabet, at most so many each way."""
    ordered = sorted(names)
    before = [one for one in ordered if one < name]
    return [*before[-limit:][::-1], *[one for one in ordered if one >= name][:limit]]
