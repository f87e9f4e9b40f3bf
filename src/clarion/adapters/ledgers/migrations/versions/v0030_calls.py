"""Calls under way are rows of their own; what a process of an earlier version was sending still says so itself."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Nothing is being called while a database is migrated."""
    op.get_bind().exec_driver_sql("""CREATE TABLE calls (
    worker INTEGER NOT NULL,
    position INTEGER NOT NULL,
    integration TEXT NOT NULL,
    since INTEGER NOT NULL,
    lowest BLOB NOT NULL,
    highest BLOB NOT NULL,
    ids BLOB NOT NULL,
    PRIMARY KEY (worker, position)
) WITHOUT ROWID""")
