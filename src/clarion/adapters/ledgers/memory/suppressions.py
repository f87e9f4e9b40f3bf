"""Addresses that must not be used again, by keyed hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import owners, with_suppressions
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.rules.exact import outlasts


class MemorySuppressions:
    """Implements `ports.ledger.Suppressions`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def add(self, rows: Sequence[Suppression]) -> None:
        await self._transactions.write(lambda: suppress(self._tables, rows))

    async def remove(self, tenant: TenantId, channel: Channel, hash: bytes) -> bool:
        return await self._transactions.write(lambda: allow(self._tables, tenant, channel, hash))

    async def find(self, tenant: TenantId, hash: bytes) -> Suppression | None:
        return next((one for one in self._of(tenant) if one.hash == hash), None)

    async def page(
        self, tenant: TenantId, where: SuppressionFilter, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        found = [
            one
            for one in self._of(tenant)
            if (before is None or (one.at, one.hash) < before) and _matches(one, where)
        ]
        return sorted(found, key=lambda one: (one.at, one.hash), reverse=True)[:limit]

    async def expire(self, now: Instant, limit: int) -> int:
        def expire() -> int:
            ending = [one for one in self._tables.suppressions.values() if one.expires_at is not None]
            over = [one for one in ending if one.expires_at is not None and one.expires_at <= now][:limit]
            for one in over:
                allow(self._tables, one.tenant, one.channel, one.hash)
            return len(over)

        return await self._transactions.write(expire)

    def _of(self, tenant: TenantId) -> list[Suppression]:
        return [one for one in self._tables.suppressions.values() if one.tenant == tenant]


def _matches(one: Suppression, where: SuppressionFilter) -> bool:
    wanted = ((where.channel, one.channel), (where.reason, one.reason), (where.source, one.source))
    return (
        all(asked is None or asked == is_ for asked, is_ in wanted)
        and (where.since is None or one.at >= where.since)
        and (where.before is None or one.at < where.before)
    )


# Inside a transaction:


def suppress(tables: Tables, rows: Iterable[Suppression]) -> None:
    """Whoever has one of these addresses has lost it. What is suppressed already keeps its reason, unless it ends earlier."""
    for one in rows:
        if one.registered_before is not None and registered_since(tables, one):
            continue
        place = one.tenant, one.channel, one.hash
        stored = tables.suppressions.get(place)
        if stored is None or outlasts(one, stored):
            tables.suppressions[place] = replace(one, registered_before=None)
        _tell(tables, one.tenant, one.channel, one.hash)


def registered_since(tables: Tables, gone: Suppression) -> bool:
    """Whether a device has registered the address again since it was gone."""
    return any(
        device.address and device.hash == gone.hash and state.seen_at > (gone.registered_before or 0)
        for (tenant, device_id), state in tables.devices.items()
        if tenant == gone.tenant
        and (device := tables.users[state.user].profile.device(device_id)) is not None
    )


def allow(tables: Tables, tenant: TenantId, channel: Channel, hash_: bytes) -> bool:
    """Whether it was suppressed."""
    found = tables.suppressions.pop((tenant, channel, hash_), None)
    _tell(tables, tenant, channel, hash_)
    return found is not None


def _tell(tables: Tables, tenant: TenantId, channel: Channel, hash_: bytes) -> None:
    for user in owners(tables, tenant, channel, hash_):
        told = with_suppressions(tables, user)
        if told is not user:
            tables.users[user.no] = told
