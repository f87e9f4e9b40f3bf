"""The SQL statements of `receipts`."""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.adapters.ledgers.postgresql.message_statements import MESSAGE, may_move
from clarion.adapters.ledgers.schema import CODES, RECEIPTS, coded
from clarion.model.receipt import ReceiptKind
from clarion.model.status import ACTIVE, Reason, Status

MESSAGES_FOUND = f"SELECT {MESSAGE} FROM messages WHERE id = ANY($1::bytea[])"

_SEEN = ", ".join(
    str(RECEIPTS[kind]) for kind in (ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.ACKNOWLEDGED)
)
_CLICKED = RECEIPTS[ReceiptKind.CLICKED]

RECEIPTS_KNOWN = "SELECT id FROM messages WHERE id = ANY($1::bytea[]) AND receipts & $2 <> 0"

LOCK = "SELECT 1 FROM messages WHERE id = ANY($1::bytea[]) ORDER BY id FOR NO KEY UPDATE"
"""Nobody changes these until the transaction ends."""

RECEIVABLE = f"""
    SELECT * FROM (
        SELECT new.place, new.status IS NOT NULL AND {may_move("new.status")} AS moves, new.kind, new.says_more, messages.status,
            messages.reason, messages.attempt, messages.integration, messages.tenant, messages.journal, messages.receipts
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bool[]) WITH ORDINALITY
            AS new (id, kind, status, says_more, place)
        JOIN messages ON {is_each("messages.id", "new.id")}
    ) AS found
    WHERE moves OR (says_more AND receipts & kind = 0) ORDER BY place
"""
"""The receipts that are taken, by their places from 1: whether each moves its message, and how that is now."""

RECEIVE = f"""
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = CASE WHEN new.status IN ({coded(ACTIVE)}) THEN messages.due_at END,
        holder = CASE WHEN new.status IN ({coded(ACTIVE)}) THEN messages.holder END,
        waits_for = CASE WHEN new.status IN ({coded(ACTIVE)}) THEN messages.waits_for END,
        fence = messages.fence + (new.status <> messages.status)::int,
        updated_at = greatest(new.at, messages.updated_at),
        sent_at = CASE WHEN new.status = {CODES[Status.DELIVERED]} THEN coalesce(messages.sent_at, new.at) ELSE messages.sent_at END,
        delivered_at = CASE WHEN new.status = {CODES[Status.DELIVERED]}
            THEN coalesce(messages.delivered_at, new.at) ELSE messages.delivered_at END,
        seen_at = CASE WHEN new.kind IN ({_SEEN}) THEN coalesce(messages.seen_at, new.at) ELSE messages.seen_at END,
        clicked_at = CASE WHEN new.kind = {_CLICKED} THEN coalesce(messages.clicked_at, new.at) ELSE messages.clicked_at END,
        journal = new.journal,
        receipts = messages.receipts | new.kind
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[])
        AS new (id, journal, status, reason, at, kind)
    WHERE {is_each("messages.id", "new.id")}
"""
"""Messages follow what was taken; whoever holds one that moved will be refused."""

SOFT_BOUNCES = f"""
    SELECT (
        SELECT count(*) FROM user_messages AS its JOIN messages ON messages.id = its.id
        WHERE its."user" = wanted."user" AND its.id >= $2 AND messages.queue % 16 = $3
            AND messages.status = {CODES[Status.UNDELIVERED]} AND messages.reason = '{Reason.SOFT_BOUNCE.value}'
    ) FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted ("user", place) ORDER BY place
"""
