"""Returned mail that nobody could make sense of, kept for a person."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STEPS = (
    """CREATE TABLE strays (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    digest BLOB NOT NULL,
    why TEXT NOT NULL,
    sealed BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (tenant, digest)
)""",
    "CREATE INDEX strays_tenant ON strays (tenant, seq)",
)


def upgrade() -> None:
    """Only a new table: a version that does not know it leaves it alone."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
