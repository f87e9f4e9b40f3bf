"""The bodies of events are found by their events, not by their places in a log."""

from alembic import op

revision = "0028"
down_revision = "0027"

_LANES = ("critical", "high", "normal", "bulk")
_STEPS = (
    *(f"CREATE INDEX IF NOT EXISTS log_{lane}_event ON log_{lane} (event_id)" for lane in _LANES),
    "ALTER TABLE messages DROP COLUMN event_seq",
    "ALTER TABLE events DROP COLUMN seq",
    "ALTER TABLE set_aside RENAME TO set_aside_before",
    "DROP INDEX set_aside_tenant",
    "DROP INDEX set_aside_event",
    """CREATE TABLE set_aside (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    lane TEXT NOT NULL,
    workflow TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at INTEGER NOT NULL,
    discarded_at INTEGER,
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')),
    UNIQUE (event_id, workflow)
)""",
    "CREATE INDEX set_aside_tenant ON set_aside (tenant, seq)",
    # Of an event that has several, one stays: it is planned again as a whole.
    """INSERT OR IGNORE INTO set_aside SELECT seq, event_id, tenant, lane, workflow, reason, detail, at, discarded_at
    FROM set_aside_before ORDER BY discarded_at IS NOT NULL, seq DESC""",
    "DROP TABLE set_aside_before",
)


def upgrade() -> None:
    """What a message is rendered from lies in whatever log or broker brought its event."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
