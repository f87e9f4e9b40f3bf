"""The messages of a user lie side by side, with the inbox items they became."""

from alembic import op

from clarion.adapters.ledgers.migrations import slices

revision = "0022"
down_revision = "0021"

SLICE = 20_000
"""Messages converted in one transaction, and the rest of the last one's user."""
LAST = 2**63 - 1
"""Behind every user."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS user_messages (
    user INTEGER NOT NULL,
    id BLOB NOT NULL,
    route INTEGER NOT NULL,
    counted_at INTEGER,
    at INTEGER,
    "offset" INTEGER,
    moved_to INTEGER,
    seen_at INTEGER,
    read_at INTEGER,
    archived_at INTEGER,
    unseen INTEGER DEFAULT 0 NOT NULL,
    unread INTEGER DEFAULT 0 NOT NULL,
    total INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (user, id)
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS inbox_moves (
    user INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    unseen INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (user, "offset")
) WITHOUT ROWID""",
)

_UPTO = """SELECT user FROM messages INDEXED BY messages_user WHERE user > ? ORDER BY user LIMIT 1 OFFSET ?"""

# An item stands where it came in unless a newer one has a smaller offset. Only the newest change needs its counters.
_SLICE = """WITH items AS MATERIALIZED (SELECT * FROM inbox WHERE user > ?1 AND user <= ?2)
INSERT INTO user_messages
SELECT user, id, route, counted_at, at, iif(rises, "offset", NULL), iif(rises, NULL, "offset"),
    seen_at, read_at, archived_at, iif(newest, unseen, 0), iif(newest, unread, 0), iif(newest, total, 0)
FROM (
    SELECT messages.user, id, route, counted_at, items.at, "offset", items.seen_at, items.read_at, items.archived_at,
        "offset" < coalesce(min("offset") OVER newer, "offset" + 1) AS rises,
        "offset" = max("offset") OVER every AS newest,
        count("offset") FILTER (WHERE items.archived_at IS NULL AND items.seen_at IS NULL) OVER every AS unseen,
        count("offset") FILTER (WHERE items.archived_at IS NULL AND items.read_at IS NULL) OVER every AS unread,
        count("offset") FILTER (WHERE items.archived_at IS NULL) OVER every AS total
    FROM messages INDEXED BY messages_user
        LEFT JOIN items ON items.message_id = messages.id AND items.user = messages.user
    WHERE messages.user > ?1 AND messages.user <= ?2 AND messages.user NOT IN (SELECT user FROM erased)
    WINDOW every AS (PARTITION BY messages.user),
        newer AS (PARTITION BY messages.user ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)"""
_MOVES = """INSERT INTO inbox_moves SELECT user, moved_to, id, unseen, unread, total FROM user_messages
WHERE user > ?1 AND user <= ?2 AND moved_to IS NOT NULL"""

_LEFT = "SELECT (SELECT count(*) FROM inbox) - (SELECT count(*) FROM user_messages WHERE at IS NOT NULL)"

_REST = (
    "DROP TABLE inbox",
    "DROP INDEX messages_user",
    "ALTER TABLE messages DROP COLUMN counted_at",
)


def upgrade() -> None:
    """User by user, a slice at a time: cut off, it goes on behind the last slice that was stored."""
    run = op.get_bind().exec_driver_sql
    for statement in _TABLES:
        run(statement)
    done = run("SELECT coalesce(max(user), -1) FROM user_messages").scalar_one()
    stored, total = run("SELECT (SELECT count(*) FROM user_messages), (SELECT count(*) FROM messages)").one()
    while done is not None:
        upto = run(_UPTO, (done, SLICE)).scalar_one_or_none()
        place = (done, LAST if upto is None else upto)
        run(_SLICE, place)
        stored += run("SELECT changes()").scalar_one()
        run(_MOVES, place)
        slices.store(stored, total)
        done = upto
    if left := run(_LEFT).scalar_one():
        raise RuntimeError(f"{left} inbox items were not converted; the old tables are kept")
    for statement in _REST:
        run(statement)
