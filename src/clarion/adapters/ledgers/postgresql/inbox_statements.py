"""Statements about inboxes."""

from __future__ import annotations

from clarion.adapters.ledgers.postgresql.lookups import is_each

HEADS = 'SELECT "user", "offset", unseen, unread, total FROM inbox_heads WHERE "user" = ANY($1::bigint[])'

HEADS_NEW = """
    INSERT INTO inbox_heads ("user") SELECT * FROM unnest($1::bigint[]) AS wanted ("user")
    WHERE NOT EXISTS (SELECT 1 FROM inbox_heads WHERE inbox_heads."user" = wanted."user") ON CONFLICT DO NOTHING
"""
HEADS_LOCKED = f'{HEADS} ORDER BY "user" FOR NO KEY UPDATE'

HEADS_ARE = f"""
    UPDATE inbox_heads SET "offset" = new."offset", unseen = new.unseen, unread = new.unread, total = new.total
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS new ("user", "offset", unseen, unread, total)
    WHERE {is_each('inbox_heads."user"', 'new."user"')}
"""

EXTEND = """
    WITH new AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
            AS new ("user", "offset", unseen, unread, total, newest)
    ), before AS MATERIALIZED (
        SELECT "user", newest FROM inbox_heads WHERE "user" = ANY($1::bigint[]) ORDER BY "user" FOR NO KEY UPDATE
    ), moved AS (
        INSERT INTO inbox_heads AS head ("user", "offset", unseen, unread, total, newest)
        SELECT new."user", new."offset", new.unseen, new.unread, new.total, new.newest
        FROM new LEFT JOIN before ON before."user" = new."user" ORDER BY new."user"
        ON CONFLICT ("user") DO UPDATE SET "offset" = head."offset" + excluded."offset",
            unseen = head.unseen + excluded.unseen, unread = head.unread + excluded.unread,
            total = head.total + excluded.total, newest = greatest(head.newest, excluded.newest)
        RETURNING head."user", head."offset", head.unseen, head.unread, head.total
    )
    SELECT moved.*, before.newest FROM moved LEFT JOIN before ON before."user" = moved."user"
"""
"""So much further, by user: where the heads are now, and the newest item there was."""

NEW_COLUMNS = ("user", "id", "at", "offset", "moved_to", "counted_at", "route")

ADD = f"""
    UPDATE user_messages SET at = new.at, "offset" = new."offset", moved_to = new.moved_to, counted_at = new.counted_at
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS new ("user", id, at, "offset", moved_to, counted_at)
    WHERE {is_each('user_messages."user"', 'new."user"')} AND {is_each("user_messages.id", "new.id")}
"""

_ITEM = """item."user", coalesce(item.moved_to, item."offset"), item.id, item.at, item.seen_at, item.read_at,
    item.archived_at, item.route, content.sealed"""
"""What `row_mappers.item` reads."""
_CONTENT = "JOIN inbox_content AS content ON content.message_id = item.id"

SINCE = f"""
    SELECT {_ITEM} FROM (
        (
            SELECT * FROM user_messages WHERE "user" = $1 AND "offset" IS NOT NULL AND moved_to IS NULL AND id > coalesce((
                SELECT id FROM user_messages WHERE "user" = $1 AND "offset" <= $2 ORDER BY id DESC LIMIT 1
            ), '') ORDER BY id LIMIT $3
        ) UNION ALL (
            SELECT user_messages.* FROM inbox_moves JOIN user_messages
                ON user_messages."user" = inbox_moves."user" AND user_messages.id = inbox_moves.message_id
            WHERE inbox_moves."user" = $1 AND inbox_moves."offset" > $2 AND user_messages.at IS NOT NULL
            ORDER BY inbox_moves."offset" LIMIT $3
        )
    ) AS item {_CONTENT} ORDER BY 2 LIMIT $3
"""
"""What came in behind an offset and stands where it came in, and what was moved behind it."""

