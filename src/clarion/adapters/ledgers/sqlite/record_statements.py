"""Statements that look messages up, and send them again.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from collections.abc import Set

from clarion.adapters.ledgers.schema import CODES, coded
from clarion.adapters.ledgers.sqlite.call_statements import status_now
from clarion.adapters.ledgers.sqlite.message_statements import MESSAGE
from clarion.adapters.ledgers.sqlite.recent_statements import recent
from clarion.adapters.ledgers.sqlite.row_encoding import array, field, id_at
from clarion.model.status import (
    FAILED_FOR_GOOD,
    RETRYABLE_BY_HAND,
    Reason,
    Status,
)

MESSAGE_BY_ID = f"SELECT {array(MESSAGE)} FROM messages WHERE id = ?"

STATUS_OF = f"SELECT {status_now()} FROM messages WHERE id = ?"

_FAILED = f"status IN ({coded(FAILED_FOR_GOOD)})"

_WAYS = {
    "user": f"""(
        SELECT id FROM user_messages WHERE user = :user UNION ALL SELECT id FROM {recent(":recent_rows", ":recent_ids")}
    ) WHERE""",
    "failed": f"messages INDEXED BY messages_failed WHERE {_FAILED} AND",
    "all": "messages WHERE",
}

_RANGE = "id >= :lowest AND id < :highest ORDER BY id DESC LIMIT"

_SCANS = {way: f"SELECT * FROM {source} {_RANGE} :scanned" for way, source in _WAYS.items()}

_SCANS["user"] = (
    f"SELECT messages.* FROM ({_SCANS['user']}) AS its CROSS JOIN messages ON messages.id = its.id"
)

_MATCHES = f"""
    route IN (SELECT value FROM json_each(:routes))
    AND (:user IS NULL OR user = :user) AND (:event_id IS NULL OR event_id = :event_id)
    AND (:statuses IS NULL OR {status_now()} IN (SELECT value FROM json_each(:statuses))) AND (:reasons IS NULL OR reason IN (SELECT value FROM json_each(:reasons)))
"""


def way_to(has_user: bool, statuses: Set[Status]) -> str:
    """Which of `SEARCH` is shortest."""
    return "user" if has_user else "failed" if statuses and statuses <= FAILED_FOR_GOOD else "all"


SEARCH = {
    way: f"SELECT {array(MESSAGE)} FROM (SELECT * FROM ({scan}) WHERE {_MATCHES} LIMIT :most)"
    for way, scan in _SCANS.items()
}

SEARCH_COUNT = {way: f"SELECT count(*) FROM ({scan}) WHERE {_MATCHES}" for way, scan in _SCANS.items()}

SEARCH_END = {way: f"SELECT id FROM {source} {_RANGE} 1 OFFSET :scanned - 1" for way, source in _WAYS.items()}
"""Where the scan of the same `SEARCH` stopped; nothing when it came to the end."""

RETRYABLE = f"""
    SELECT {array("hex(id), route, journal")} FROM (
        SELECT id, route, journal FROM messages INDEXED BY messages_failed
        WHERE {_FAILED} AND id >= :lowest AND id < :highest AND {_MATCHES}
        LIMIT :most
    )
"""

RETRYABLE_NAMED = f"""
    SELECT {array("hex(id), route, journal")} FROM (
        SELECT id, route, journal FROM messages
        WHERE id IN (SELECT substr(:ids, key * 16 + 1, 16) FROM json_each(:rows))
            AND status IN ({coded(RETRYABLE_BY_HAND)}) AND {_MATCHES}
        LIMIT :most
    )
"""

REQUEUE = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(0)} AS route, {field(1)} AS journal FROM json_each(?1)
    )
    UPDATE messages SET journal = new.journal, status = {CODES[Status.QUEUED]}, reason = '{Reason.RETRIED}', attempt = 0, unknowns = 0, due_at = ?3,
        fence = fence + 1, holder = NULL, waits_for = NULL, updated_at = ?3, tried_at = NULL, sent_at = NULL, route = new.route
    FROM new WHERE messages.id = new.id
"""
