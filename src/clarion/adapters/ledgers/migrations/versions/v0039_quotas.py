"""What is left of the limits of providers."""

from alembic import op

revision = "0039"
down_revision = "0038"

QUOTAS = """CREATE TABLE quotas (
    tenant INTEGER NOT NULL,
    integration TEXT NOT NULL,
    tokens FLOAT,
    at INTEGER NOT NULL,
    day TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration)
) WITHOUT ROWID"""


def upgrade() -> None:
    """A new table: nothing has been taken yet."""
    op.get_bind().exec_driver_sql(QUOTAS)
