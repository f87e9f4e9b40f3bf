"""Live resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.live import LiveRow


class MemoryLives:
    """Implements `ports.ledger.Lives`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def put(self, row: LiveRow, after: int | None) -> bool:
        def put() -> bool:
            stored = self._tables.lives.get((row.tenant, row.key))
            follows = stored is None if after is None else _is_state(stored, row.id, after)
            if follows:
                self._tables.lives[row.tenant, row.key] = row
            return follows

        return await self._transactions.write(put)

    async def get(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, LiveRow]:
        lives = self._tables.lives
        return {key: lives[tenant, key] for key in keys if (tenant, key) in lives}

    async def page(self, tenant: TenantId, ended: bool | None, after: str, limit: int) -> Sequence[LiveRow]:
        found = [
            row
            for row in self._tables.lives.values()
            if row.tenant == tenant and row.key > after and ended in (None, row.ended_at is not None)
        ]
        return sorted(found, key=lambda row: row.key)[:limit]

    async def drop(self, tenant: TenantId, key: str, id: bytes) -> bool:
        def drop() -> bool:
            stored = self._tables.lives.get((tenant, key))
            there = stored is not None and stored.id == id
            if there:
                del self._tables.lives[tenant, key]
            return there

        return await self._transactions.write(drop)

    async def due(self, now: Instant, limit: int) -> Sequence[LiveRow]:
        found = [
            (row.due_at, row)
            for row in self._tables.lives.values()
            if row.due_at is not None and row.due_at <= now
        ]
        return [row for _, row in sorted(found, key=lambda one: one[0])[:limit]]

    async def looked_at(
        self, tenant: TenantId, key: str, id: bytes, sequence: int, due_at: Instant | None
    ) -> None:
        def note() -> None:
            stored = self._tables.lives.get((tenant, key))
            if stored is not None and _is_state(stored, id, sequence):
                self._tables.lives[tenant, key] = replace(stored, due_at=due_at)

        await self._transactions.write(note)


def _is_state(stored: LiveRow | None, id: bytes, sequence: int) -> bool:
    return stored is not None and stored.id == id and stored.sequence == sequence
