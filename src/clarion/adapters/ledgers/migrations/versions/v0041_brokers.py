"""Brokers that keep events elsewhere: claims that are not confirmed yet, and where the partitions stand."""

from alembic import op

revision = "0041"
down_revision = "0040"

_STEPS = (
    "ALTER TABLE claims ADD COLUMN reservation INTEGER",
    """CREATE TABLE reservations (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    expires_at INTEGER NOT NULL
)""",
    """CREATE TABLE broker_partitions (
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID""",
)


def upgrade() -> None:
    """All claims of older versions are confirmed: the ledger's log was the only broker."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
