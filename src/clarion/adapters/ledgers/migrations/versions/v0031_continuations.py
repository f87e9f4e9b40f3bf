"""What is left of an event to a topic is a row that is due, not another entry of the log."""

from alembic import op

revision = "0031"
down_revision = "0030"

_STEPS = (
    """CREATE TABLE continuations (
    event_id BLOB NOT NULL,
    workflow TEXT NOT NULL,
    tenant INTEGER NOT NULL,
    lane TEXT NOT NULL,
    topic TEXT NOT NULL,
    after_user INTEGER NOT NULL,
    setup_revision INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    holder INTEGER,
    fence INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (event_id, workflow),
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk'))
) WITHOUT ROWID""",
    "CREATE INDEX continuations_due ON continuations (lane, tenant, due_at)",
    "CREATE INDEX continuations_held ON continuations (holder) WHERE holder IS NOT NULL",
)


def upgrade() -> None:
    """What an older version left in a log is planned from there, one page more."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
