"""Frequency caps count what was sent, when it was sent, and what is on its way; nothing else."""

from alembic import op

revision = "0015"
down_revision = "0014"

# Statuses are numbers: 0 queued, 1 deferred, 2 sending, 6 rejected, 8 failed, 9 dead-lettered, from 10 on not sent.
_STEPS = (
    "UPDATE messages SET charged = 0, counted_at = NULL WHERE charged = 1 AND (status IN (1, 6, 9) OR status >= 10)",
    """UPDATE messages SET charged = 0, counted_at = NULL
    WHERE charged = 1 AND status = 8 AND reason <> 'outcome_unknown'""",
    "UPDATE messages SET counted_at = 4611686018427387904 WHERE status IN (0, 2) AND counted_at IS NOT NULL",
    "UPDATE messages SET charged = 0 WHERE charged = 1 AND counted_at IS NOT 4611686018427387904",
    "UPDATE messages SET counted_at = max(counted_at, sent_at) WHERE charged = 0 AND counted_at < sent_at",
)


def upgrade() -> None:
    """What waits is not counted, and is when it goes on; what was sent counts from when it was."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
