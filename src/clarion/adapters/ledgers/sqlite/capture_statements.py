"""Statements about captures.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.recent_statements import recent
from clarion.adapters.ledgers.sqlite.row_encoding import array, bytes_at, field, id_at, insert

CAPTURES_ADD = insert(
    "captures",
    {
        "message_id": id_at(0, 1),
        "user": field(0),
        "route": f"(SELECT route FROM messages WHERE id = {id_at(0, 1)})",
        "integration": field(1),
        "at": field(2),
        "sealed": bytes_at(3, 4),
    },
)

_CAPTURE = "seq, hex(message_id), user, route, integration, hex(sealed), at"

CAPTURES_PAGE = f"""
    SELECT {array(_CAPTURE)} FROM (
        SELECT * FROM captures WHERE (?2 IS NULL OR seq < ?2) AND route IN (SELECT value FROM json_each(?1))
            AND (?4 IS NULL OR at >= ?4) AND (?5 IS NULL OR at < ?5)
        ORDER BY seq DESC LIMIT ?3
    )
"""

CAPTURES_OF_USER = f"""
    SELECT {array(_CAPTURE)} FROM (
        SELECT captures.* FROM (
            SELECT id FROM user_messages WHERE user = ?6 UNION ALL SELECT id FROM {recent("?7", "?8")}
        ) AS its CROSS JOIN captures
        WHERE captures.message_id = its.id AND (?2 IS NULL OR seq < ?2)
            AND (?4 IS NULL OR captures.at >= ?4) AND (?5 IS NULL OR captures.at < ?5)
            AND captures.route IN (SELECT value FROM json_each(?1))
        ORDER BY seq DESC LIMIT ?3
    )
"""

CAPTURES_OF = f"""
    SELECT {array(_CAPTURE)} FROM (SELECT * FROM captures WHERE message_id = ? ORDER BY seq LIMIT -1)
"""
