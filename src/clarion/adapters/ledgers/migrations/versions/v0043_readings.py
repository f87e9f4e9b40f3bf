"""How far sources and sinks have come, and what of theirs waits for a person."""

from alembic import op

revision = "0043"
down_revision = "0042"

_STEPS = (
    """CREATE TABLE readings (
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    "key" TEXT NOT NULL,
    position TEXT DEFAULT '{}' NOT NULL,
    fence INTEGER DEFAULT 0 NOT NULL,
    repeat INTEGER DEFAULT 0 NOT NULL,
    worker INTEGER,
    lag INTEGER,
    trouble TEXT DEFAULT '' NOT NULL,
    at INTEGER,
    PRIMARY KEY (tenant, kind, "key"),
    CONSTRAINT kind_known CHECK (kind IN ('source', 'sink'))
) WITHOUT ROWID""",
    """CREATE TABLE dead_records (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    origin TEXT NOT NULL,
    place TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    sealed BLOB NOT NULL,
    at INTEGER NOT NULL,
    CONSTRAINT kind_known CHECK (kind IN ('source_record', 'sink_event')),
    UNIQUE (tenant, kind, origin, place)
)""",
    "CREATE INDEX dead_records_tenant ON dead_records (tenant, seq)",
)


def upgrade() -> None:
    """Two new tables."""
    connection = op.get_bind()
    for statement in _STEPS:
        connection.exec_driver_sql(statement)
