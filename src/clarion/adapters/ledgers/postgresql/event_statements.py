"""Statements about events that were planned or canceled."""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.locks import CANCEL as CANCEL_LOCK
from clarion.adapters.ledgers.schema import coded
from clarion.model.status import ACTIVE

ROWS = """
    SELECT journal FROM events WHERE id = $1 AND tenant = $2 AND ($3::bigint IS NULL OR $3 BETWEEN first_user AND last_user)
    ORDER BY journal
"""

KNOWN = "SELECT 1 FROM events WHERE id = $1 AND tenant = $2 LIMIT 1"

ACTIVE_OF = f"""
    SELECT EXISTS (
        SELECT 1 FROM messages WHERE id BETWEEN $1 AND $2 AND event_id = $3 AND status IN ({coded(ACTIVE)})
    )
"""

PAGE = """
    SELECT DISTINCT id FROM (
        SELECT id, tenant FROM events WHERE id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4
    ) AS seen WHERE tenant = $1 ORDER BY id DESC LIMIT $5
"""

PAGE_END = "SELECT id FROM events WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3"
"""Where the scan of the same `PAGE` stopped; nothing when it came to the end."""

PLANNED = "SELECT workflow, lane FROM events WHERE id = $1 AND tenant = $2 ORDER BY journal LIMIT 2000"
"""What an event started: one workflow as a rule, with a row for every page of its recipients."""

COUNTS = "SELECT status, count(*) FROM messages WHERE id BETWEEN $1 AND $2 AND event_id = $3 GROUP BY status"

COUNTS_OF_EVENTS = """
    SELECT event_id, status, count(*) FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS event (lowest, highest, event)
        CROSS JOIN LATERAL (
            SELECT event_id, status FROM messages WHERE id BETWEEN lowest AND highest AND event_id = event
        ) AS its
    GROUP BY event_id, status
"""
STOPPABLE = """
    SELECT id FROM messages WHERE id BETWEEN $1 AND $2 AND event_id = $3 AND id > $4 AND status = ANY($5::bigint[])
    ORDER BY id LIMIT $6
"""

CANCEL = f"""
    WITH alone AS MATERIALIZED (SELECT pg_advisory_xact_lock({CANCEL_LOCK}, 0))
    INSERT INTO canceled_events (event_id) SELECT $1 FROM alone ON CONFLICT DO NOTHING
"""
"""Nobody plans at this moment: whoever does so afterwards sees it."""
