"""Statements that find what is old, and delete it."""

from __future__ import annotations

from clarion.adapters.ledgers.schema import coded
from clarion.model.channel import LANES
from clarion.model.retention import RetentionKind
from clarion.model.status import ACTIVE

_OVER = f"status NOT IN ({coded(ACTIVE)})"

_ITS = 'LEFT JOIN user_messages AS its ON its."user" = seen."user" AND its.id = seen.id'
"""So many messages are looked at, however few of them are old."""
MESSAGES_OLD = f"""
    SELECT seen.id, seen.tenant, its.at IS NULL AS is_no_item FROM (
        SELECT id, "user", tenant FROM messages WHERE id > $1 AND id < $2 AND {_OVER} ORDER BY id LIMIT $3
    ) AS seen {_ITS} ORDER BY seen.id
"""
MESSAGES_DROP = f"""
    DELETE FROM messages WHERE id = ANY($1::bytea[]) AND {_OVER} RETURNING id, "user", route, status, reason
"""
CHARGES_DROP = "DELETE FROM charges WHERE message_id = ANY($1::bytea[])"
USER_MESSAGES_DROP = """
    DELETE FROM user_messages USING unnest($1::bigint[], $2::bytea[]) AS gone ("user", id)
    WHERE user_messages."user" = gone."user" AND user_messages.id = gone.id
"""
OLDEST_LEFT = """
    SELECT asked.tenant, oldest.id FROM unnest($1::bigint[], $2::bytea[]) AS asked (tenant, bound) CROSS JOIN LATERAL (
        SELECT id FROM messages WHERE id < asked.bound AND messages.tenant = asked.tenant ORDER BY id LIMIT 1
    ) AS oldest
"""

TOTALS_ADD = """
    INSERT INTO message_totals (tenant, day, workflow, channel, status, reason, count)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[])
    ON CONFLICT (tenant, day, workflow, channel, status, reason) DO UPDATE SET count = message_totals.count + excluded.count
"""
TOTALS = """
    SELECT asked.day, counts.* FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS asked (day, lowest, highest)
    CROSS JOIN LATERAL (
        SELECT workflow, channel, status, reason, sum(count)::bigint FROM (
            SELECT workflow, channel, status, reason, count FROM message_totals WHERE tenant = $1 AND day = asked.day
            UNION ALL
            SELECT workflow, channel, status, coalesce(reason, ''), count(*)
            FROM messages JOIN routes ON routes.no = messages.route
            WHERE messages.id >= asked.lowest AND messages.id < asked.highest AND messages.tenant = $1 GROUP BY 1, 2, 3, 4
        ) AS counted (workflow, channel, status, reason, count)
        GROUP BY 1, 2, 3, 4
    ) AS counts ORDER BY 1, 2, 3, 4, 5
"""
"""Of messages that are kept and of those that are not any more."""

ITEMS_OLD = f"""
    SELECT seen.id, seen."user", seen.tenant, its.at, coalesce(its.moved_to, its."offset") AS "offset", its.seen_at,
        its.read_at, its.archived_at
    FROM (
        SELECT id, "user", tenant FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3
    ) AS seen {_ITS} ORDER BY seen.id
"""
DEVICES_OLD = """
    SELECT seen_at, no, tenant, "user", device_id FROM devices
    WHERE (seen_at, no) > ($1, $2) AND seen_at < $3 ORDER BY seen_at, no LIMIT $4
"""

