"""The journal in partitions by its numbers: made ahead of what is written, and dropped whole when all in one is old.

Deleting its rows would leave as much work behind as writing them was. What the partitions do not reach goes to the last
one, which has none as long as somebody makes them in time.
"""

from __future__ import annotations

import asyncpg

from clarion.adapters.ledgers.cutoffs import DAY_MS, Cutoffs
from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.model.ids import Instant

ROWS = 1 << 20
"""Of one partition: hours of a busy installation, years of a quiet one."""
AHEAD = 4
"""Partitions behind the one that is written."""
FIRST = 1
"""The number of the first one."""

PATIENCE = "SET LOCAL lock_timeout = '1s'"
"""Whoever waits for a whole table keeps everybody behind it waiting."""
LAST_ROW = "SELECT last_value FROM journal_seq_seq"
THERE = """
    SELECT substring(inhrelid::regclass::text FROM '\\d+$')::bigint AS number FROM pg_inherits
    WHERE inhparent = 'journal'::regclass AND inhrelid::regclass::text ~ '\\d$' ORDER BY number
"""
IN_THE_WAY = "SELECT 1 FROM journal_rest WHERE seq >= $1 AND seq < $2 LIMIT 1"
ANY_KEPT = """
    SELECT 1 FROM {partition} LEFT JOIN unnest($1::bigint[], $2::bigint[]) AS kept (tenant, cutoff) USING (tenant)
    WHERE cutoff IS NULL OR at >= cutoff LIMIT 1
"""

TABLE = (
    "CREATE SEQUENCE journal_seq_seq",
    """CREATE TABLE journal (
        seq bigint DEFAULT nextval('journal_seq_seq') PRIMARY KEY, tenant bigint NOT NULL, at bigint NOT NULL,
        body bytea NOT NULL
    ) PARTITION BY RANGE (seq)""",
    "ALTER SEQUENCE journal_seq_seq OWNED BY journal.seq",
    "ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL",
)


def partition(number: int) -> str:
    """Its name."""
    return f"journal_{number}"


def creation(number: int) -> str:
    """The statement that makes one."""
    first = "MINVALUE" if number == FIRST else str((number - FIRST) * ROWS)
    end = (number - FIRST + 1) * ROWS
    return f"CREATE TABLE {partition(number)} PARTITION OF journal FOR VALUES FROM ({first}) TO ({end})"


CREATION = (
    *TABLE,
    *(creation(number) for number in range(FIRST, FIRST + AHEAD)),
    "CREATE TABLE journal_rest PARTITION OF journal DEFAULT",
)


async def make(connection: Connection) -> None:
    """Those that will be written next."""
    number = await _written(connection)
    there = await _there(connection)
    for wanted in range(number, number + AHEAD):
        end = (wanted - FIRST + 1) * ROWS
        if wanted not in there and await connection.fetchval(IN_THE_WAY, end - ROWS, end) is None:
            await _patiently(connection, creation(wanted))


async def drop(connection: Connection, bounds: Cutoffs) -> None:
    """Those that are not written any more and have nothing but what is old, from the oldest on."""
    written = await _written(connection)
    for number in await _there(connection):
        if number >= written or not await _is_old(connection, number, bounds):
            return
        if not await _patiently(connection, f"DROP TABLE {partition(number)}"):
            return


async def dropped_soon(connection: Connection, bounds: Cutoffs) -> int:
    """Up to which row everything will be dropped within a day, so that it is not worth deleting row by row."""
    tomorrow = {tenant: Instant(cutoff + DAY_MS) for tenant, cutoff in bounds.items()}
    written = await _written(connection)
    for number in (await _there(connection))[:1]:
        if number < written and await _is_old(connection, number, tomorrow):
            return (number - FIRST + 1) * ROWS - 1
    return 0


async def _written(connection: Connection) -> int:
    """The number of the one that is written."""
    return FIRST + int(await connection.fetchval(LAST_ROW)) // ROWS


async def _there(connection: Connection) -> list[int]:
    """Their numbers, in order."""
    return [number for (number,) in await connection.fetch(THERE)]


async def _is_old(connection: Connection, number: int, bounds: Cutoffs) -> bool:
    asked = ANY_KEPT.format(partition=partition(number))
    return await connection.fetchval(asked, [*bounds], [*bounds.values()]) is None


async def _patiently(connection: Connection, statement: str) -> bool:
    """Whether it could be done: else somebody is using the table for long, and it is tried another time."""
    await connection.execute("SAVEPOINT patience")
    try:
        await connection.execute(PATIENCE)
        await connection.execute(statement)
    except asyncpg.LockNotAvailableError:
        await connection.execute("ROLLBACK TO SAVEPOINT patience")
        return False
    await connection.execute("RELEASE SAVEPOINT patience")
    return True
