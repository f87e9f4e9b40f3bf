"""Statements about events that were planned or canceled.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.schema import coded
from clarion.adapters.ledgers.sqlite.call_statements import status_now
from clarion.adapters.ledgers.sqlite.log_statements import not_ahead
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array
from clarion.model.channel import LANES
from clarion.model.status import (
    ACTIVE,
)

EVENT_ROWS = """
    SELECT journal FROM events
    WHERE id = ?1 AND tenant = ?2 AND (?3 IS NULL OR ?3 BETWEEN first_user AND last_user)
    ORDER BY id, journal LIMIT -1
"""

EVENT_KNOWN = "SELECT 1 FROM events WHERE id = ? AND tenant = ? LIMIT 1"

CANCEL_EVENT = "INSERT OR IGNORE INTO canceled_events (event_id) VALUES (?)"

CANCELED_EVENT_FORGET = "DELETE FROM canceled_events WHERE event_id = ?"

ANY_CANCELED_EVENT = "SELECT 1 FROM canceled_events LIMIT 1"

CANCELED_EVENTS = f"SELECT {array('hex(event_id)')} FROM canceled_events WHERE event_id IN {IDS}"

WAITS = {
    lane: f"""
    SELECT 1 FROM log_{lane.value} INDEXED BY log_{lane.value}_event
    WHERE seq > ? AND event_id = ? AND tenant = ? AND {not_ahead(lane)} LIMIT 1
"""
    for lane in LANES
}
"""Whether some of an event is not planned yet."""

ACTIVE_OF_EVENT = f"""
    SELECT 1 FROM messages WHERE id BETWEEN ?1 AND ?2 AND event_id = ?3 AND status IN ({coded(ACTIVE)}) LIMIT 1
"""

EVENT_BELOW = "SELECT id FROM events WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1"

EVENT_PLANNED = """
    SELECT DISTINCT tenant, workflow, lane
    FROM (SELECT tenant, workflow, lane FROM events WHERE id = ? LIMIT 2000)
"""
"""What an event started: one workflow as a rule, with a row for every page of its recipients."""

COUNTS_OF_EVENT = (
    f"SELECT {status_now()}, count(*) FROM messages WHERE id BETWEEN ? AND ? AND event_id = ? GROUP BY 1"
)

COUNTS_OF_EVENTS = f"""
    SELECT place, {status_now()}, count(*) FROM (SELECT key AS place FROM json_each(?1)) CROSS JOIN messages
    WHERE id BETWEEN substr(?2, place * 32 + 1, 16) AND substr(?2, place * 32 + 17, 16)
        AND event_id = substr(?3, place * 16 + 1, 16)
    GROUP BY 1, 2
"""
"""`?2` has the range of ids of each event's messages, `?3` the ids of the events."""

STOPPABLE_OF_EVENT = f"""
    SELECT {array("hex(id)")} FROM (
        SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 AND event_id = ?3 AND id > ?4
            AND {status_now()} IN (SELECT value FROM json_each(?5))
        ORDER BY id LIMIT ?6
    )
"""
