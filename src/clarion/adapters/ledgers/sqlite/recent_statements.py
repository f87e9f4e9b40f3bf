"""Statements about the newest messages of users, and what others need to read these and `user_messages` as one.

Rows are parameters as `row_encoding` says.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array, id_at

RECENT_MOVE = f"""
    INSERT OR IGNORE INTO user_messages
    SELECT recent_messages.* FROM json_each(?1) AS wanted CROSS JOIN recent_messages
    WHERE recent_messages.id = {id_at(0, 1).replace("key", "wanted.key")}
"""
"""To `user_messages`, whose row counts as soon as there is one."""

RECENT_NEWEST = "SELECT id FROM recent_messages WHERE id > ?1 ORDER BY id DESC LIMIT 1"

RECENT_OLDEST = f"""
    SELECT {array("user, hex(id)")} FROM (
        SELECT user, id FROM recent_messages WHERE id <= ?1 ORDER BY id LIMIT ?2
    )
"""

RECENT_DROP = f"DELETE FROM recent_messages WHERE id IN {IDS}"

_NOT_MOVED = """NOT EXISTS (
    SELECT 1 FROM user_messages AS moved WHERE moved.user = recent_messages.user AND moved.id = recent_messages.id
)"""

RECENT_LOAD = f"SELECT user, id FROM recent_messages WHERE {_NOT_MOVED}"


def recent(rows: str, ids: str) -> str:
    """SQL for those of these ids (two parameters of `row_encoding.keys`) that are not in `user_messages` yet."""
    wanted = id_at(0, 1).replace("?2", ids)
    return f"""(
        SELECT * FROM recent_messages WHERE id IN (SELECT {wanted} FROM json_each({rows})) AND {_NOT_MOVED}
    )"""


OF_USER = """messages
    LEFT JOIN user_messages AS moved ON moved.user = messages.user AND moved.id = messages.id
    LEFT JOIN recent_messages AS recent ON moved.id IS NULL AND recent.id = messages.id"""
"""SQL for messages with their row in `user_messages` or in `recent_messages`, whichever counts."""


def of_user(column: str) -> str:
    """SQL for a column of that row."""
    return f"coalesce(moved.{column}, recent.{column})"
