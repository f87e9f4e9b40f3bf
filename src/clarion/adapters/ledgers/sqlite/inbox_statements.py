"""Statements about inboxes.

Rows are parameters as `row_encoding` says; `VALUES (?, ...)` stands for one of the rows of `files.write`.
"""

from __future__ import annotations

from clarion.adapters.ledgers.sqlite.recent_statements import recent
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, array, field, id_at, insert

INBOX_HEADS = f"""
    SELECT {
    array(
        "value, hex(newest.id), newest.offset, newest.unseen, newest.unread, newest.total, "
        "moved.offset, moved.unseen, moved.unread, moved.total"
    )
}
    FROM json_each(?1) AS wanted
    LEFT JOIN user_messages AS newest ON newest.user = wanted.value AND newest.id = (
        SELECT id FROM user_messages
        WHERE user_messages.user = wanted.value AND offset IS NOT NULL ORDER BY id DESC LIMIT 1
    )
    LEFT JOIN inbox_moves AS moved ON moved.user = wanted.value AND moved.offset = (
        SELECT max(offset) FROM inbox_moves WHERE inbox_moves.user = wanted.value
    )
"""
"""Where offsets and counters of some users stand: at whichever is later, the last item that came in or the last move."""

RECENT_HEADS = f"""
    SELECT {array("user, newest, offset, unseen, unread, total")} FROM (
        SELECT user, hex(max(id)) AS newest, offset, unseen, unread, total FROM {recent("?1", "?2")}
        WHERE offset IS NOT NULL GROUP BY user
    )
"""
"""The last item that came in, of those users who have one in `recent_messages`."""

INBOX_ADD = tuple(
    f"""
    WITH new (id, user, at, offset, moved_to, unseen, unread, total, counted_at)
    AS (VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?))
    UPDATE {table} SET at = new.at, offset = new.offset, moved_to = new.moved_to,
        unseen = new.unseen, unread = new.unread, total = new.total, counted_at = new.counted_at
    FROM new WHERE {table}.user = new.user AND {table}.id = new.id
    """
    for table in ("recent_messages", "user_messages")
)
"""The row may be in either, or in both."""

INBOX_ADD_NEW = """
    INSERT INTO recent_messages (id, user, at, offset, moved_to, unseen, unread, total, counted_at, route)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
"""For messages that are stored in the same transaction."""

INBOX_CONTENT_ADD = "INSERT INTO inbox_content (message_id, sealed) VALUES (?, ?)"

ITEM = (
    "user, coalesce(moved_to, offset), hex(id), at, seen_at, read_at, archived_at, route, "
    "(SELECT hex(sealed) FROM inbox_content WHERE inbox_content.message_id = item.id)"
)
"""What `decoding.item` reads."""

_BEFORE = "SELECT id FROM user_messages WHERE user = ?1 AND offset <= ?2 ORDER BY id DESC LIMIT 1"

_SINCE = f"""
    SELECT * FROM (
        SELECT * FROM user_messages
        WHERE user = ?1 AND offset IS NOT NULL AND moved_to IS NULL AND id > coalesce(({_BEFORE}), x'')
        ORDER BY id LIMIT ?3
    )
    UNION ALL SELECT * FROM (
        SELECT user_messages.* FROM inbox_moves CROSS JOIN user_messages
            ON user_messages.user = inbox_moves.user AND user_messages.id = inbox_moves.message_id
        WHERE inbox_moves.user = ?1 AND inbox_moves.offset > ?2 AND user_messages.at IS NOT NULL
        ORDER BY inbox_moves.offset LIMIT ?3
    )
    UNION ALL SELECT * FROM {recent("?4", "?5")} WHERE at IS NOT NULL AND coalesce(moved_to, offset) > ?2
"""

INBOX_SINCE = f"""
    SELECT {array(ITEM)} FROM (
        SELECT * FROM ({_SINCE}) ORDER BY coalesce(moved_to, offset) LIMIT ?3
    ) AS item
"""
"""What came in behind an offset and stands where it came in, and what was moved behind it."""

_SHOWN = """user = ?1 AND at IS NOT NULL AND (archived_at IS NOT NULL) = ?2 AND (?3 = 0 OR read_at IS NULL)
    AND (?2 = 0 OR EXISTS (SELECT 1 FROM inbox_content WHERE message_id = id AND sealed <> x''))"""
"""What is withdrawn has no content, and counts as archived."""

INBOX_PAGE = f"""
    SELECT {array(ITEM)} FROM (
        SELECT * FROM user_messages WHERE {_SHOWN} AND id < ?4
        UNION ALL SELECT * FROM {recent("?6", "?7")} WHERE {_SHOWN} AND id < ?4
        ORDER BY id DESC LIMIT ?5
    ) AS item
