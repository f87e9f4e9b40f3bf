"""Worker leases: only a worker with a live lease may write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from clarion.adapters.ledgers.sqlite import calls
from clarion.adapters.ledgers.sqlite import lease_statements as sql
from clarion.adapters.ledgers.sqlite.files import changed, open_writer
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.worker_rows import stored, worker_of
from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.model.worker import Process, Reaped, Worker

SLICE = 500
"""Messages that are made due in one transaction, where an index finds them."""
SCANNED = 5_000
"""Messages that one transaction goes through, where none does."""


class SqliteLeases:
    """Implements `ports.ledger.Leases`."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    async def open(self, process: Process, now: Instant, until: Instant) -> WorkerId:
        row = (now, until, *stored(process))
        number = await self._writer.call(lambda c: c.execute(sql.OPEN, row).lastrowid)
        assert number is not None
        return WorkerId(number)

    async def beat(self, worker: WorkerId, until: Instant, oldest: MessageId | None, held: int = 0) -> bool:
        return await self._writer.call(lambda c: changed(c, sql.BEAT, (worker, until, oldest, held)) == 1)

    async def reap(self, now: Instant) -> Reaped:
        return await self._writer.call(lambda connection: self._reap(connection, now), rows=SLICE)

    async def give_back(self, worker: WorkerId, messages: Sequence[Message], at: Instant) -> None:
        if messages:
            fences = encoded([(message.fence,) for message in messages])
            ids = [message.id for message in messages]
            named = (fences, b"".join(ids), at, worker)

            def free(connection: sqlite3.Connection) -> None:
                begun = calls.under_way(connection)
                connection.execute(sql.FREE_NAMED, named)
                calls.drop_ended(connection, begun, frozenset(ids))

            await self._writer.call(free, rows=len(messages))

    async def workers(self) -> Sequence[Worker]:
        rows = await self._readers.call(lambda connection: connection.execute(sql.WORKERS).fetchall())
        return [
            worker_of(*facts, described=described, plans=plans.split(",") if plans else ())
            for *facts, plans, described in ((*row[:6], row[6:]) for row in rows)
        ]

    async def drain(self, node: str) -> int:
        return await self._writer.call(lambda connection: changed(connection, sql.DRAIN, (node,)))

    # -- in the writer's thread -------------------------------------------------------------------------------

    def live(self, connection: sqlite3.Connection, workers: Iterable[WorkerId]) -> frozenset[WorkerId]:
        """Those that still hold what they hold."""
        one = connection.execute
        return frozenset([w for w in dict.fromkeys(workers) if one(sql.LIVE, (w,)).fetchone() is not None])

    def planned(self, connection: sqlite3.Connection, worker: WorkerId, held: Iterable[MessageId]) -> None:
        """The live worker holds these from their first moment."""
        oldest = min(held, default=None)
        ((before,),) = connection.execute(sql.LIVE, (worker,)).fetchall()
        if oldest is not None and (before is None or oldest < before):
            connection.execute(sql.PLANNED, (worker, oldest))

    def _reap(self, connection: sqlite3.Connection, now: Instant) -> Reaped:
        workers = changed(connection, sql.REAP, (now,))
        dead = connection.execute(sql.DEAD).fetchone()
        if dead is None:
            return Reaped(workers=workers)
        worker, oldest = dead
        connection.execute(sql.FREE_CONTINUATIONS, (worker,))
        connection.execute(sql.FREE_RUNS, (worker,))
        connection.execute(sql.FREE_CAMPAIGNS, (worker,))
        connection.execute(sql.FREE_RANGES, (worker,))
        freed = changed(connection, sql.FREE_CLAIMED, (now, worker, SLICE))
        if freed < SLICE:
            freed += self._free_planned(connection, now, worker, oldest)
        return Reaped(workers=workers, messages=freed, more=True)

    def _free_planned(
        self, connection: sqlite3.Connection, now: Instant, worker: WorkerId, oldest: bytes | None
    ) -> int:
        """What it held since it was planned, slice by slice from the oldest on; behind the last one it is forgotten."""
        if oldest is None:
            _forget(connection, worker)
            return 0
        end = connection.execute(sql.BEHIND, (oldest, SCANNED)).fetchone()
        if end is None:
            freed = changed(connection, sql.FREE_BEHIND, (now, worker, oldest))
            _forget(connection, worker)
            return freed
        connection.execute(sql.PASSED, (worker, end[0]))
        return changed(connection, sql.FREE_BETWEEN, (now, worker, oldest, end[0]))


def _forget(connection: sqlite3.Connection, worker: WorkerId) -> None:
    for statement in sql.FORGET:
        connection.execute(statement, (worker,))


def end_all(path: Path) -> None:
    """The leases of all earlier processes are over: this one has the file to itself."""
    connection = open_writer(path)
    try:
        connection.execute(sql.END_ALL)
    finally:
        connection.close()
