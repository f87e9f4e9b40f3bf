"""Webhook endpoints and the log of their deliveries."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STEPS = (
    """CREATE TABLE endpoints (
    tenant INTEGER NOT NULL,
    id BLOB NOT NULL,
    user INTEGER NOT NULL,
    failing_since INTEGER,
    announced INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (tenant, id)
) WITHOUT ROWID""",
    "CREATE INDEX endpoints_user ON endpoints (user, id)",
    "CREATE INDEX endpoints_failing ON endpoints (failing_since) WHERE failing_since IS NOT NULL",
    """CREATE TABLE deliveries (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    endpoint BLOB NOT NULL,
    message_id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    user INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    status INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL
)""",
    "CREATE INDEX deliveries_endpoint ON deliveries (endpoint, seq)",
)


def upgrade() -> None:
    """Only new tables: a version that does not know them leaves them alone."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
