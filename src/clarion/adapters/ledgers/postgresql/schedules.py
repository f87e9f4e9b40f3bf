"""Schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.adapters.ledgers.postgresql.users import storable
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange, ScheduleRow

_COLUMNS = "tenant, key, id, revision, sealed, due_at"
ADD = (
    f"INSERT INTO schedules ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING key"
)
REPLACE = """
    UPDATE schedules SET revision = $4, sealed = $5, due_at = $6
    WHERE tenant = $1 AND key = $2 AND id = $3 AND revision = $7 RETURNING key
"""
GET = f"SELECT {_COLUMNS} FROM schedules WHERE tenant = $1 AND key = $2"
PAGE = f"SELECT {_COLUMNS} FROM schedules WHERE tenant = $1 AND key > $2 ORDER BY key LIMIT $3"
DROP = "DELETE FROM schedules WHERE tenant = $1 AND key = $2 RETURNING key"
DUE = f"SELECT {_COLUMNS} FROM schedules WHERE due_at <= $1 ORDER BY due_at LIMIT $2"


class PostgresSchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, row: ScheduleRow, after: int | None) -> bool:
        return await self._database.write(lambda connection: _put(connection, row, after))

    async def get(self, tenant: TenantId, key: str) -> ScheduleRow | None:
        row = await self._database.row(GET, tenant, key) if storable(key) else None
        return None if row is None else ScheduleRow(**row)

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[ScheduleRow]:
        return [ScheduleRow(**row) for row in await self._database.lists.rows(PAGE, tenant, after, limit)]

    async def drop(self, tenant: TenantId, key: str) -> bool:
        return bool(await self._database.write(lambda connection: connection.fetch(DROP, tenant, key)))

    async def due(self, now: Instant, limit: int) -> Sequence[ScheduleRow]:
        return [ScheduleRow(**row) for row in await self._database.rows(DUE, now, limit)]


async def change_schedule(connection: Any, change: ScheduleChange) -> bool:
    """Inside a transaction. Whether it follows what is stored."""
    if change.row is None:
        return bool(await connection.fetch(DROP, change.tenant, change.key))
    return await _put(connection, change.row, change.after)


async def _put(connection: Any, row: ScheduleRow, after: int | None) -> bool:
    values = (row.tenant, row.key, row.id, row.revision, row.sealed, row.due_at)
    statement = (ADD, *values) if after is None else (REPLACE, *values, after)
    return bool(await connection.fetch(*statement))
