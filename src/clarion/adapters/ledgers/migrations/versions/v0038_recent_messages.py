"""New messages of users are written in order of time first."""

from alembic import op

revision = "0038"
down_revision = "0037"

_TABLE = """CREATE TABLE recent_messages (
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
    PRIMARY KEY (id)
) WITHOUT ROWID"""


def upgrade() -> None:
    """A table. What `user_messages` has stays there."""
    op.get_bind().exec_driver_sql(_TABLE)
