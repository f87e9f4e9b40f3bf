"""Statements that claim messages, settle them, stop them and let those behind them go on."""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.lookups import is_each
from clarion.adapters.ledgers.schema import CODES, coded
from clarion.model.status import ACTIVE, MOVES, SUCCEEDED, Reason, Status


def _allowed(old: Status) -> int:
    """One bit per status that may follow; what is active may also stay as it is."""
    following = MOVES[old] | ({old} if old in ACTIVE else set())
    return sum(1 << CODES[new] for new in following)


_ALLOWED = " ".join(f"WHEN {CODES[old]} THEN {_allowed(old)}" for old in MOVES)


def may_move(new: str) -> str:
    """SQL: a message may go to the status `new`. From `MOVES`."""
    return f"((CASE messages.status {_ALLOWED} END >> {new}::int) & 1 = 1)"


_REST = (
    "expires_at, attempt, unknowns, fence, later_rungs, waits_for, threaded, charged, coalesce(updated_at, created_at), "
    "integration, sent_at, delivered_at, seen_at, read_at, clicked_at, archived_at, tried_at"
)
MESSAGE = (
    'id, "user", event_id, route, status, created_at, reason, CASE WHEN holder IS NULL THEN due_at END, '
    f"{_REST}"
)
"""What `row_mappers.message` reads."""

COLUMNS = (
    "id",
    "user",
    "event_id",
    "route",
    "queue",
    "status",
    "reason",
    "created_at",
    "due_at",
    "expires_at",
    "attempt",
    "unknowns",
    "fence",
    "holder",
    "later_rungs",
    "waits_for",
    "threaded",
    "charged",
    "updated_at",
    "integration",
    "sent_at",
    "delivered_at",
    "tenant",
    "journal",
)
"""Of a new message."""

_DUE = "queue = $1 AND tenant = $2 AND due_at BETWEEN $6 AND $3 AND holder IS NULL"

CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT id, status FROM messages WHERE {_DUE} ORDER BY due_at, id LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE messages SET fence = fence + 1, holder = $5,
        status = CASE messages.status WHEN {CODES[Status.SENDING]} THEN messages.status ELSE {CODES[Status.QUEUED]} END
    FROM due WHERE {is_each("messages.id", "due.id")}
    RETURNING messages.id, "user", event_id, route, due.status, created_at, reason, NULL::bigint, {_REST}, due_at
"""
"""Of one tenant, what nobody holds: as it was found, but with its new fence, and with its `due_at` at the end."""

TENANTS_WAITING = """
    WITH RECURSIVE waiting (tenant) AS (
        SELECT * FROM (
            SELECT tenant FROM messages WHERE queue = $1 AND tenant > $3 AND due_at IS NOT NULL AND holder IS NULL
            ORDER BY tenant LIMIT 1
        ) AS first
        UNION ALL
        SELECT (
            SELECT messages.tenant FROM messages
            WHERE queue = $1 AND messages.tenant > waiting.tenant AND due_at IS NOT NULL AND holder IS NULL
            ORDER BY messages.tenant LIMIT 1
        ) FROM waiting WHERE waiting.tenant IS NOT NULL
    )
    SELECT tenant, EXISTS (
        SELECT 1 FROM messages WHERE queue = $1 AND messages.tenant = waiting.tenant AND due_at <= $2 AND holder IS NULL
    ) AS due FROM waiting WHERE tenant IS NOT NULL LIMIT $4
"""
"""The next tenants with something that nobody holds, and whether any of it is due: two steps in the index for each."""

_FIRST_BETWEEN = """
    SELECT messages.tenant, due_at FROM messages
    WHERE messages.queue = {queue} AND messages.tenant > gap.above AND messages.tenant < gap.below
        AND due_at IS NOT NULL AND holder IS NULL
    ORDER BY messages.tenant, due_at LIMIT 1
"""

WAITING_SINCE = f"""
    SELECT tenant, EXISTS (
        SELECT 1 FROM messages
        WHERE queue = $1 AND messages.tenant = known.tenant AND due_at BETWEEN known.since AND $2 AND holder IS NULL
    ) AS due FROM unnest($3::bigint[], $4::bigint[]) AS known (tenant, since)
    UNION ALL
    SELECT found.tenant, found.due_at <= $2 FROM unnest($5::bigint[], $6::bigint[]) AS gap (above, below)
    CROSS JOIN LATERAL ({_FIRST_BETWEEN.format(queue="$1")}) AS found
"""
"""The same of some tenants from some times on, and of the first other one between any two of them."""

QUEUES_DUE_SINCE = f"""
    SELECT queue FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS known (queue, tenant, since)
    WHERE EXISTS (
        SELECT 1 FROM messages WHERE messages.queue = known.queue AND messages.tenant = known.tenant
            AND due_at BETWEEN known.since AND $1 AND holder IS NULL
    )
    UNION
    SELECT queue FROM unnest($5::bigint[], $6::bigint[], $7::bigint[]) AS gap (queue, above, below)
    CROSS JOIN LATERAL ({_FIRST_BETWEEN.format(queue="gap.queue")}) AS found WHERE found.due_at <= $1
