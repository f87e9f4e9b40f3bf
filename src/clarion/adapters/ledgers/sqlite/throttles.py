"""Counts the runs that come to throttles, in the transaction that stores them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence, Set

from clarion.adapters.ledgers.sqlite.row_encoding import IDS, keys
from clarion.model.ids import Instant, RunId
from clarion.model.run import RunRow
from clarion.rules.exact import counts_until

COMES = "SELECT 1 FROM runs WHERE id = ? AND part = ? AND due_at IS NOT NULL"
USES = "SELECT expires_at FROM throttle_uses WHERE slot = ? AND expires_at > ?"
USE = "INSERT OR IGNORE INTO throttle_uses (slot, run_id, part, expires_at) VALUES (?, ?, ?, ?)"
PURGE = """
    DELETE FROM throttle_uses WHERE (slot, run_id, part) IN (
        SELECT slot, run_id, part FROM throttle_uses WHERE expires_at <= ?1 AND NOT EXISTS (
            SELECT 1 FROM runs WHERE runs.id = run_id AND runs.part = throttle_uses.part AND due_at IS NOT NULL
        ) ORDER BY expires_at LIMIT 500
    )
"""
"""A run that still stands at the throttle is told by its row."""
AGAIN = "UPDATE throttle_uses SET part = part + 1 WHERE run_id = ? AND part = ?"
PASSED = f"SELECT run_id, part FROM throttle_uses WHERE run_id IN {IDS}"


def count(connection: sqlite3.Connection, rows: Iterable[RunRow]) -> None:
    """These runs, which are stored, pass if they may."""
    for row in rows:
        if row.use is None or connection.execute(COMES, (row.id, row.part)).fetchone() is None:
            continue
        now, use = row.updated_at, row.use
        connection.execute(PURGE, (now,))
        others = [Instant(until) for (until,) in connection.execute(USES, (use.slot, now))]
        if (until := counts_until(use, others, now)) is not None:
            connection.execute(USE, (use.slot, row.id, row.part, until))


def again(connection: sqlite3.Connection, run: RunId, part: int) -> None:
    """A run that failed behind a throttle begins another part: it has passed."""
    connection.execute(AGAIN, (run, part))


def passed(connection: sqlite3.Connection, runs: Sequence[RunId]) -> Set[tuple[RunId, int]]:
    """Those of these that throttles let through, with the part that is behind them."""
    return {(RunId(run), part) for run, part in connection.execute(PASSED, keys(runs))}
