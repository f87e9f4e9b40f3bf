"""Messages know when they were tried first: their age counts from then, however long they waited before."""

from alembic import op

revision = "0016"
down_revision = "0015"

_STEPS = (
    "ALTER TABLE messages ADD COLUMN tried_at INTEGER",
    "UPDATE messages SET tried_at = created_at WHERE due_at IS NOT NULL AND attempt > 0",
)


def upgrade() -> None:
    """What is being tried keeps the age it has."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
