"""Runs and changes, a row or more for each message, become one row of the journal for each batch."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

import msgspec
from alembic import op
from sqlalchemy import Connection

from clarion.adapters.ledgers.migrations import slices

revision = "0023"
down_revision = "0022"

AT_ONCE = 1_000
"""Rows converted in one slice: what memory and the log of a slice are bounded by."""
PLACES = 1 << 16
LANES = ("critical", "high", "normal", "bulk")
KINDS = (
    "delivered", "bounced", "blocked", "complained", "delayed", "auto_reply", "opened", "clicked", "unsubscribed"
)  # fmt: skip

_STEPS = (
    """CREATE TABLE IF NOT EXISTS events (
    id BLOB NOT NULL,
    journal INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    tenant INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first_user INTEGER NOT NULL,
    last_user INTEGER NOT NULL,
    PRIMARY KEY (id, journal, workflow)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
)""",
)
_COLUMNS = (
    "ALTER TABLE messages ADD COLUMN journal INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE messages ADD COLUMN receipts INTEGER DEFAULT 0 NOT NULL",
)

LEFT = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM changes)"
RUNS = """
    SELECT id, tenant, user, event_id, lane, event_seq, workflow, workflow_version, at, explanation
    FROM runs ORDER BY id LIMIT ?
"""
CHANGES = """
    SELECT changes.seq, message_id, at, changes.status, changes.reason, changes.attempt, changes.integration, outcome,
        provider_id, took_ms, detail, iif(changes.status = 1, changes.due_at, NULL), traceparent,
        messages.tenant, messages.journal
    FROM changes LEFT JOIN messages ON messages.id = message_id ORDER BY changes.seq LIMIT ?
"""


def upgrade() -> None:
    """A slice at a time: what is converted is gone from the old tables, so cut off anywhere it goes on from there."""
    connection = op.get_bind()
    begin(connection)
    total = connection.exec_driver_sql(LEFT).scalar_one()
    done = 0
    while converted := convert(connection):
        done += converted
        slices.store(done, total)
    end(connection)


def begin(connection: Connection) -> None:
    """The new tables, unless they are there already."""
    for statement in _STEPS:
        connection.exec_driver_sql(statement)
    there = {row[1] for row in connection.exec_driver_sql("PRAGMA table_info(messages)")}
    for statement in _COLUMNS:
        if statement.split()[5] not in there:
            connection.exec_driver_sql(statement)


def convert(connection: Connection) -> int:
    """One slice; how many rows are gone from the old tables. First all runs, then all changes."""
    return _convert_runs(connection) or _convert_changes(connection)


def end(connection: Connection) -> None:
    """The old tables are empty."""
    connection.exec_driver_sql("DROP TABLE runs")
    connection.exec_driver_sql("DROP TABLE changes")


def _convert_runs(connection: Connection) -> int:
    found = connection.exec_driver_sql(RUNS, (AT_ONCE,)).fetchall()
    by_tenant: dict[int, list[Any]] = {}
    for row in found:
        by_tenant.setdefault(row[1], []).append(row)
    for tenant, its in by_tenant.items():
        seq = _add(connection, tenant, its[0][8], [b"", *[[]] * 3, *[None] * 9, _runs(its)])
        events: dict[tuple[bytes, str], list[Any]] = {}
        for _, _, user, event_id, lane, event_seq, workflow, *_ in its:
            said = events.setdefault((event_id, workflow), [LANES.index(lane), event_seq, user, user])
            said[1:] = max(said[1], event_seq), min(said[2], user), max(said[3], user)
        for (event_id, workflow), said in events.items():
            connection.exec_driver_sql(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (event_id, seq, workflow, tenant, *said)
            )
    if found:
        connection.exec_driver_sql("DELETE FROM runs WHERE id <= ?", (found[-1][0],))
    return len(found)


def _convert_changes(connection: Connection) -> int:
    found = connection.exec_driver_sql(CHANGES, (AT_ONCE,)).fetchall()
    by_tenant: dict[int, list[Any]] = {}
    for row in found:
        if row[13] is not None:  # Its message is there.
            by_tenant.setdefault(row[13], []).append(row)
    newest: dict[bytes, int] = {}
    for tenant, its in by_tenant.items():
        first = _next(connection) * PLACES
        before = []
        for place, row in enumerate(its):
            before.append(newest.get(row[1], row[14]))
            newest[row[1]] = first + place
        columns = [_column([row[n] for row in its]) for n in range(3, 13)]
        at = _steps([row[2] for row in its])
        ids = b"".join([row[1] for row in its])
        _add(connection, tenant, its[0][2], [ids, _steps(before), at, *columns, None])
    for message_id, position in newest.items():
        connection.exec_driver_sql("UPDATE messages SET journal = ? WHERE id = ?", (position, message_id))
    for _, message_id, *_, outcome in (row[:8] for row in found):
        if outcome in KINDS:
            connection.exec_driver_sql(
                "UPDATE messages SET receipts = receipts | ? WHERE id = ?",
                (1 << KINDS.index(outcome), message_id),
            )
    if found:
        connection.exec_driver_sql("DELETE FROM changes WHERE seq <= ?", (found[-1][0],))
    return len(found)


def _runs(rows: list[Any]) -> list[Any]:
    channels = []
    alike: dict[bytes, int] = {}
    said = []
    counts = []
    for row in rows:
        plans: list[dict[str, Any]] = msgspec.msgpack.decode(row[9])
        channels += plans
        counts.append(len(plans))
    for plan in channels:
        verdicts = plan.get("verdicts", ())
        what = (plan["step"], plan["channel"], plan["status"], plan.get("reason"), verdicts)
        said.append(alike.setdefault(msgspec.msgpack.encode(what), len(alike)))
    ids = [plan.get("message_id") for plan in channels]
    return [
        b"".join([row[3] for row in rows]),
        _steps([row[2] for row in rows]),
        _column([LANES.index(row[4]) for row in rows]),
        _steps([row[5] for row in rows]),
        _column([row[6] for row in rows]),
        _column([row[7] for row in rows]),
        _steps([row[8] for row in rows]),
        _column(counts),
        list(alike),
        _column(said),
        _column([plan.get("due_at") for plan in channels]),
        _column([one is not None for one in ids]),
        b"".join([one for one in ids if one is not None]),
    ]


def _next(connection: Connection) -> int:
    found = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    return (found[0] if found else 0) + 1


def _add(connection: Connection, tenant: int, at: int, body: list[Any]) -> int:
    seq = _next(connection)
    packed = msgspec.msgpack.encode(body)
    connection.exec_driver_sql(
        "INSERT INTO journal (seq, tenant, at, body) VALUES (?, ?, ?, ?)",
        (seq, tenant, at, zlib.compress(packed, 1) if len(packed) > 200 else packed),
    )
    return seq


def _column(values: list[Any]) -> Any:
    return values[0] if values and values.count(values[0]) == len(values) else values


def _steps(values: list[int]) -> Any:
    if not values or values.count(values[0]) == len(values):
        return values[0] if values else values
    return [values[0], *[after - before for before, after in pairwise(values)]]