"""

QUEUES_DUE = """
    SELECT queue FROM unnest($1::bigint[]) AS wanted (queue) WHERE EXISTS (
        WITH RECURSIVE waiting (tenant) AS (
            SELECT * FROM (
                SELECT tenant FROM messages
                WHERE messages.queue = wanted.queue AND due_at IS NOT NULL AND holder IS NULL ORDER BY tenant LIMIT 1
            ) AS first
            UNION ALL
            SELECT (
                SELECT messages.tenant FROM messages
                WHERE messages.queue = wanted.queue AND messages.tenant > waiting.tenant
                    AND due_at IS NOT NULL AND holder IS NULL
                ORDER BY messages.tenant LIMIT 1
            ) FROM waiting WHERE waiting.tenant IS NOT NULL
        )
        SELECT 1 FROM waiting WHERE tenant IS NOT NULL AND EXISTS (
            SELECT 1 FROM messages WHERE messages.queue = wanted.queue AND messages.tenant = waiting.tenant
                AND due_at <= $2 AND holder IS NULL
        )
    )
"""

QUEUE_DEPTHS = """
    SELECT queue, (
        SELECT count(*) FROM (
            SELECT 1 FROM messages
            WHERE messages.queue = wanted.queue AND due_at IS NOT NULL AND holder IS NULL LIMIT $2
        ) AS found
    ) FROM unnest($1::bigint[]) AS wanted (queue)
"""

HELD = f"""
    SELECT new.place - 1, messages.journal, messages.threaded <> 0
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
        AS new (id, fence, status, worker, place)
    JOIN messages ON {is_each("messages.id", "new.id")}
    WHERE messages.fence = new.fence AND messages.holder = new.worker AND {may_move("new.status")}
    ORDER BY new.id FOR NO KEY UPDATE OF messages
"""
"""Which of some settlements are taken, by their places; the newest record of each message, and whether one may wait for it."""

BEGIN_CALLS = f"""
    UPDATE messages SET status = {CODES[Status.SENDING]}, called = new.called, updated_at = new.at, journal = new.journal
    FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[]) AS new (id, called, at, journal)
    WHERE {is_each("messages.id", "new.id")}
"""

SETTLE = f"""
    UPDATE messages SET
        status = new.status,
        reason = new.reason,
        due_at = CASE WHEN new.status IN ({coded(ACTIVE)}) THEN new.due_at END,
        attempt = new.attempt,
        unknowns = new.unknowns,
        charged = 0,
        integration = coalesce(new.integration, messages.integration),
        called = NULL,
        updated_at = new.at,
        tried_at = CASE WHEN new.tried AND new.status IN ({coded(ACTIVE)})
            THEN coalesce(messages.tried_at, new.at) ELSE messages.tried_at END,
        holder = CASE WHEN new.status IN ({coded([Status.QUEUED, Status.SENDING])}) THEN messages.holder END,
        sent_at = CASE WHEN new.status IN ({coded(SUCCEEDED)}) OR new.reason = '{Reason.WAITING_FOR_RECEIPT.value}'
            THEN coalesce(messages.sent_at, new.at) ELSE messages.sent_at END,
        delivered_at = CASE WHEN new.status = {CODES[Status.DELIVERED]} THEN new.at ELSE messages.delivered_at END,
        journal = new.journal
    FROM unnest(
        $1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bool[], $8::text[],
        $9::bigint[], $10::bigint[]
    ) AS new (id, journal, status, at, attempt, integration, tried, reason, due_at, unknowns)
    WHERE {is_each("messages.id", "new.id")}
"""

STOPPABLE = f"""
    SELECT id, tenant, journal, waits_for IS NOT NULL, threaded <> 0 FROM messages
    WHERE id = ANY($1::bytea[]) AND status = ANY($2::bigint[]) AND {may_move("$3")}
    ORDER BY id FOR NO KEY UPDATE
"""

STOP = f"""
    UPDATE messages SET status = $3, reason = $4, due_at = NULL, holder = NULL,
        fence = fence + 1, updated_at = $5, journal = new.journal
    FROM unnest($1::bytea[], $2::bigint[]) AS new (id, journal) WHERE {is_each("messages.id", "new.id")}
"""

GIVE_WAY = f"""
    UPDATE messages SET waits_for = ended.waits_for FROM messages AS ended
    WHERE ended.id = ANY($1::bytea[]) AND ended.waits_for IS NOT NULL
        AND messages.waits_for = ended.id AND messages.status = {CODES[Status.DEFERRED]}
    RETURNING 1
"""
"""Before these end: whoever waits for one that waits itself waits for what is in front of it. Once for every step."""

RELEASE = f"""
    UPDATE messages SET waits_for = NULL, due_at = $2
    WHERE waits_for = ANY($1::bytea[]) AND status = {CODES[Status.DEFERRED]}
"""

ADVANCE = f"""
    UPDATE messages SET due_at = $2
    WHERE id = ANY($1::bytea[]) AND status = {CODES[Status.DEFERRED]}
        AND reason = '{Reason.WAITING_FOR_EARLIER_CHANNEL.value}' AND due_at > $2
"""

_FREED = """
    UPDATE messages SET due_at = $1, fence = messages.fence + 1, holder = NULL,
        integration = coalesce(called, integration), called = NULL
"""
FREE_NAMED = f"""{_FREED} FROM unnest($3::bytea[], $4::bigint[]) AS its (id, fence)
    WHERE {is_each("messages.id", "its.id")} AND messages.fence = its.fence AND holder = $2 AND status IN ({coded(ACTIVE)})
"""
FREE_CLAIMED = f"""{_FREED} WHERE status IN ({coded(ACTIVE)}) AND id = ANY(ARRAY(
        SELECT id FROM messages WHERE holder = $2 AND due_at IS NOT NULL LIMIT $3 FOR NO KEY UPDATE
    ))
"""
FREE_BETWEEN = f"{_FREED} WHERE holder = $2 AND status IN ({coded(ACTIVE)}) AND id >= $3 AND id < $4"
"""What was being called says so from then on."""
