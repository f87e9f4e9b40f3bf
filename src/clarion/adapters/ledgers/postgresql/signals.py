"""What runs that wait listen for, and what has come: in the transaction that stores a plan.

Whoever tells of something and whoever begins to listen for it hold its key, so that one of them sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from clarion.adapters.ledgers.postgresql.database import Connection
from clarion.adapters.ledgers.postgresql.locks import SIGNALS, lock, of_hash
from clarion.adapters.ledgers.run_rows import WAKES_AT_A_TIME, wakes_of
from clarion.model.ids import EventId, RunId
from clarion.model.plan import PlanCommit
from clarion.model.run import RunRow, Wake

_NEW = "unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[]) AS new (key, event_id, workflow, at)"
SIGNAL = """
    INSERT INTO signals (key, event_id, workflow, at, expires_at)
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING
"""
PURGE = """
    DELETE FROM signals WHERE (key, event_id) IN (
        SELECT key, event_id FROM signals WHERE expires_at <= $1 ORDER BY expires_at LIMIT 500 FOR UPDATE SKIP LOCKED
    )
"""
TELL = f"""
    INSERT INTO wakes (run_id, key, event_id, workflow, at)
    SELECT waits.run_id, new.key, new.event_id, new.workflow, new.at FROM {_NEW}
    JOIN waits ON waits.key = new.key AND waits.since <= new.at AND waits.until > new.at
    ON CONFLICT DO NOTHING
"""
WAKE = f"""
    UPDATE runs SET due_at = its.at FROM (
        SELECT runs.id, told.at FROM runs JOIN (
            SELECT waits.run_id, min(new.at) AS at FROM {_NEW}
            JOIN waits ON waits.key = new.key AND waits.since <= new.at AND waits.until > new.at GROUP BY waits.run_id
        ) AS told ON told.run_id = runs.id WHERE runs.due_at > told.at ORDER BY runs.id FOR UPDATE OF runs
    ) AS its WHERE runs.id = its.id
"""
"""Those that listen are due since it was accepted."""
DEALT_WITH = """
    DELETE FROM wakes USING unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS old (run_id, key, event_id)
    WHERE wakes.run_id = old.run_id AND wakes.key = old.key AND wakes.event_id = old.event_id
"""
UNLISTEN = tuple(
    f"""
    DELETE FROM {table} WHERE run_id = ANY($1::bytea[]) AND NOT EXISTS (
        SELECT 1 FROM unnest($2::bytea[], $3::bytea[]) AS new (run_id, key)
        WHERE new.run_id = {table}.run_id AND new.key = {table}.key
    )
    """
    for table in ("waits", "wakes")
)
LISTEN = """
    INSERT INTO waits (run_id, key, since, until)
    SELECT runs.id, new.key, new.since, new.until
    FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[]) AS new (run_id, key, since, until)
    JOIN runs ON runs.id = new.run_id AND runs.due_at IS NOT NULL
    ON CONFLICT (run_id, key) DO UPDATE SET since = excluded.since, until = excluded.until
    RETURNING run_id, key, (xmax = 0) AS fresh
"""
FIND = """
    INSERT INTO wakes (run_id, key, event_id, workflow, at)
    SELECT waits.run_id, signals.key, signals.event_id, signals.workflow, signals.at
    FROM unnest($1::bytea[], $2::bytea[]) AS new (run_id, key)
    JOIN waits ON waits.run_id = new.run_id AND waits.key = new.key
    JOIN signals ON signals.key = waits.key AND signals.at >= waits.since AND signals.at < waits.until
    ON CONFLICT DO NOTHING
"""
"""What was accepted before a run began to listen."""
DUE = """
    UPDATE runs SET due_at = updated_at
    WHERE id = ANY($1::bytea[]) AND due_at > updated_at AND EXISTS (SELECT 1 FROM wakes WHERE wakes.run_id = runs.id)
"""
OVER = (
    "DELETE FROM waits WHERE run_id = ANY($1::bytea[])",
    "DELETE FROM wakes WHERE run_id = ANY($1::bytea[])",
)
WAKES = f"""
    SELECT run_id, key, at, event_id, workflow FROM wakes WHERE run_id = ANY($1::bytea[])
    ORDER BY at, event_id LIMIT {WAKES_AT_A_TIME}
"""


async def hold(connection: Connection, plans: Sequence[PlanCommit]) -> None:
    """Nobody else tells of, begins to listen for, or counts anything that these plans do, until the transaction ends."""
    told = {signal.key for plan in plans for signal in plan.signals}
    keys = told.union(wait.key for plan in plans for row in plan.run_rows for wait in row.waits)
    keys = keys.union(row.use.slot for plan in plans for row in plan.run_rows if row.use is not None)
    if keys:
        await lock(connection, SIGNALS, map(of_hash, keys))


async def tell(connection: Connection, plans: Sequence[PlanCommit], canceled: Set[EventId]) -> None:
    """The signals of these plans are stored, and whoever listens for them is due; none of canceled events."""
    told = {(s.key, s.event_id): s for plan in plans for s in plan.signals if s.event_id not in canceled}
    if not told:
        return
    signals = list(told.values())
    its = [[s.key for s in signals], [s.event_id for s in signals], [s.workflow for s in signals]]
    at = [s.at for s in signals]
    await connection.execute(SIGNAL, *its, at, [s.expires_at for s in signals])
    await connection.execute(TELL, *its, at)
    await connection.execute(WAKE, *its, at)
    await connection.execute(PURGE, max(at))


async def listen(connection: Connection, rows: Iterable[RunRow]) -> None:
    """These runs, which are stored, listen for what they say; who finds that it has come already is due."""
    stored = list(rows)
    await forget(connection, [row.id for row in stored if row.due_at is None and row.fence])
    waiting = [row for row in stored if row.due_at is not None]
    waits = [(row.id, wait.key, wait.since, wait.until) for row in waiting for wait in row.waits]
    if woken := [row for row in waiting if row.fence]:
        dealt_with = [(row.id, one.key, one.event_id) for row in woken for one in row.wakes]
        if dealt_with:
            await connection.execute(DEALT_WITH, *map(list, zip(*dealt_with, strict=True)))
        kept = [run for run, *_ in waits], [key for _, key, *_ in waits]
        for statement in UNLISTEN:
            await connection.execute(statement, [row.id for row in woken], *kept)
    if waits:
        found = await connection.fetch(LISTEN, *map(list, zip(*waits, strict=True)))
        fresh = [row for row in found if row["fresh"]]
        await connection.execute(FIND, [row["run_id"] for row in fresh], [row["key"] for row in fresh])
        await connection.execute(DUE, [row.id for row in waiting])


async def forget(connection: Connection, runs: Sequence[RunId]) -> None:
    """These wait no more."""
    for statement in OVER if runs else ():
        await connection.execute(statement, runs)


async def wakes(connection: Connection, runs: Sequence[RunId]) -> Mapping[RunId, list[Wake]]:
    """What has come for these runs."""
    return wakes_of(await connection.fetch(WAKES, runs)) if runs else {}
