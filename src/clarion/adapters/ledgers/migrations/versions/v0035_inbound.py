"""What people write to us is kept, so that a person can read what no rule understands."""

from alembic import op

revision = "0035"
down_revision = "0034"

_STEPS = (
    """CREATE TABLE inbound (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    digest BLOB NOT NULL,
    channel TEXT NOT NULL,
    integration TEXT NOT NULL,
    sender BLOB NOT NULL,
    user INTEGER NOT NULL,
    message_id BLOB,
    verdict TEXT NOT NULL,
    at INTEGER NOT NULL,
    reviewed_at INTEGER,
    reply TEXT,
    reply_due_at INTEGER,
    sealed BLOB NOT NULL,
    UNIQUE (tenant, digest)
)""",
    "CREATE INDEX inbound_tenant ON inbound (tenant, seq)",
    "CREATE INDEX inbound_sender ON inbound (tenant, sender, at)",
    "CREATE INDEX inbound_user ON inbound (user)",
    "CREATE INDEX inbound_replies ON inbound (reply_due_at) WHERE reply_due_at IS NOT NULL",
)


def upgrade() -> None:
    """A table of its own."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
