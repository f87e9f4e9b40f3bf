"""Processes say which version, lanes and channels they have, and whether they stop."""

from alembic import op

revision = "0042"
down_revision = "0041"

_STEPS = (
    "ALTER TABLE workers ADD COLUMN version TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE workers ADD COLUMN lanes TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE workers ADD COLUMN channels TEXT DEFAULT '' NOT NULL",
    "ALTER TABLE workers ADD COLUMN lease_ms INTEGER DEFAULT 15000 NOT NULL",
    "ALTER TABLE workers ADD COLUMN started_at INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE workers ADD COLUMN held INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE workers ADD COLUMN draining INTEGER DEFAULT 0 NOT NULL",
)


def upgrade() -> None:
    """An earlier version writes none of these; what it leaves out is everything, as it does."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
