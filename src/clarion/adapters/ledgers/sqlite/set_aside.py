"""Events that could not be planned, set aside for manual review."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from clarion.adapters.ledgers import schema
from clarion.adapters.ledgers.set_aside_rows import set_aside_of
from clarion.adapters.ledgers.sqlite.log import Kept, SqliteLog
from clarion.adapters.ledgers.sqlite.ordinary import Command, Query
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.ids import EventId, Instant, TenantId

_table = schema.set_aside
_columns = _table.c
_tenant: Any = bindparam("of_tenant")
_waits = _columns.discarded_at.is_(None)
_mine = (_columns.tenant == _tenant) & (_columns.seq == bindparam("of_seq"))
_NEWEST = 2**62

KEEP = Command(
    insert(_table)
    .values({c.name: bindparam(f"new_{c.name}") for c in _columns if c.name not in ("seq", "discarded_at")})
    .on_conflict_do_nothing()
)
PAGE = Query(
    select(_table)
    .where(_columns.tenant == _tenant, _columns.seq < bindparam("before"), _waits)
    .order_by(_columns.seq.desc())
    .limit(bindparam("most"))
)
ONE = Query(select(_table).where(_mine).limit(1))
OF_EVENT = Query(
    select(_table)
    .where(_columns.tenant == _tenant, _columns.event_id == bindparam("of_event"))
    .order_by(_columns.seq.desc())
    .limit(1)
)
DROP = Command(delete(_table).where(_mine))
DISCARD = Command(update(_table).where(_mine, _waits).values(discarded_at=bindparam("now")))
WAITING = Query(select(func.count()).select_from(_table).where(_waits).limit(1))


class SqliteSetAsides:
    """Implements `ports.ledger.SetAsides`."""

    def __init__(self, writer: Writer, readers: Readers, local: sqlite3.Connection, log: SqliteLog) -> None:
        self._writer = writer
        self._readers = readers
        self._log = log
        self._waiting = _waiting(local)

    async def keep(
        self, events: Sequence[SetAside], consumed: Sequence[Consumed], bodies: Sequence[Entry]
    ) -> None:
        def keep(connection: sqlite3.Connection) -> tuple[Kept, int]:
            brought = self._log.keep(connection, bodies)
            for one in events:
                KEEP(
                    connection,
                    new_event_id=one.event_id,
                    new_tenant=one.tenant,
                    new_lane=one.lane.value,
                    new_workflow=one.workflow,
                    new_reason=one.reason.value,
                    new_detail=one.detail,
                    new_at=one.at,
                )
            positions = {**brought.positions, **self._log.cursors.advance(connection, consumed)}
            return Kept(brought.entries, positions), _waiting(connection)

        def kept(result: tuple[Kept, int]) -> None:
            self._log.noted(result[0].entries)
            self._log.advanced(result[0].positions)
            self._count(result[1])

        await self._writer.call(keep, rows=len(events), after=kept)

    async def page(self, tenant: TenantId, before: int | None, limit: int) -> Sequence[SetAside]:
        found = await self._readers.call(
            lambda connection: PAGE.rows(
                connection, of_tenant=tenant, before=_NEWEST if before is None else before, most=limit
            )
        )
        return [set_aside_of(row) for row in found]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[SetAside]:
        def look(connection: sqlite3.Connection) -> list[SetAside]:
            found = (ONE.rows(connection, of_tenant=tenant, of_seq=seq) for seq in dict.fromkeys(seqs))
            return [set_aside_of(row) for rows in found for row in rows]

        return await self._readers.call(look)

    async def forget(self, tenant: TenantId, seqs: Sequence[int]) -> None:
        def forget(connection: sqlite3.Connection) -> int:
            for seq in seqs:
                DROP(connection, of_tenant=tenant, of_seq=seq)
            return _waiting(connection)

        await self._writer.call(forget, rows=len(seqs), after=self._count)

    async def discard(self, tenant: TenantId, seq: int, at: Instant) -> bool:
        def discard(connection: sqlite3.Connection) -> tuple[int, int]:
            return DISCARD(connection, of_tenant=tenant, of_seq=seq, now=at), _waiting(connection)

        discarded, _ = await self._writer.call(discard, after=lambda result: self._count(result[1]))
        return bool(discarded)

    async def waiting(self) -> int:
        return self._waiting

    def _count(self, waiting: int) -> None:
        self._waiting = waiting


def newest_of(connection: sqlite3.Connection, tenant: TenantId, event_id: EventId) -> SetAside | None:
    """The newest of an event, also if it was discarded."""
    found = OF_EVENT.rows(connection, of_tenant=tenant, of_event=event_id)
    return set_aside_of(found[0]) if found else None


def _waiting(connection: sqlite3.Connection) -> int:
    ((count,),) = WAITING.rows(connection)
    return int(count)
