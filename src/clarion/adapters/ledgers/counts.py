"""Counts the rows of a database, in the same way before and after a migration."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from clarion.adapters.ledgers.journal import JournalRow
from clarion.adapters.ledgers.schema import CODES
from clarion.model.channel import LANES

_TABLES = {
    "tenants": "tenants",
    "API keys": "api_keys",
    "documents": "documents",
    "users": "users",
    "erased users": "erased",
    "contacts": "contact_hashes",
    "subscriptions": "subscriptions",
    "suppressions": "suppressions",
    "endpoints": "endpoints",
    "captures": "captures",
    "deliveries": "deliveries",
    "quarantined mail": "strays",
    "inbound messages": "inbound",
    "operations": "operations",
}
"""What a table has a row for each of."""

_OLDER_INBOXES = """SELECT count(*), count(*) FILTER (WHERE archived_at IS NULL AND read_at IS NULL),
    count(*) FILTER (WHERE archived_at IS NULL AND seen_at IS NULL) FROM inbox"""
_INBOXES = """SELECT (SELECT count(*) FROM {items} WHERE at IS NOT NULL), sum(unread), sum(unseen) FROM (
    SELECT unread, unseen, max("offset") FROM (
        SELECT user, "offset", unread, unseen FROM {items} WHERE "offset" IS NOT NULL
        UNION ALL SELECT user, "offset", unread, unseen FROM inbox_moves
    ) GROUP BY user
)"""
"""The counters of a user are those at the newest offset."""
_WITH_RECENT = """(SELECT * FROM user_messages UNION ALL SELECT * FROM recent_messages WHERE NOT EXISTS (
    SELECT 1 FROM user_messages WHERE user_messages.user = recent_messages.user AND user_messages.id = recent_messages.id
))"""
_SET_ASIDE = "SELECT count(*) FROM (SELECT DISTINCT event_id, workflow FROM set_aside)"
"""An older file may have several parts of an event."""
_CHANGES = "SELECT count(*) FROM changes WHERE message_id IN (SELECT id FROM messages)"


def count(connection: sqlite3.Connection) -> dict[str, int]:
    """By name. What a file of this age has no table for is not in it; of a step that was cut off, both layouts count."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = {
        name: _one(connection, f"SELECT count(*) FROM {table}")
        for name, table in _TABLES.items()
        if table in there
    }
    if "set_aside" in there:
        found["events that could not be planned"] = _one(connection, _SET_ASIDE)
    found["accepted events"] = sum(
        _one(connection, f"SELECT count(*) FROM log_{lane.value}") for lane in LANES
    )
    names = {code: status.value for status, code in CODES.items()}
    for code, messages in connection.execute("SELECT status, count(*) FROM messages GROUP BY status"):
        found[f"messages {names[code].replace('_', ' ')}"] = messages
    found["messages that wait"] = _one(connection, "SELECT count(*) FROM messages WHERE due_at IS NOT NULL")
    newer = _INBOXES.format(items=_WITH_RECENT if "recent_messages" in there else "user_messages")
    inboxes = connection.execute(_OLDER_INBOXES if "inbox" in there else newer).fetchone()
    for name, value in zip(("inbox items", "unread", "unseen"), inboxes, strict=True):
        found[name] = value or 0
    entries, explanations = _history(connection) if "journal" in there else (0, 0)
    if "changes" in there:
        entries += _one(connection, _CHANGES)
    if "runs" in there:
        explanations += _one(connection, "SELECT count(*) FROM runs")
    return found | {"timeline entries": entries, "explanations": explanations}


def _history(connection: sqlite3.Connection) -> tuple[int, int]:
    """Timeline entries and explanations in the journal."""
    entries = explanations = 0
    for row in _rows(connection):
        entries += row.entries
        explanations += row.explanations
    return entries, explanations


def _rows(connection: sqlite3.Connection) -> Iterator[JournalRow]:
    for seq, tenant, body in connection.execute("SELECT seq, tenant, body FROM journal ORDER BY seq"):
        yield JournalRow(seq, tenant, body)


def _one(connection: sqlite3.Connection, sql: str) -> int:
    value: int = connection.execute(sql).fetchone()[0]
    return value
