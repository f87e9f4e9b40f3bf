"""Statements that look messages up, and send them again.

The first nine parameters of a search: lowest and highest id, tenant, user, event, workflows, channels, statuses and reasons; an
empty list is any.
"""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.adapters.ledgers.postgresql.message_statements import MESSAGE
from clarion.adapters.ledgers.schema import CODES, coded
from clarion.model.status import FAILED_FOR_GOOD, RETRYABLE_BY_HAND, Reason, Status

NAMED = f"SELECT {MESSAGE} FROM messages WHERE id = ANY($1::bytea[])"

_FAILED = f"status IN ({coded(FAILED_FOR_GOOD)})"
_RANGE = "id >= $1 AND id < $2"
_NEWEST = "ORDER BY id DESC LIMIT $10"
_WAYS = {
    "user": f"""
        (SELECT id FROM user_messages WHERE "user" = $4 AND {_RANGE} {_NEWEST}) AS its JOIN messages USING (id)
    """,
    "failed": f"(SELECT * FROM messages WHERE {_FAILED} AND {_RANGE} {_NEWEST}) AS messages",
    "all": f"(SELECT * FROM messages WHERE {_RANGE} {_NEWEST}) AS messages",
}
"""What a search looks at, at most so many: `records` says which is shortest."""

_MATCHES = """
    messages.tenant = $3 AND ($4::bigint IS NULL OR "user" = $4) AND ($5::bytea IS NULL OR event_id = $5)
    AND (cardinality($6::text[]) = 0 AND cardinality($7::text[]) = 0 OR route = ANY(ARRAY(
        SELECT no FROM routes WHERE routes.tenant = $3
            AND (cardinality($6) = 0 OR routes.workflow = ANY($6)) AND (cardinality($7) = 0 OR routes.channel = ANY($7))
    )))
    AND (cardinality($8::bigint[]) = 0 OR status = ANY($8)) AND (cardinality($9::text[]) = 0 OR reason = ANY($9))
"""

SEARCH = {
    way: f"SELECT {MESSAGE} FROM {seen} WHERE {_MATCHES} ORDER BY id DESC LIMIT $11"
    for way, seen in _WAYS.items()
}

COUNT = {way: f"SELECT count(*) FROM {seen} WHERE {_MATCHES}" for way, seen in _WAYS.items()}

_LAST = "ORDER BY id DESC LIMIT 1 OFFSET $3"

END = {
    "user": f'SELECT id FROM user_messages WHERE "user" = $4 AND {_RANGE} {_LAST}',
    "failed": f"SELECT id FROM messages WHERE {_FAILED} AND {_RANGE} {_LAST}",
    "all": f"SELECT id FROM messages WHERE {_RANGE} {_LAST}",
}
"""Where the scan of the same `SEARCH` stopped; nothing when it came to the end. `$4`: the user, if there is one."""

RETRYABLE = f"""
    SELECT id, route, journal FROM messages WHERE {_FAILED} AND {_RANGE} AND {_MATCHES} LIMIT $10 FOR NO KEY UPDATE
"""

RETRYABLE_NAMED = f"""
    SELECT id, route, journal FROM messages
    WHERE id = ANY($11::bytea[]) AND {_RANGE} AND status IN ({coded(RETRYABLE_BY_HAND)}) AND {_MATCHES}
    ORDER BY id LIMIT $10 FOR NO KEY UPDATE
"""

REQUEUE = f"""
    UPDATE messages SET journal = new.journal, route = new.route, status = {CODES[Status.QUEUED]},
        reason = '{Reason.RETRIED.value}', attempt = 0, unknowns = 0, due_at = $4, fence = fence + 1, holder = NULL,
        waits_for = NULL, updated_at = $4, tried_at = NULL, sent_at = NULL
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS new (id, route, journal)
    WHERE {is_each("messages.id", "new.id")}
"""
