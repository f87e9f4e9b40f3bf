"""Statements that store what was planned.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.row_encoding import array

EVENTS_ADD = """
    INSERT INTO events (id, journal, workflow, tenant, lane, first_user, last_user)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

EVENTS_KNOWN = f"""
    SELECT {array("DISTINCT events.journal")} FROM json_each(?1) AS new CROSS JOIN events
    WHERE events.id = substr(?2, new.key * 16 + 1, 16)
      AND events.first_user <= new.value ->> 1 AND events.last_user >= new.value ->> 0
"""
"""Rows of the journal that may have runs of the same event and the same users."""

MESSAGES_ADD_PLAIN = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""What every planned message has."""

MESSAGES_ADD_RICH = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder,
        reason, expires_at, attempt, unknowns, threaded, later_rungs, waits_for
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""With what some have besides."""

MESSAGES_ADD_SETTLED = """
    INSERT INTO messages (
        id, event_id, user, route, queue, status, created_at, due_at, fence, charged, tenant, journal, holder,
        reason, expires_at, attempt, unknowns, threaded, later_rungs, waits_for,
        integration, updated_at, sent_at, delivered_at
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""In their final state."""

RECENT_ADD = "INSERT INTO recent_messages (id, user, route, counted_at) VALUES (?, ?, ?, ?)"