_SHOWN = """"user" = $1 AND at IS NOT NULL AND (archived_at IS NOT NULL) = $2 AND (NOT $3 OR read_at IS NULL)
    AND (NOT $2 OR EXISTS (SELECT 1 FROM inbox_content WHERE message_id = id AND sealed <> ''))"""
"""What is withdrawn has no content, and counts as archived."""

PAGE = f"""
    SELECT {_ITEM} FROM (
        SELECT * FROM user_messages WHERE {_SHOWN} AND id < $4 ORDER BY id DESC LIMIT $5
    ) AS item {_CONTENT} ORDER BY item.id DESC
"""
MATCHING = f"SELECT id FROM user_messages WHERE {_SHOWN} ORDER BY id DESC"
NAMED = f"""
    SELECT {_ITEM} FROM user_messages AS item {_CONTENT}
    WHERE item."user" = $1 AND item.id = ANY($2::bytea[]) AND item.at IS NOT NULL ORDER BY 2
"""

MARK = f"""
    UPDATE user_messages
    SET moved_to = new.moved_to, seen_at = new.seen_at, read_at = new.read_at, archived_at = new.archived_at
    FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
        AS new ("user", id, moved_to, seen_at, read_at, archived_at)
    WHERE {is_each('user_messages."user"', 'new."user"')} AND {is_each("user_messages.id", "new.id")}
"""
MOVES_ADD = """
    INSERT INTO inbox_moves ("user", "offset", message_id) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
"""
MOVES_DROP = """
    DELETE FROM inbox_moves USING unnest($1::bigint[], $2::bigint[]) AS gone ("user", "offset")
    WHERE inbox_moves."user" = gone."user" AND inbox_moves."offset" = gone."offset"
"""
TAKE_OUT = f"""
    UPDATE user_messages SET at = NULL, "offset" = NULL, moved_to = NULL, seen_at = NULL, read_at = NULL, archived_at = NULL
    FROM unnest($1::bigint[], $2::bytea[]) AS gone ("user", id)
    WHERE {is_each('user_messages."user"', 'gone."user"')} AND {is_each("user_messages.id", "gone.id")}
"""

CONTENT_REPLACE = "UPDATE inbox_content SET sealed = $1 WHERE message_id = $2"
CONTENT_DROP = "DELETE FROM inbox_content WHERE message_id = ANY($1::bytea[])"

CARD = 'SELECT message_id, sequence FROM inbox_cards WHERE "user" = $1 AND live = $2'
CARD_PUT = """
    INSERT INTO inbox_cards ("user", live, message_id, sequence) VALUES ($1, $2, $3, $4)
    ON CONFLICT ("user", live) DO UPDATE SET message_id = excluded.message_id, sequence = excluded.sequence
"""
CARDS_DROP = """
    DELETE FROM inbox_cards USING unnest($1::bigint[], $2::bytea[]) AS gone ("user", id)
    WHERE inbox_cards."user" = gone."user" AND inbox_cards.message_id = gone.id
"""

MESSAGES_STAMP = f"""
    UPDATE messages SET seen_at = new.seen_at, read_at = new.read_at, archived_at = new.archived_at
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) AS new (id, seen_at, read_at, archived_at)
    WHERE {is_each("messages.id", "new.id")}
    RETURNING messages.id, messages.tenant, messages.status, messages.reason, messages.journal
"""
"""Where these messages are, and the newest record of each."""
MARKS_RECORD = f"""
    UPDATE messages SET journal = new.journal FROM unnest($1::bytea[], $2::bigint[]) AS new (id, journal)
    WHERE {is_each("messages.id", "new.id")}
"""
LATER_RUNGS = "SELECT later_rungs FROM messages WHERE id = ANY($1::bytea[]) AND later_rungs IS NOT NULL"
RUNGS_UNTIL = """
    SELECT messages.id FROM messages JOIN routes ON routes.no = messages.route
    WHERE messages.id = ANY($1::bytea[]) AND routes.until = ANY($2::text[])
"""
