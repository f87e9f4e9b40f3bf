"""The statements behind `receipts`. Their parameters are packed as in `statements`."""

from __future__ import annotations

from clarion.adapters.ledgers.schema import CODES, coded
from clarion.adapters.ledgers.sqlite.packing import field, id_at
from clarion.adapters.ledgers.sqlite.statements import MESSAGE, may_move
from clarion.model.receipt import ReceiptKind
from clarion.model.status import ACTIVE, Reason, Status

MESSAGES_FOUND = f"""
    SELECT json_group_array(json_array({MESSAGE})) FROM messages
    WHERE id IN (SELECT {id_at(0, 1)} FROM json_each(?1))
"""

RECEIPTS_KNOWN = f"""
    SELECT json_group_array(json_array(hex(id))) FROM (SELECT {id_at(0, 1)} AS id FROM json_each(?1)) AS asked
    WHERE EXISTS (SELECT 1 FROM changes WHERE changes.message_id = asked.id AND changes.outcome = ?3)
"""

_MOVES = f"(new.status IS NOT NULL AND {may_move('new.status')})"

CHANGES_RECEIVED = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(0)} AS outcome, {field(1)} AS at, {field(2)} AS status,
            {field(3)} AS reason, {field(4)} AS detail, {field(5)} AS provider_id, {field(6)} AS says_more
        FROM json_each(?1)
    )
    INSERT INTO changes (message_id, at, status, reason, fence, attempt, integration, outcome, provider_id, detail)
    SELECT messages.id, new.at, iif({_MOVES}, new.status, messages.status), iif({_MOVES}, new.reason, messages.reason),
        messages.fence, messages.attempt, messages.integration, new.outcome, new.provider_id, new.detail
    FROM new CROSS JOIN messages
    WHERE messages.id = new.id AND ({_MOVES} OR (new.says_more AND NOT EXISTS (
        SELECT 1 FROM changes AS earlier WHERE earlier.message_id = messages.id AND earlier.outcome = new.outcome
    )))
    RETURNING hex(message_id), status
"""
"""A change for every receipt that is taken, with the status its message has from now on."""

_OPENED = f"('{ReceiptKind.OPENED.value}', '{ReceiptKind.CLICKED.value}')"

RECEIVE = f"""
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = iif(new.status IN ({coded(ACTIVE)}), messages.due_at, NULL),
        holder = iif(new.status IN ({coded(ACTIVE)}), messages.holder, NULL),
        waits_for = iif(new.status IN ({coded(ACTIVE)}), messages.waits_for, NULL),
        fence = messages.fence + (new.status <> messages.status),
        updated_at = max(new.at, coalesce(messages.updated_at, 0)),
        sent_at = iif(new.status = {CODES[Status.DELIVERED]}, coalesce(messages.sent_at, new.at), messages.sent_at),
        delivered_at = iif(new.status = {CODES[Status.DELIVERED]}, coalesce(messages.delivered_at, new.at), messages.delivered_at),
        seen_at = iif(new.outcome IN {_OPENED}, coalesce(messages.seen_at, new.at), messages.seen_at),
        clicked_at = iif(new.outcome = '{ReceiptKind.CLICKED.value}', coalesce(messages.clicked_at, new.at), messages.clicked_at)
    FROM (SELECT message_id AS id, * FROM changes WHERE seq > ?1 AND seq <= ?2) AS new
    WHERE messages.id = new.id
"""
"""Messages follow the changes just added; whoever holds one that moved will be refused."""

SOFT_BOUNCES = f"""
    SELECT json_group_array(json_array((
        SELECT count(*) FROM user_messages CROSS JOIN messages ON messages.id = user_messages.id
        WHERE user_messages.user = wanted.value AND user_messages.id >= ?2 AND messages.queue % 16 = ?3
            AND messages.status = {CODES[Status.UNDELIVERED]} AND messages.reason = '{Reason.SOFT_BOUNCE.value}'
    ))) FROM json_each(?1) AS wanted
"""
