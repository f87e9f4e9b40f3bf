"""Suppressions are listed newest first."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """An index in order of time."""
    op.get_bind().exec_driver_sql("CREATE INDEX suppressions_at ON suppressions (tenant, at, hash)")
