"""One word for sending again, and an index of everything that failed in order of time."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STEPS = (
    "UPDATE messages SET reason = 'retried' WHERE reason = 'redriven'",
    "UPDATE changes SET reason = 'retried' WHERE reason = 'redriven'",
    "DROP INDEX messages_failed",
    "CREATE INDEX messages_failed ON messages (id, status) WHERE status IN (5, 6, 7, 8, 9)",
)


def upgrade() -> None:
    """Stored reasons get their new name."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
