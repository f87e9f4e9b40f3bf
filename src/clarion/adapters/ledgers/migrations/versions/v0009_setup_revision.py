"""Events know the set-up they were accepted with; those from before know none (0)."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """A column with a default: a version that does not know it leaves it alone."""
    for lane in ("critical", "high", "normal", "bulk"):
        op.get_bind().exec_driver_sql(
            f"ALTER TABLE log_{lane} ADD COLUMN setup_revision INTEGER DEFAULT 0 NOT NULL"
        )
