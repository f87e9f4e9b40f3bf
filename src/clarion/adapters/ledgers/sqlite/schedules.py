"""Schedules."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.sqlite.files import changed
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleChange, ScheduleRow

_COLUMNS = "tenant, key, id, revision, sealed, due_at"
ADD = f"INSERT INTO schedules ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
REPLACE = """
    UPDATE schedules SET revision = ?4, sealed = ?5, due_at = ?6
    WHERE tenant = ?1 AND key = ?2 AND id = ?3 AND revision = ?7
"""
GET = f"SELECT {_COLUMNS} FROM schedules WHERE tenant = ? AND key = ?"
PAGE = f"SELECT {_COLUMNS} FROM schedules WHERE tenant = ? AND key > ? ORDER BY key LIMIT ?"
DROP = "DELETE FROM schedules WHERE tenant = ? AND key = ?"
DUE = f"SELECT {_COLUMNS} FROM schedules WHERE due_at <= ? ORDER BY due_at LIMIT ?"


class SqliteSchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put(self, row: ScheduleRow, after: int | None) -> bool:
        return await self._writer.call(lambda connection: _put(connection, row, after))

    async def get(self, tenant: TenantId, key: str) -> ScheduleRow | None:
        def read(connection: sqlite3.Connection) -> ScheduleRow | None:
            row = connection.execute(GET, (tenant, key)).fetchone()
            return None if row is None else _row(row)

        return await self._readers.call(read)

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[ScheduleRow]:
        return await self._readers.call(lambda connection: _rows(connection, PAGE, tenant, after, limit))

    async def drop(self, tenant: TenantId, key: str) -> bool:
        return bool(await self._writer.call(lambda connection: changed(connection, DROP, (tenant, key))))

    async def due(self, now: Instant, limit: int) -> Sequence[ScheduleRow]:
        return await self._readers.call(lambda connection: _rows(connection, DUE, now, limit))


def change_schedule(connection: sqlite3.Connection, change: ScheduleChange) -> bool:
    """Inside a transaction. Whether it follows what is stored."""
    if change.row is None:
        return bool(changed(connection, DROP, (change.tenant, change.key)))
    return _put(connection, change.row, change.after)


def _put(connection: sqlite3.Connection, row: ScheduleRow, after: int | None) -> bool:
    values = (row.tenant, row.key, row.id, row.revision, row.sealed, row.due_at)
    statement, given = (ADD, values) if after is None else (REPLACE, (*values, after))
    return bool(changed(connection, statement, given))


def _rows(connection: sqlite3.Connection, statement: str, *values: object) -> list[ScheduleRow]:
    return [_row(row) for row in connection.execute(statement, values).fetchall()]


def _row(found: Sequence[Any]) -> ScheduleRow:
    tenant, key, schedule, revision, sealed, due_at = found
    return ScheduleRow(tenant=tenant, key=key, id=schedule, revision=revision, sealed=sealed, due_at=due_at)
