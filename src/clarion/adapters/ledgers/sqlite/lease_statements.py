"""The SQL statements of `leases`. How rows become parameters: `row_encoding`."""

from __future__ import annotations

from clarion.adapters.ledgers.schema import coded
from clarion.adapters.ledgers.sqlite.call_statements import (
    integration_now,
    journal_now,
    status_now,
    updated_now,
)
from clarion.adapters.ledgers.sqlite.row_encoding import field, id_at
from clarion.adapters.ledgers.worker_rows import COLUMNS
from clarion.model.status import ACTIVE

OPEN = f"""
    INSERT INTO workers (started_at, lease_until, {", ".join(COLUMNS)}) VALUES (?, ?{", ?" * len(COLUMNS)})
"""

BEAT = """
    UPDATE workers SET lease_until = ?2, held = ?4, oldest_planned = NULL,
        oldest_held = min(coalesce(?3, oldest_planned), coalesce(oldest_planned, ?3))
    WHERE id = ?1 AND NOT reaped
"""

WORKERS = f"""
    SELECT id, started_at, lease_until, held, draining,
        (SELECT group_concat(lane) FROM cursors WHERE worker = workers.id), {", ".join(COLUMNS)}
    FROM workers WHERE NOT reaped ORDER BY id
"""
DRAIN = "UPDATE workers SET draining = 1 WHERE node = ? AND NOT reaped"

LIVE = "SELECT oldest_planned FROM workers WHERE id = ? AND NOT reaped"
PLANNED = "UPDATE workers SET oldest_planned = ?2 WHERE id = ?1"

END_ALL = "UPDATE workers SET lease_until = 0"
"""By a process that has the file to itself: nobody else lives."""

REAP = "UPDATE workers SET reaped = 1 WHERE lease_until < ? AND NOT reaped"
DEAD = """
    SELECT id, min(coalesce(oldest_held, oldest_planned), coalesce(oldest_planned, oldest_held))
    FROM workers WHERE reaped ORDER BY id LIMIT 1
"""
PASSED = "UPDATE workers SET oldest_held = ?2, oldest_planned = NULL WHERE id = ?1"
"""What lies before is not held by the dead one any more."""
FORGET = ("DELETE FROM calls WHERE worker = ?", "DELETE FROM workers WHERE id = ?")


FREE_CONTINUATIONS = "UPDATE continuations SET holder = NULL, fence = fence + 1 WHERE holder = ?"
FREE_CAMPAIGNS = "UPDATE campaigns SET holder = NULL, fence = fence + 1 WHERE holder = ?"
FREE_RANGES = "UPDATE campaign_ranges SET holder = NULL, fence = fence + 1 WHERE holder = ?"
FREE_RUNS = "UPDATE runs SET holder = NULL, fence = fence + 1 WHERE holder = ?"


def _free(at: str, holder: str, which: str) -> str:
    """What was being called says so from then on."""
    return f"""
        UPDATE messages SET due_at = {at}, fence = fence + 1, holder = NULL, status = {status_now()},
            updated_at = {updated_now()}, integration = {integration_now()}, journal = {journal_now()}
        WHERE holder = {holder} AND status IN ({coded(ACTIVE)}) AND {which}
    """


FREE_NAMED = _free("?3", "?4", f"(id, fence) IN (SELECT {id_at(0, 1)}, {field(0)} FROM json_each(?1))")
FREE_CLAIMED = _free(
    "?1",
    "?2",
    """id IN (
        SELECT id FROM messages INDEXED BY messages_claimed WHERE holder = ?2 AND due_at IS NOT NULL LIMIT ?3
    )""",
)
FREE_BETWEEN = _free("?1", "?2", "id >= ?3 AND id < ?4")
FREE_BEHIND = _free("?1", "?2", "id >= ?3")

BEHIND = "SELECT id FROM messages WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?"
"""Where a slice of the messages ends."""
