"""Statements about calls that are under way, and what a message is by them.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.schema import CODES
from clarion.model.status import (
    Status,
)

CALLS_ADD = """
    INSERT INTO calls (worker, position, integration, since, lowest, highest, ids) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

CALLS_UNDER_WAY = "SELECT worker, position, ids FROM calls"

CALL_DROP = "DELETE FROM calls WHERE worker = ? AND position = ?"

STILL_CALLED = f"""
    SELECT 1 FROM json_each(?1) AS begun CROSS JOIN messages
    WHERE messages.id = substr(?2, begun.key * 16 + 1, 16) AND status = {CODES[Status.QUEUED]}
      AND holder = ?3 AND journal < begun.value LIMIT 1
"""
"""Whether one of these is in its call: the values are the positions of the records that they are called."""

_PLACE = "instr(calls.ids, {m}id)"

_BEGUN = f"calls.position + ({_PLACE} - 1) / 16"

_CALL = f"""
    FROM calls WHERE {{m}}holder IS NOT NULL AND {{m}}status = {CODES[Status.QUEUED]} AND calls.worker = {{m}}holder
        AND {{m}}id BETWEEN calls.lowest AND calls.highest AND {_PLACE} > 0 AND {_BEGUN} > {{m}}journal
    ORDER BY calls.position DESC LIMIT 1
"""


def status_now(m: str = "") -> str:
    """SQL: the status of a message `m`, which says `sending` while it is in a call."""
    return f"iif(EXISTS (SELECT 1 {_CALL.format(m=m)}), {CODES[Status.SENDING]}, {m}status)"


def updated_now(m: str = "") -> str:
    """SQL: when it was changed last, by a call too."""
    return f"coalesce((SELECT calls.since {_CALL.format(m=m)}), {m}updated_at)"


def journal_now(m: str = "") -> str:
    """SQL: the position of the newest record about it, that it is called too."""
    return f"coalesce((SELECT {_BEGUN.format(m=m)} {_CALL.format(m=m)}), {m}journal)"


def integration_now(m: str = "") -> str:
    """SQL: through which integration it went last, or is going."""
    return f"coalesce((SELECT calls.integration {_CALL.format(m=m)}), {m}integration)"
