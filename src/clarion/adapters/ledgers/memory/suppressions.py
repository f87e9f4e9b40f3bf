"""Addresses that must not be used again, by keyed hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import owners, with_suppressions
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId
from clarion.model.suppression import Suppression


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
        self, tenant: TenantId, before: tuple[Instant, bytes] | None, limit: int
    ) -> Sequence[Suppression]:
        found = [one for one in self._of(tenant) if before is None or (one.at, one.hash) < before]
        return sorted(found, key=lambda one: (one.at, one.hash), reverse=True)[:limit]

    def _of(self, tenant: TenantId) -> list[Suppression]:
        return [one for one in self._tables.suppressions.values() if one.tenant == tenant]


# Inside a transaction:


def suppress(tables: Tables, rows: Iterable[Suppression]) -> None:
    """Whoever has one of these addresses has lost it. What is suppressed already keeps its reason."""
    for one in rows:
        if one.registered_before is not None and registered_since(tables, one):
            continue
        tables.suppressions.setdefault((one.tenant, one.channel, one.hash), one)
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
