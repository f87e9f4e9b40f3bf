"""How far the topics and queues of tenants were read, and what of it waits for a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.reading_rows import (
    READING,
    dead_record_of,
    filter_values,
    place_values,
    position_text,
    reading_of,
)
from clarion.adapters.ledgers.sqlite.files import changed
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, Reading, ReadingKind, ReadingPlace

TAKE = f"""
    INSERT INTO readings (tenant, kind, key, worker) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (tenant, kind, key) DO UPDATE SET worker = excluded.worker, fence = fence + 1
    WHERE worker IS NULL OR worker = excluded.worker
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = readings.worker AND NOT reaped)
    RETURNING {READING}
"""
MOVE = """
    UPDATE readings SET position = ?6, lag = ?7, trouble = ?8, at = ?9
    WHERE tenant = ?1 AND kind = ?2 AND key = ?3 AND worker = ?4 AND fence = ?5
"""
GIVE_UP = "UPDATE readings SET worker = NULL WHERE tenant = ?1 AND kind = ?2 AND key = ?3 AND worker = ?4"
REWIND = """
    INSERT INTO readings (tenant, kind, key, position, repeat, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (tenant, kind, key) DO UPDATE SET position = excluded.position, fence = fence + 1, worker = NULL,
        repeat = repeat + excluded.repeat, lag = NULL, trouble = '', at = excluded.at
"""
OF = f"SELECT key, {READING} FROM readings WHERE tenant = ?1 AND kind = ?2"
FORGET = "DELETE FROM readings WHERE tenant = ?1 AND kind = ?2 AND key = ?3"


class SqliteReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, writer: Writer, readers: Readers, leases: SqliteLeases) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases

    async def take(self, worker: WorkerId, place: ReadingPlace) -> Reading | None:
        def take(connection: sqlite3.Connection) -> Reading | None:
            if not self._leases.live(connection, [worker]):
                return None
            row = connection.execute(TAKE, (*place_values(place), worker)).fetchone()
            return None if row is None else reading_of(row)

        return await self._writer.call(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Reading) -> bool:
        def move(connection: sqlite3.Connection) -> bool:
            if not self._leases.live(connection, [worker]):
                return False
            values = (position_text(to.position), to.lag, to.trouble, to.at)
            return changed(connection, MOVE, (*place_values(place), worker, to.fence, *values)) == 1

        return await self._writer.call(move)

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        await self._writer.call(
            lambda connection: changed(connection, GIVE_UP, (*place_values(place), worker))
        )

    async def rewind(
        self, place: ReadingPlace, position: Mapping[str, str], at: Instant, *, repeat: bool
    ) -> None:
        values = (*place_values(place), position_text(position), int(repeat), at)
        await self._writer.call(lambda connection: changed(connection, REWIND, values))

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Reading]:
        found = await self._readers.call(
            lambda connection: connection.execute(OF, (tenant, kind.value)).fetchall()
        )
        return {key: reading_of(row) for key, *row in found}

    async def forget(self, place: ReadingPlace) -> None:
        await self._writer.call(lambda connection: changed(connection, FORGET, place_values(place)))


_table = schema.dead_records
_columns = _table.c
_mine = _columns.tenant == bindparam("of_tenant")
_kind: Any = bindparam("of_kind")
_origin: Any = bindparam("of_origin")
_where = (
    _mine,
    or_(_kind.is_(None), _columns.kind == _kind),
    or_(_origin.is_(None), _columns.origin == _origin),
)
_NEWEST = 2**62

KEEP = Command(
    insert(_table)
    .values({c.name: bindparam(f"new_{c.name}") for c in _columns if c.name != "seq"})
    .on_conflict_do_nothing()
)
PAGE = Query(
    select(_table)
    .where(*_where, _columns.seq < bindparam("before"))
    .order_by(_columns.seq.desc())
    .limit(bindparam("most"))
)
ONE = Query(select(_table).where(_mine, _columns.seq == bindparam("of_seq")).limit(1))
DROP = Command(delete(_table).where(_mine, _columns.seq == bindparam("of_seq")))
COUNT = Query(
    select(func.count())
    .select_from(select(_columns.seq).where(*_where).limit(bindparam("most")).subquery())
    .limit(1)
)


class SqliteDeadRecords:
    """Implements `ports.ledger.DeadRecords`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def keep(self, records: Sequence[DeadRecord]) -> None:
        def keep(connection: sqlite3.Connection) -> None:
            for one in records:
                KEEP(
                    connection,
                    new_tenant=one.tenant,
                    new_kind=one.kind.value,
                    new_origin=one.origin,
                    new_place=one.place,
                    new_reason=one.reason,
                    new_detail=one.detail,
                    new_sealed=one.sealed,
                    new_at=one.at,
                )

        await self._writer.call(keep, rows=len(records))

    async def page(
        self, tenant: TenantId, where: DeadRecordFilter, before: int | None, limit: int
    ) -> Sequence[DeadRecord]:
        values = _values(tenant, where) | {"before": _NEWEST if before is None else before, "most": limit}
        return [
            dead_record_of(row)
            for row in await self._readers.call(lambda connection: PAGE.rows(connection, **values))
        ]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[DeadRecord]:
        def look(connection: sqlite3.Connection) -> list[DeadRecord]:
            found = (ONE.rows(connection, of_tenant=tenant, of_seq=seq) for seq in dict.fromkeys(seqs))
            return [dead_record_of(row) for rows in found for row in rows]

        return await self._readers.call(look)

    async def drop(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        return await self._writer.call(
            lambda connection: sum(
                DROP(connection, of_tenant=tenant, of_seq=seq) for seq in dict.fromkeys(seqs)
            ),
            rows=len(seqs),
        )

    async def count(self, tenant: TenantId, where: DeadRecordFilter, most: int) -> int:
        values = _values(tenant, where) | {"most": most}
        ((count,),) = await self._readers.call(lambda connection: COUNT.rows(connection, **values))
        return int(count)


def _values(tenant: TenantId, where: DeadRecordFilter) -> dict[str, Any]:
    return dict(zip(("of_tenant", "of_kind", "of_origin"), filter_values(tenant, where), strict=True))
