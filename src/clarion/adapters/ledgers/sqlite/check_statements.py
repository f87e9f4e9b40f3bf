"""Statements of the exact checks: keys that were used before, and what caps count.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.schema import coded
from clarion.adapters.ledgers.sqlite.call_statements import status_now
from clarion.adapters.ledgers.sqlite.recent_statements import OF_USER, of_user, recent
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array, field, id_at, insert
from clarion.model.status import (
    ACTIVE,
)

DEDUPES_FIND = f"SELECT {array('hex(key), hex(run_id), expires_at')} FROM dedupes WHERE key IN {IDS}"

DEDUPES_ADD = (
    insert("dedupes", {"key": id_at(0, 2), "run_id": id_at(1, 2), "expires_at": field(0)})
    + "WHERE true ON CONFLICT (key) DO UPDATE SET run_id = excluded.run_id, expires_at = excluded.expires_at"
)

DEDUPES_PURGE = """
    DELETE FROM dedupes WHERE expires_at <= (
        SELECT max(expires_at) FROM (SELECT expires_at FROM dedupes WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 500)
    )
"""

CAPS_USES = f"""
    SELECT {array("user, route, counted_at")} FROM (
        SELECT user, route, counted_at FROM json_each(?1) AS wanted CROSS JOIN user_messages
        WHERE user_messages.user = wanted.value AND counted_at > ?2
        UNION ALL SELECT user, route, counted_at FROM {recent("?3", "?4")} WHERE counted_at > ?2
    )
"""

_COUNTED_AT = of_user("counted_at")
_IS_THERE = f"{of_user('id')} IS NOT NULL"

_HOLDER = array(
    f"hex(holders.key), hex(messages.id), {status_now('messages.')}, messages.user, messages.route, {_COUNTED_AT}, "
    "nullif(hex(messages.waits_for), '')"
)

_POINT = """ON CONFLICT (key) DO UPDATE SET message_id = excluded.message_id"""

COLLAPSES_FIND = f"""
    SELECT {_HOLDER} FROM collapses AS holders CROSS JOIN {OF_USER}
    WHERE {_IS_THERE} AND messages.id = holders.message_id AND holders.key IN {IDS}
"""

COLLAPSES_ADD = insert("collapses", {"key": id_at(0, 2), "message_id": id_at(1, 2)}) + f"WHERE true {_POINT}"

THREADS_FIND = f"""
    WITH RECURSIVE holders (key, message_id) AS (
        SELECT key, message_id FROM threads WHERE key IN {IDS}
        UNION ALL
        SELECT holders.key, ended.waits_for FROM holders CROSS JOIN messages AS ended
        WHERE ended.id = holders.message_id AND ended.waits_for IS NOT NULL AND ended.status NOT IN ({coded(ACTIVE)})
    )
    SELECT {_HOLDER} FROM holders CROSS JOIN {OF_USER}
    WHERE {_IS_THERE} AND messages.id = holders.message_id AND (messages.waits_for IS NULL OR messages.status IN ({coded(ACTIVE)}))
"""
"""What ended while it waited left its place to what it waited for."""

THREADS_ADD = insert("threads", {"key": id_at(0, 2), "message_id": id_at(1, 2)}) + f"WHERE true {_POINT}"

THREADED = f"UPDATE messages SET threaded = 1 WHERE id IN {IDS}"

CHARGEABLE = f"""
    SELECT {array(f"hex(messages.id), messages.user, messages.route, {_COUNTED_AT}")} FROM {OF_USER}
    WHERE {_IS_THERE} AND charged = 0 AND status IN ({coded(ACTIVE)}) AND messages.id IN {IDS}
"""
"""What is neither counted as on its way nor over."""

COUNTED_FIND = f"""
    SELECT {array(f"hex(messages.id), messages.user, messages.route, {_COUNTED_AT}")} FROM {OF_USER}
    WHERE {_COUNTED_AT} IS NOT NULL AND messages.id IN {IDS}
"""

CHARGED = f"UPDATE messages SET charged = ?3 WHERE id IN {IDS}"

COUNTED = tuple(
    f"""
    WITH new AS MATERIALIZED (
        SELECT messages.user, messages.id, {field(0)} AS at
        FROM json_each(?1) CROSS JOIN messages ON messages.id = {id_at(0, 1)}
    )
    UPDATE {table} SET counted_at = new.at FROM new
    WHERE {table}.user = new.user AND {table}.id = new.id
    """
    for table in ("recent_messages", "user_messages")
)
"""The row may be in either, or in both."""
