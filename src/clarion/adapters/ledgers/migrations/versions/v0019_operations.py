"""Operations: work on many messages at once, how far it is, and what failed."""

from alembic import op

revision = "0019"
down_revision = "0018"

_STEPS = (
    """CREATE TABLE operations (
    id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    template_version TEXT NOT NULL,
    status TEXT NOT NULL,
    total INTEGER,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    cursor BLOB,
    swept INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT kind_known CHECK (kind IN ('messages.retry', 'messages.cancel')),
    CONSTRAINT status_known CHECK (status IN ('queued', 'running', 'succeeded', 'partly_failed', 'failed', 'canceled'))
) WITHOUT ROWID""",
    "CREATE INDEX operations_tenant ON operations (tenant, id)",
    "CREATE INDEX operations_unfinished ON operations (tenant, id) WHERE finished_at IS NULL",
    """CREATE TABLE operation_errors (
    operation BLOB NOT NULL,
    number INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    again INTEGER NOT NULL,
    PRIMARY KEY (operation, number)
) WITHOUT ROWID""",
    "CREATE INDEX operation_errors_again ON operation_errors (operation, number) WHERE again = 1",
)


def upgrade() -> None:
    """Only new tables: a version that does not know them leaves them alone."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
