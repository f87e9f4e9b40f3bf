"""Counts the runs that come to throttles, in the transaction that stores them and holds the slots (`signals.hold`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.model.ids import Instant, RunId
from clarion.model.run import RunRow
from clarion.rules.exact import counts_until

COMES = """
    SELECT runs.id FROM unnest($1::bytea[], $2::bigint[]) AS new (id, part)
    JOIN runs ON runs.id = new.id AND runs.part = new.part AND runs.due_at IS NOT NULL
"""
USES = "SELECT slot, expires_at FROM throttle_uses WHERE slot = ANY($1::bytea[]) AND expires_at > $2"
USE = """
    INSERT INTO throttle_uses (slot, run_id, part, expires_at)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[]) ON CONFLICT DO NOTHING
"""
PURGE = """
    DELETE FROM throttle_uses WHERE (slot, run_id, part) IN (
        SELECT slot, run_id, part FROM throttle_uses WHERE expires_at <= $1 AND NOT EXISTS (
            SELECT 1 FROM runs WHERE runs.id = run_id AND runs.part = throttle_uses.part AND due_at IS NOT NULL
        ) ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED
    )
"""
"""A run that still stands at the throttle is told by its row."""
AGAIN = "UPDATE throttle_uses SET part = part + 1 WHERE run_id = $1 AND part = $2"
PASSED = "SELECT run_id, part FROM throttle_uses WHERE run_id = ANY($1::bytea[])"


async def count(connection: Connection, rows: Iterable[RunRow]) -> None:
    """These runs, which are stored, pass if they may."""
    asking = [row for row in rows if row.use is not None]
    if not asking:
        return
    now = min(row.updated_at for row in asking)
    await connection.execute(PURGE, now)
    coming = {
        id_ for (id_,) in await connection.fetch(COMES, [r.id for r in asking], [r.part for r in asking])
    }
    counting: dict[bytes, list[Instant]] = {}
    for slot, until in await connection.fetch(USES, [row.use.slot for row in asking if row.use], now):
        counting.setdefault(slot, []).append(Instant(until))
    passing = []
    for row in asking:
        if row.use is None or row.id not in coming:
            continue
        its = counting.setdefault(row.use.slot, [])
        others = [until for until in its if until > row.updated_at]
        if (until := counts_until(row.use, others, row.updated_at)) is not None:
            its.append(until)
            passing.append((row.use.slot, row.id, row.part, until))
    if passing:
        await connection.execute(USE, *map(list, zip(*passing, strict=True)))


async def again(connection: Connection, run: RunId, part: int) -> None:
    """A run that failed behind a throttle begins another part: it has passed."""
    await connection.execute(AGAIN, run, part)


async def passed(connection: Connection, runs: Sequence[RunId]) -> Set[tuple[RunId, int]]:
    """Those of these that throttles let through, with the part that is behind them."""
    return {(RunId(run), part) for run, part in await connection.fetch(PASSED, runs)} if runs else set()
