"""What is left of messages that are no longer kept: how many ended how."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """A table more."""
    op.get_bind().exec_driver_sql(
        """CREATE TABLE message_totals (
    tenant INTEGER NOT NULL,
    day INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    channel TEXT NOT NULL,
    status INTEGER NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, workflow, channel, status, reason)
) WITHOUT ROWID"""
    )
