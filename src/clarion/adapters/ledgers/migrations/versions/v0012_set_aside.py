"""Events that could not be planned, kept for a person."""

from alembic import op

revision = "0012"
down_revision = "0011"

_STEPS = (
    """CREATE TABLE set_aside (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    lane TEXT NOT NULL,
    event_seq INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    discarded_at INTEGER,
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')),
    UNIQUE (lane, event_seq)
)""",
    "CREATE INDEX set_aside_tenant ON set_aside (tenant, seq)",
    "CREATE INDEX set_aside_event ON set_aside (event_id)",
)


def upgrade() -> None:
    """Only a new table: a version that does not know it leaves it alone."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
