"""Devices: whose they are, when they were seen, and what was refused last."""

from alembic import op

revision = "0033"
down_revision = "0032"

_STEPS = (
    """CREATE TABLE devices (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    device_id TEXT NOT NULL,
    user INTEGER NOT NULL,
    hash BLOB,
    seen_at INTEGER NOT NULL,
    error TEXT,
    error_detail TEXT,
    error_at INTEGER,
    UNIQUE (tenant, device_id)
)""",
    "CREATE INDEX devices_page ON devices (tenant, no)",
    "CREATE INDEX devices_user ON devices (user, no)",
    "CREATE INDEX devices_seen ON devices (seen_at, no)",
    "CREATE INDEX devices_hash ON devices (tenant, hash) WHERE hash IS NOT NULL",
)


def upgrade() -> None:
    """Only a new table: a version that does not know it leaves it alone."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