"""

INBOX_MATCHING = f"""
    SELECT {array("hex(id)")} FROM (
        SELECT id FROM user_messages WHERE {_SHOWN}
        UNION ALL SELECT id FROM {recent("?4", "?5")} WHERE {_SHOWN}
        ORDER BY id DESC LIMIT -1
    )
"""

INBOX_NAMED = f"""
    SELECT {array(ITEM)} FROM (
        SELECT * FROM user_messages WHERE user = ?3 AND id IN {IDS} AND at IS NOT NULL
        ORDER BY coalesce(moved_to, offset) LIMIT -1
    ) AS item
"""

INBOX_MARK = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(1)} AS moved_to, {field(2)} AS seen_at, {field(3)} AS read_at,
            {field(4)} AS archived_at
        FROM json_each(?1)
    )
    UPDATE user_messages SET moved_to = new.moved_to, seen_at = new.seen_at, read_at = new.read_at,
        archived_at = new.archived_at
    FROM new WHERE user_messages.user = ?3 AND user_messages.id = new.id
"""

INBOX_MOVES_DROP = """
    DELETE FROM inbox_moves WHERE user = ?2 AND offset IN (SELECT value ->> 0 FROM json_each(?1))
"""

INBOX_MOVES_ADD = insert(
    "inbox_moves",
    {
        "message_id": id_at(0, 1),
        "user": field(0),
        "offset": field(1),
        "unseen": field(2),
        "unread": field(3),
        "total": field(4),
    },
)

INBOX_UNMOVE = "DELETE FROM inbox_moves WHERE user = ? AND offset = ?"

INBOX_TAKE_OUT = """
    UPDATE user_messages SET at = NULL, offset = NULL, moved_to = NULL, seen_at = NULL, read_at = NULL,
        archived_at = NULL, unseen = 0, unread = 0, total = 0
    WHERE user = ? AND id = ?
"""

INBOX_CONTENT_REPLACE = "UPDATE inbox_content SET sealed = ? WHERE message_id = ?"

CARD = "SELECT hex(message_id), sequence FROM inbox_cards WHERE user = ? AND live = ?"

CARD_PUT = "INSERT OR REPLACE INTO inbox_cards (user, live, message_id, sequence) VALUES (?, ?, ?, ?)"

CARDS_DROP = "DELETE FROM inbox_cards WHERE user = ? AND message_id = ?"

INBOX_CONTENT_DROP = "DELETE FROM inbox_content WHERE message_id = ?"

INBOX_RECOUNT = (
    "UPDATE inbox_moves SET unseen = ?, unread = ?, total = ? WHERE user = ? AND offset = ?",
    """UPDATE user_messages SET unseen = ?1, unread = ?2, total = ?3
    WHERE user = ?4 AND id = (
        SELECT id FROM user_messages WHERE user = ?4 AND offset IS NOT NULL ORDER BY id DESC LIMIT 1
    ) AND offset = ?5""",
)
"""The counters at the newest offset of a user, wherever they stand."""

INBOX_STANDS = (
    "INSERT INTO inbox_moves (user, offset, message_id, unseen, unread, total) VALUES (?, ?, ?, ?, ?, ?)"
)
"""A move without an item: the newest change of the user was of one that went."""

INBOX_STOOD = """
    DELETE FROM inbox_moves WHERE user = ?1 AND offset < ?2 AND NOT EXISTS (
        SELECT 1 FROM user_messages WHERE user_messages.user = ?1 AND id = message_id AND at IS NOT NULL
    )
"""
"""Moves without an item that stood for an earlier newest offset."""

MESSAGES_STAMP = f"""
    WITH new AS MATERIALIZED (
        SELECT {id_at(0, 1)} AS id, {field(2)} AS seen_at, {field(3)} AS read_at, {field(4)} AS archived_at
        FROM json_each(?1)
    )
    UPDATE messages SET seen_at = new.seen_at, read_at = new.read_at, archived_at = new.archived_at
    FROM new WHERE messages.id = new.id
"""
"""From the parameters of `INBOX_MARK`."""

MARKED = f"SELECT {array('hex(id), tenant, status, reason, journal')} FROM messages WHERE id IN {IDS}"
"""What is recorded of a mark says where its message is; `journal`: its newest record so far."""

MARKS_RECORD = f"""
    WITH new AS MATERIALIZED (SELECT {id_at(0, 1)} AS id, {field(0)} AS journal FROM json_each(?1))
    UPDATE messages SET journal = new.journal FROM new WHERE messages.id = new.id
"""

LATER_RUNGS = f"""
    SELECT {array("hex(later_rungs)")} FROM messages WHERE id IN {IDS} AND later_rungs IS NOT NULL
"""

ROUTES_OF = f"SELECT {array('hex(id), route')} FROM messages WHERE id IN {IDS}"
