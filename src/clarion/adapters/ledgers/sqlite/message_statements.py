"""Statements that claim messages, settle them, stop them and let those behind them go on.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.schema import CODES, coded
from clarion.adapters.ledgers.sqlite.call_statements import journal_now, status_now, updated_now
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array, field, id_at
from clarion.model.status import (
    ACTIVE,
    MOVES,
    SUCCEEDED,
    Reason,
    Status,
)


def _allowed(old: Status) -> int:
    """One bit per status that may follow; what is active may also stay as it is."""
    following = MOVES[old] | ({old} if old in ACTIVE else set())
    return sum(1 << CODES[new] for new in following)


_ALLOWED = " ".join(f"WHEN {CODES[old]} THEN {_allowed(old)}" for old in MOVES)


def may_move(new: str) -> str:
    """SQL: a message may go to the status `new`. From `MOVES`."""
    return f"((CASE messages.status {_ALLOWED} END >> {new}) & 1)"


MESSAGE = (
    f"hex(id), user, hex(event_id), route, {status_now()}, created_at, reason, iif(holder IS NULL, due_at, NULL), expires_at, "
    "attempt, unknowns, fence, hex(later_rungs), nullif(hex(waits_for), ''), threaded, "
    f"charged, coalesce({updated_now()}, created_at), integration, sent_at, delivered_at, seen_at, read_at, clicked_at, archived_at, tried_at"
)
"""What `rows.message` reads."""

_DUE = """messages INDEXED BY messages_turn
    WHERE queue = ?1 AND tenant = ?4 AND due_at <= ?2 AND holder IS NULL ORDER BY due_at, id LIMIT ?3"""

DUE = f"SELECT {array(MESSAGE)} FROM (SELECT * FROM {_DUE})"
"""Of one tenant, what nobody holds."""

CLAIM = f"""
    UPDATE messages SET fence = fence + 1, holder = ?5,
        status = iif(status = {CODES[Status.SENDING]}, status, {CODES[Status.QUEUED]})
    WHERE id IN (SELECT id FROM {_DUE})
"""
"""Right after `DUE` in the same transaction, so of the very same rows."""


def _next_tenant(after: str) -> str:
    return f"""(
        SELECT min(messages.tenant) FROM messages INDEXED BY messages_turn
        WHERE queue = ?1 AND messages.tenant > {after} AND due_at IS NOT NULL AND holder IS NULL
    )"""


TENANTS_WAITING = f"""
    WITH RECURSIVE waiting (tenant) AS (
        SELECT {_next_tenant("?3")}
        UNION ALL SELECT {_next_tenant("waiting.tenant")} FROM waiting WHERE waiting.tenant IS NOT NULL LIMIT ?4
    )
    SELECT {array("tenant, due")} FROM (
        SELECT tenant, EXISTS (
            SELECT 1 FROM messages INDEXED BY messages_turn
            WHERE queue = ?1 AND messages.tenant = waiting.tenant AND due_at <= ?2 AND holder IS NULL
        ) AS due FROM waiting WHERE tenant IS NOT NULL
    )
"""
"""The next tenants with something that nobody holds, and whether any of it is due: two steps in the index for each."""

QUEUES_DUE = f"""
    SELECT {array("value")} FROM json_each(?1)
    WHERE EXISTS (SELECT 1 FROM messages WHERE queue = value AND due_at <= ?2 AND holder IS NULL)
"""

QUEUE_DEPTH = """
    SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE queue = ?1 AND due_at IS NOT NULL AND holder IS NULL LIMIT ?2
    )
"""

_HELD = f"""
    messages.id = substr(?2, new.key * 16 + 1, 16) AND messages.fence = new.value ->> 0
    AND messages.holder = new.value ->> 2 AND {may_move("new.value ->> 1")}
"""

HELD = f"""
    SELECT {array("new.key, messages.journal")} FROM json_each(?1) AS new CROSS JOIN messages WHERE {_HELD}
"""
"""Which of some settlements are taken, by their places, and the newest record of each message."""

SETTLE = f"""
    WITH new (id, journal, status, at, attempt, integration, tried, reason, due_at, unknowns)
    AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?))
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = iif(new.status IN ({coded(ACTIVE)}), new.due_at, NULL),
        attempt = new.attempt,
        unknowns = new.unknowns,
        charged = 0,
        integration = coalesce(new.integration, messages.integration),
        updated_at = new.at,
        tried_at = iif(new.tried AND new.status IN ({coded(ACTIVE)}), coalesce(messages.tried_at, new.at), messages.tried_at),
        holder = iif(new.status IN ({coded([Status.QUEUED, Status.SENDING])}), messages.holder, NULL),
        sent_at = iif(new.status IN ({coded(SUCCEEDED)}) OR new.reason = '{Reason.WAITING_FOR_RECEIPT}',
            coalesce(messages.sent_at, new.at), messages.sent_at),
        delivered_at = iif(new.status = {CODES[Status.DELIVERED]}, new.at, messages.delivered_at),
        journal = new.journal
    FROM new WHERE messages.id = new.id
"""

STOPPABLE = f"""
    SELECT {array(f"hex(id), tenant, {journal_now()}")} FROM messages
    WHERE id IN {IDS} AND {status_now()} IN (SELECT value FROM json_each(?3)) AND {may_move("?4")}
"""

STOP = f"""
    WITH new AS MATERIALIZED (SELECT {id_at(0, 1)} AS id, {field(0)} AS journal FROM json_each(?1))
    UPDATE messages SET status = ?3, reason = ?4, due_at = NULL, holder = NULL,
        fence = fence + 1, updated_at = ?5, journal = new.journal
    FROM new WHERE messages.id = new.id
"""

ANYONE_WAITS = "SELECT 1 FROM messages WHERE waits_for IS NOT NULL LIMIT 1"

GIVE_WAY = f"""
    UPDATE messages SET waits_for = ended.waits_for FROM messages AS ended
    WHERE ended.id IN {IDS} AND ended.waits_for IS NOT NULL
        AND messages.waits_for = ended.id AND messages.status = {CODES[Status.DEFERRED]}
"""
"""Before these end: whoever waits for one that waits itself waits for what is in front of it. Once for every step."""

RELEASE = f"""
    UPDATE messages SET waits_for = NULL, due_at = ?3
    WHERE waits_for IN {IDS} AND status = {CODES[Status.DEFERRED]}
"""

ADVANCE_RUNGS = f"""
    UPDATE messages SET due_at = ?3
    WHERE id IN {IDS} AND status = {CODES[Status.DEFERRED]} AND reason = '{Reason.WAITING_FOR_EARLIER_CHANNEL}' AND due_at > ?3
"""
