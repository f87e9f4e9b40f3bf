"""Processes hold a lease for all their messages, instead of one for each."""

from alembic import op

revision = "0024"
down_revision = "0023"

_STEPS = (
    """CREATE TABLE workers (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    roles TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    oldest_held BLOB,
    oldest_planned BLOB,
    reaped INTEGER DEFAULT 0 NOT NULL
)""",
    "DROP INDEX messages_due",
    """UPDATE messages SET due_at = coalesce(updated_at, created_at), fence = fence + 1
    WHERE holder IS NOT NULL AND due_at IS NOT NULL""",
    "UPDATE messages SET holder = NULL WHERE holder IS NOT NULL",
    """CREATE INDEX messages_due ON messages (queue, due_at, id)
    WHERE due_at IS NOT NULL AND holder IS NULL""",
    """CREATE INDEX messages_claimed ON messages (holder, id)
    WHERE holder IS NOT NULL AND due_at IS NOT NULL""",
    "DELETE FROM meta WHERE key = 'epoch'",
)


def upgrade() -> None:
    """What the last process held is due."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