EVENTS_OLD = {
    lane: f"""
    SELECT seq, event_id, tenant, workflow FROM log_{lane.value} WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3
"""
    for lane in LANES
}
EVENTS_DROP = {lane: f"DELETE FROM log_{lane.value} WHERE seq = ANY($1::bigint[])" for lane in LANES}
EVENTS_NEEDED = f"""
    SELECT seq FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bigint[], $5::bytea[], $6::bytea[])
        AS old (seq, event_id, workflow, tenant, lowest, highest)
    WHERE EXISTS (
        SELECT 1 FROM set_aside
        WHERE set_aside.event_id = old.event_id AND set_aside.workflow = old.workflow AND discarded_at IS NULL
    ) OR EXISTS (
        SELECT 1 FROM continuations WHERE continuations.event_id = old.event_id AND continuations.tenant = old.tenant
    ) OR EXISTS (
        SELECT 1 FROM runs
        WHERE runs.id BETWEEN lowest AND highest AND runs.event_id = old.event_id AND runs.due_at IS NOT NULL
    ) OR EXISTS (
        SELECT 1 FROM messages
        WHERE messages.id BETWEEN lowest AND highest AND messages.event_id = old.event_id AND status IN ({coded(ACTIVE)})
    )
"""
CANCELED_DROP = "DELETE FROM canceled_events WHERE event_id = ANY($1::bytea[])"
RUNS_OLD = "SELECT id, tenant FROM runs WHERE id > $1 AND id < $2 AND due_at IS NULL ORDER BY id LIMIT $3"
DIGESTS_OLD = (
    "SELECT id, tenant FROM digests WHERE id > $1 AND id < $2 AND total IS NOT NULL ORDER BY id LIMIT $3"
)
DIGESTS_DROP = """
    WITH gone AS (DELETE FROM digests WHERE id = ANY($1::bytea[]) RETURNING id)
    DELETE FROM digest_items WHERE digest_id = ANY(ARRAY(SELECT id FROM gone))
"""
PLANNED_OLD = "SELECT id, tenant FROM events WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
PLANNED_DROP = "DELETE FROM events WHERE id = ANY($1::bytea[])"
JOURNAL_OLD = "SELECT seq, at, tenant FROM journal WHERE seq > $1 ORDER BY seq LIMIT $2"
JOURNAL_DROP = "DELETE FROM journal WHERE seq = ANY($1::bigint[])"
POINTERS_OLD = """
    SELECT key, message_id,
        message_id < $2 AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.id = message_id) AS is_old
    FROM (SELECT key, message_id FROM {table} WHERE key > $1 ORDER BY key LIMIT $3) AS seen ORDER BY key
"""
POINTERS_DROP = """
    DELETE FROM {table} USING unnest($1::bytea[], $2::bytea[]) AS old (key, message_id)
    WHERE {table}.key = old.key AND {table}.message_id = old.message_id
"""

BY_TIME = {
    RetentionKind.CAPTURES: "captures",
    RetentionKind.DELIVERIES: "deliveries",
    RetentionKind.INBOUND: "inbound",
    RetentionKind.QUARANTINE: "strays",
    RetentionKind.DEAD_RECORDS: "dead_records",
}
TIMES = {
    table: f"SELECT seq, at, tenant FROM {table} WHERE seq > $1 ORDER BY seq LIMIT $2"
    for table in BY_TIME.values()
} | {
    "captures": """
    SELECT seq, at, tenant FROM captures JOIN routes ON routes.no = captures.route WHERE seq > $1 ORDER BY seq LIMIT $2
"""
}
BY_ID_OLD = "SELECT id, tenant, {ends} FROM {table} WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3"
OPERATION_ERRORS_OLD = """
    SELECT operation, number, tenant, finished_at FROM operation_errors JOIN operations ON operations.id = operation
    WHERE (operation, number) > ($1, $2) AND operation < $3 ORDER BY operation, number LIMIT $4
"""
OPERATION_ERRORS_DROP = """
    DELETE FROM operation_errors USING unnest($1::bytea[], $2::bigint[]) AS old (operation, number)
    WHERE operation_errors.operation = old.operation AND operation_errors.number = old.number
"""
RANGES_OLD = """
    SELECT tenant, digits, at FROM number_ranges WHERE at >= $1 AND at < $2 ORDER BY at LIMIT $3
"""
RANGES_DROP = """
    DELETE FROM number_ranges USING unnest($1::bigint[], $2::text[], $3::bigint[]) AS old (tenant, digits, at)
    WHERE number_ranges.tenant = old.tenant AND number_ranges.digits = old.digits AND number_ranges.at = old.at
"""
