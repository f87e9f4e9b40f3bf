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
    readings_by_key,
    readings_of,
)
from clarion.adapters.ledgers.sqlite.files import changed
from clarion.adapters.ledgers.sqlite.leases import SqliteLeases
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import (
    WHOLE,
    DeadRecord,
    DeadRecordFilter,
    Reading,
    ReadingKind,
    ReadingPlace,
)

_PLACE = "tenant = ?1 AND kind = ?2 AND key = ?3"
WHOLE_READER = f"SELECT worker FROM readings WHERE {_PLACE} AND partition = '{WHOLE}' LIMIT 1"
END_WHOLE = f"DELETE FROM readings WHERE {_PLACE} AND partition = '{WHOLE}'"
NEW = """
    INSERT INTO readings (tenant, kind, key, partition, position) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING
"""
TAKE = f"""
    UPDATE readings SET worker = ?4, fence = fence + 1
    WHERE {_PLACE} AND partition = ?5 AND (
        worker IS NULL OR worker IN (?4, ?6)
        OR NOT EXISTS (SELECT 1 FROM workers WHERE workers.id = readings.worker AND NOT reaped)
    )
    RETURNING {READING}
"""
MOVE = f"""
    UPDATE readings SET position = ?7, lag = ?8, trouble = ?9, at = ?10
    WHERE {_PLACE} AND partition = ?4 AND worker = ?5 AND fence = ?6
"""
GIVE_UP = f"UPDATE readings SET worker = NULL WHERE {_PLACE} AND worker = ?4"
LAST = f"SELECT max(fence), max(repeat) FROM readings WHERE {_PLACE} LIMIT 1"
REWOUND = """
    INSERT INTO readings (tenant, kind, key, partition, position, fence, repeat, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
"""
OF = f"""
    SELECT key, workers.id, {READING} FROM readings LEFT JOIN workers ON workers.id = worker AND NOT reaped
    WHERE tenant = ?1 AND kind = ?2
"""
FORGET = f"DELETE FROM readings WHERE {_PLACE}"


class SqliteReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, writer: Writer, readers: Readers, leases: SqliteLeases) -> None:
        self._writer = writer
        self._readers = readers
        self._leases = leases

    async def take(
        self,
        worker: WorkerId,
        place: ReadingPlace,
        wanted: Mapping[str, WorkerId | None],
        new: Mapping[str, Mapping[str, str]],
    ) -> Mapping[str, Reading]:
        where = place_values(place)

        def take(connection: sqlite3.Connection) -> Mapping[str, Reading]:
            if not self._leases.live(connection, [worker]):
                return {}
            if new and WHOLE not in new:
                whole = connection.execute(WHOLE_READER, where).fetchone()
                if whole is not None and whole[0] != worker:
                    return {}
                connection.execute(END_WHOLE, where)
            for partition, position in new.items():
                connection.execute(NEW, (*where, partition, position_text(position)))
            taken = [
                row
                for partition, from_ in wanted.items()
                for row in connection.execute(TAKE, (*where, worker, partition, from_)).fetchall()
            ]
            return readings_of(taken, worker)

        return await self._writer.call(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Mapping[str, Reading]) -> frozenset[str]:
        def move(connection: sqlite3.Connection) -> frozenset[str]:
            if not self._leases.live(connection, [worker]):
                return frozenset()
            return frozenset(
                partition
                for partition, one in to.items()
                if changed(
                    connection,
                    MOVE,
                    (
                        *place_values(place),
                        partition,
                        worker,
                        one.fence,
                        position_text(one.position),
                        one.lag,
                        one.trouble,
                        one.at,
                    ),
                )
            )

        return await self._writer.call(move)

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        await self._writer.call(
            lambda connection: changed(connection, GIVE_UP, (*place_values(place), worker))
        )

    async def rewind(
        self, place: ReadingPlace, to: Mapping[str, Mapping[str, str]], at: Instant, *, repeat: bool
    ) -> None:
        where = place_values(place)

        def rewind(connection: sqlite3.Connection) -> None:
            fence, repeats = connection.execute(LAST, where).fetchone()
            fence = 0 if fence is None else fence + 1
            repeats = (repeats or 0) + repeat
            connection.execute(FORGET, where)
            for partition, position in to.items():
                values = (partition, position_text(position), fence, repeats, at)
                connection.execute(REWOUND, (*where, *values))

        await self._writer.call(rewind)

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Mapping[str, Reading]]:
        return readings_by_key(
            await self._readers.call(
                lambda connection: connection.execute(OF, (tenant, kind.value)).fetchall()
            )
        )

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
