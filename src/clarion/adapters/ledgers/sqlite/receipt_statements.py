"""The SQL statements of `receipts`. How rows become parameters: `row_encoding`."""

from __future__ import annotations

from clarion.adapters.ledgers.schema import CODES, RECEIPTS, coded
from clarion.adapters.ledgers.sqlite.call_statements import journal_now, status_now, updated_now
from clarion.adapters.ledgers.sqlite.message_statements import MESSAGE, may_move
from clarion.adapters.ledgers.sqlite.recent_statements import recent
from clarion.adapters.ledgers.sqlite.row_encoding import field, id_at
from clarion.model.receipt import ReceiptKind
from clarion.model.status import ACTIVE, Reason, Status

MESSAGES_FOUND = f"""
    SELECT json_group_array(json_array({MESSAGE})) FROM messages
    WHERE id IN (SELECT {id_at(0, 1)} FROM json_each(?1))
"""

_SEEN = ", ".join(
    str(RECEIPTS[kind]) for kind in (ReceiptKind.OPENED, ReceiptKind.CLICKED, ReceiptKind.ACKNOWLEDGED)
)

RECEIPTS_KNOWN = """
    SELECT json_group_array(json_array(hex(id))) FROM messages
    WHERE id IN (SELECT substr(?2, key * 16 + 1, 16) FROM json_each(?1)) AND receipts & ?3
"""

_MOVES = f"(new.value ->> 1 IS NOT NULL AND {may_move('new.value ->> 1')})"

RECEIVABLE = f"""
    SELECT json_group_array(json_array(
        new.key, {_MOVES}, {status_now("messages.")}, reason, attempt, integration, tenant,
        {journal_now("messages.")}))
    FROM json_each(?1) AS new CROSS JOIN messages
    WHERE messages.id = substr(?2, new.key * 16 + 1, 16)
      AND ({_MOVES} OR (new.value ->> 2 AND NOT receipts & (new.value ->> 0)))
"""
"""The receipts that are taken, by their places: whether each moves its message, and how that is now."""

RECEIVE = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(0)} AS journal, {field(1)} AS status, {field(2)} AS reason,
            {field(3)} AS at, {field(4)} AS kind FROM json_each(?1)
    )
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = iif(new.status IN ({coded(ACTIVE)}), messages.due_at, NULL),
        holder = iif(new.status IN ({coded(ACTIVE)}), messages.holder, NULL),
        waits_for = iif(new.status IN ({coded(ACTIVE)}), messages.waits_for, NULL),
        fence = messages.fence + (new.status <> {status_now("messages.")}),
        updated_at = max(new.at, coalesce({updated_now("messages.")}, 0)),
        sent_at = iif(new.status = {CODES[Status.DELIVERED]}, coalesce(messages.sent_at, new.at), messages.sent_at),
        delivered_at = iif(new.status = {CODES[Status.DELIVERED]}, coalesce(messages.delivered_at, new.at), messages.delivered_at),
        seen_at = iif(new.kind IN ({_SEEN}), coalesce(messages.seen_at, new.at), messages.seen_at),
        clicked_at = iif(new.kind = {RECEIPTS[ReceiptKind.CLICKED]}, coalesce(messages.clicked_at, new.at), messages.clicked_at),
        journal = new.journal,
        receipts = messages.receipts | new.kind
    FROM new WHERE messages.id = new.id
"""
"""Messages follow what was taken; whoever holds one that moved will be refused."""

SOFT_BOUNCES = f"""
    SELECT json_group_array(json_array((
        SELECT count(*) FROM (
            SELECT id FROM user_messages WHERE user_messages.user = wanted.value AND user_messages.id >= ?2
            UNION ALL SELECT id FROM {recent("?4", "?5")} AS newer WHERE newer.user = wanted.value AND newer.id >= ?2
        ) AS its CROSS JOIN messages ON messages.id = its.id
        WHERE messages.queue % 16 = ?3
            AND messages.status = {CODES[Status.UNDELIVERED]} AND messages.reason = '{Reason.SOFT_BOUNCE.value}'
    ))) FROM json_each(?1) AS wanted
"""
