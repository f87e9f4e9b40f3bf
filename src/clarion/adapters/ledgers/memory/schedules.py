"""Schedules."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange, ScheduleRow


class MemorySchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def put(self, row: ScheduleRow, after: int | None) -> bool:
        return await self._transactions.write(lambda: _put(self._tables, row, after))

    async def get(self, tenant: TenantId, key: str) -> ScheduleRow | None:
        return self._tables.schedules.get((tenant, key))

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[ScheduleRow]:
        found = [row for row in self._tables.schedules.values() if row.tenant == tenant and row.key > after]
        return sorted(found, key=lambda row: row.key)[:limit]

    async def drop(self, tenant: TenantId, key: str) -> bool:
        def drop() -> bool:
            return self._tables.schedules.pop((tenant, key), None) is not None

        return await self._transactions.write(drop)

    async def due(self, now: Instant, limit: int) -> Sequence[ScheduleRow]:
        found = [
            (row.due_at, row)
            for row in self._tables.schedules.values()
            if row.due_at is not None and row.due_at <= now
        ]
        return [row for _, row in sorted(found, key=lambda one: one[0])[:limit]]


def change_schedule(tables: Tables, change: ScheduleChange) -> bool:
    """Inside a transaction. Whether it follows what is stored."""
    if change.row is None:
        return tables.schedules.pop((change.tenant, change.key), None) is not None
    return _put(tables, change.row, change.after)


def _put(tables: Tables, row: ScheduleRow, after: int | None) -> bool:
    stored = tables.schedules.get((row.tenant, row.key))
    before = None if stored is None else (stored.id, stored.revision)
    follows = before == (None if after is None else (row.id, after))
    if follows:
        tables.schedules[row.tenant, row.key] = row
    return follows
