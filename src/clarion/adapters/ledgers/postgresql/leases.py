"""Worker leases: only a worker with a live lease may write.

Whoever writes for a worker holds its row until the transaction ends; whoever gives it up waits for that. So a transaction
of a worker that is given up is stored as a whole before, or refused as a whole. A process that stands still in the middle of
one would hold up everybody: its transaction is ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clarion.adapters.ledgers.postgresql import message_statements
from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.adapters.ledgers.worker_rows import COLUMNS, stored, worker_of
from clarion.model.ids import BEHIND_ALL, Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.model.worker import Process, Reaped, Worker

SILENT_S = 5.0
"""A process that leaves a transaction open for so long without a word stands still."""
SLICE = 500
"""Messages that are made due in one transaction, where an index finds them."""
SCANNED = 5_000
"""Messages that one transaction goes through, where none does."""

OPEN = f"""
    INSERT INTO workers (started_at, lease_until, {", ".join(COLUMNS)})
    VALUES ($1, $2, {", ".join(f"${place}" for place in range(3, len(COLUMNS) + 3))}) RETURNING id
"""
WORKERS = f"""
    SELECT id, started_at, lease_until, held, draining,
        array(SELECT lane FROM cursors WHERE worker = workers.id) AS plans, {", ".join(COLUMNS)}
    FROM workers WHERE reaped = 0 ORDER BY id
"""
DRAIN = "UPDATE workers SET draining = 1 WHERE node = $1 AND reaped = 0"
BEAT = """
    UPDATE workers SET lease_until = $2, held = $4, oldest_planned = NULL, oldest_held = least($3, oldest_planned)
    WHERE id = $1 AND reaped = 0 RETURNING id
"""
LIVE = "SELECT id FROM workers WHERE id = ANY($1::bigint[]) AND reaped = 0 FOR KEY SHARE"
PLANNED = """
    UPDATE workers SET oldest_planned = $2 WHERE id = $1 AND (oldest_planned IS NULL OR oldest_planned > $2)
"""
ANY_OVER = "SELECT EXISTS (SELECT FROM workers WHERE lease_until < $1 AND reaped = 0)"
OVER = "SELECT id FROM workers WHERE lease_until < $1 AND reaped = 0 ORDER BY id FOR UPDATE"
END_SILENT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name = 'clarion' AND pid <> pg_backend_pid()
        AND xact_start IS NOT NULL AND wait_event = 'ClientRead' AND clock_timestamp() - state_change > make_interval(secs => $1)
"""
"""The server waits for what the client says next, in the middle of a transaction. Between two steps of one statement no time-out of
the server's own ends that."""
REAP = "UPDATE workers SET reaped = 1 WHERE id = ANY($1::bigint[])"
DEAD = """
    SELECT id, least(oldest_held, oldest_planned) FROM workers WHERE reaped = 1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
PASSED = "UPDATE workers SET oldest_held = $2, oldest_planned = NULL WHERE id = $1"
"""What lies before is not held by the dead one any more."""
FORGET = "DELETE FROM workers WHERE id = $1"
FREE_CONTINUATIONS = "UPDATE continuations SET holder = NULL, fence = fence + 1 WHERE holder = $1"
FREE_CAMPAIGNS = "UPDATE campaigns SET holder = NULL, fence = fence + 1 WHERE holder = $1"
FREE_RANGES = "UPDATE campaign_ranges SET holder = NULL, fence = fence + 1 WHERE holder = $1"
FREE_RUNS = "UPDATE runs SET holder = NULL, fence = fence + 1 WHERE holder = $1"
BEHIND = "SELECT id FROM messages WHERE id >= $1 ORDER BY id LIMIT 1 OFFSET $2"
"""Where a slice of the messages ends."""


class PostgresLeases:
    """Implements `ports.ledger.Leases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, process: Process, now: Instant, until: Instant) -> WorkerId:
        row = (now, until, *stored(process))
        return WorkerId(await self._database.write(lambda c: c.fetchval(OPEN, *row)))

    async def beat(self, worker: WorkerId, until: Instant, oldest: MessageId | None, held: int = 0) -> bool:
        row = (worker, until, oldest, held)
        return await self._database.write(lambda c: c.fetchval(BEAT, *row)) is not None

    async def reap(self, now: Instant) -> Reaped:
        return await self._database.write(lambda connection: self._reap(connection, now))

    async def give_back(self, worker: WorkerId, messages: Sequence[Message], at: Instant) -> None:
        if messages:
            ordered = sorted((message.id, message.fence) for message in messages)
            ids, fences = zip(*ordered, strict=True)
            await self._database.write(
                lambda c: c.execute(message_statements.FREE_NAMED, at, worker, ids, fences)
            )

    async def workers(self) -> Sequence[Worker]:
        rows = await self._database.rows(WORKERS)
        return [
            worker_of(*facts, described=described, plans=plans)
            for *facts, plans, described in ((*row[:6], row[6:]) for row in map(tuple, rows))
        ]

    async def drain(self, node: str) -> int:
        return _count(await self._database.write(lambda c: c.execute(DRAIN, node)))

    # -- inside a transaction ---------------------------------------------------------------------------------

    async def live(self, connection: Connection, workers: Iterable[WorkerId]) -> frozenset[WorkerId]:
        """Those that still hold what they hold, and do so until the transaction ends."""
        return frozenset([one for (one,) in await connection.fetch(LIVE, list(dict.fromkeys(workers)))])

    async def planned(self, connection: Connection, worker: WorkerId, held: Iterable[MessageId]) -> None:
        """The live worker holds these from their first moment."""
        oldest = min(held, default=None)
        if oldest is not None:
            await connection.execute(PLANNED, worker, oldest)

    async def _reap(self, connection: Connection, now: Instant) -> Reaped:
        over: Sequence[int] = ()
        if await connection.fetchval(ANY_OVER, now):
            await connection.execute(END_SILENT, SILENT_S)
            over = [worker for (worker,) in await connection.fetch(OVER, now)]
            await connection.execute(REAP, over)
        dead = await connection.fetchrow(DEAD)
        if dead is None:
            return Reaped(workers=len(over))
        worker, oldest = dead
        await connection.execute(FREE_CONTINUATIONS, worker)
        await connection.execute(FREE_RUNS, worker)
        await connection.execute(FREE_CAMPAIGNS, worker)
        await connection.execute(FREE_RANGES, worker)
        freed = _count(await connection.execute(message_statements.FREE_CLAIMED, now, worker, SLICE))
        if freed < SLICE:
            freed += await self._free_planned(connection, now, worker, oldest)
        return Reaped(workers=len(over), messages=freed, more=True)

    async def _free_planned(
        self, connection: Connection, now: Instant, worker: WorkerId, oldest: bytes | None
    ) -> int:
        """What it held since it was planned, slice by slice from the oldest on; behind the last one it is forgotten."""
        end = None if oldest is None else await connection.fetchval(BEHIND, oldest, SCANNED)
        freed = 0
        if oldest is not None:
            between = (now, worker, oldest, end or BEHIND_ALL)
            freed = _count(await connection.execute(message_statements.FREE_BETWEEN, *between))
        if end is None:
            await connection.execute(FORGET, worker)
        else:
            await connection.execute(PASSED, worker, end)
        return freed


def _count(status: str) -> int:
    """How many rows a statement wrote, from what the server says of it."""
    return int(status.rpartition(" ")[2])
