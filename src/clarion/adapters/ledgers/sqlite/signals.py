"""What runs that wait listen for, and what has come: in the transaction that stores a plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set

from clarion.adapters.ledgers.run_rows import WAKES_AT_A_TIME, wakes_of
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, keys
from clarion.model.ids import EventId, RunId
from clarion.model.plan import PlanCommit
from clarion.model.run import RunRow, Wake

SIGNAL = "INSERT OR IGNORE INTO signals (key, event_id, workflow, at, expires_at) VALUES (?, ?, ?, ?, ?)"
PURGE = """
    DELETE FROM signals WHERE expires_at <= (
        SELECT max(expires_at) FROM (SELECT expires_at FROM signals WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 500)
    )
"""
TELL = """
    INSERT OR IGNORE INTO wakes (run_id, key, event_id, workflow, at)
    SELECT run_id, ?1, ?2, ?3, ?4 FROM waits WHERE key = ?1 AND since <= ?4 AND until > ?4
"""
WAKE = """
    UPDATE runs SET due_at = ?2
    WHERE due_at > ?2 AND id IN (SELECT run_id FROM waits WHERE key = ?1 AND since <= ?2 AND until > ?2)
"""
"""Those that listen are due since it was accepted."""
LISTENS = "SELECT 1 FROM waits WHERE run_id = ? AND key = ?"
LISTEN = """
    INSERT INTO waits (run_id, key, since, until)
    SELECT id, ?2, ?3, ?4 FROM runs WHERE id = ?1 AND due_at IS NOT NULL
    ON CONFLICT (run_id, key) DO UPDATE SET since = excluded.since, until = excluded.until
"""
FIND = """
    INSERT OR IGNORE INTO wakes (run_id, key, event_id, workflow, at)
    SELECT run_id, signals.key, event_id, workflow, at FROM waits JOIN signals ON signals.key = waits.key
    WHERE waits.run_id = ?1 AND waits.key = ?2 AND at >= since AND at < until
"""
"""What was accepted before the run began to listen."""
DEALT_WITH = "DELETE FROM wakes WHERE run_id = ? AND key = ? AND event_id = ?"
DUE = """
    UPDATE runs SET due_at = updated_at
    WHERE id = ?1 AND due_at > updated_at AND EXISTS (SELECT 1 FROM wakes WHERE run_id = ?1)
"""
UNLISTEN = tuple(
    f"DELETE FROM {table} WHERE run_id = ?3 AND key NOT IN {IDS}" for table in ("waits", "wakes")
)
OVER = ("DELETE FROM waits WHERE run_id = ?", "DELETE FROM wakes WHERE run_id = ?")
WAKES = f"""
    SELECT run_id, key, at, event_id, workflow FROM wakes WHERE run_id IN {IDS} ORDER BY at, event_id LIMIT {WAKES_AT_A_TIME}
"""


def tell(connection: sqlite3.Connection, plans: Sequence[PlanCommit], canceled: Set[EventId]) -> None:
    """The signals of these plans are stored, and whoever listens for them is due; none of canceled events."""
    for plan in plans:
        for signal in plan.signals:
            if signal.event_id in canceled:
                continue
            its = (signal.key, signal.event_id, signal.workflow, signal.at)
            connection.execute(SIGNAL, (*its, signal.expires_at))
            connection.execute(TELL, its)
            connection.execute(WAKE, (signal.key, signal.at))
            connection.execute(PURGE, (signal.at,))


def listen(connection: sqlite3.Connection, rows: Iterable[RunRow]) -> None:
    """These runs, which are stored, listen for what they say; who finds that it has come already is due."""
    for row in rows:
        if row.due_at is None:
            forget(connection, [row.id])
            continue
        if row.fence:
            connection.executemany(DEALT_WITH, [(row.id, one.key, one.event_id) for one in row.wakes])
            for statement in UNLISTEN:
                connection.execute(statement, (*keys(one.key for one in row.waits), row.id))
        for wait in row.waits:
            before = connection.execute(LISTENS, (row.id, wait.key)).fetchone()
            connection.execute(LISTEN, (row.id, wait.key, wait.since, wait.until))
            if before is None:
                connection.execute(FIND, (row.id, wait.key))
        connection.execute(DUE, (row.id,))


def forget(connection: sqlite3.Connection, runs: Iterable[RunId]) -> None:
    """These wait no more."""
    for statement in OVER:
        connection.executemany(statement, [(run,) for run in runs])


def wakes(connection: sqlite3.Connection, runs: Sequence[RunId]) -> Mapping[RunId, list[Wake]]:
    """What has come for these runs."""
    return wakes_of(connection.execute(WAKES, keys(runs)).fetchall())
