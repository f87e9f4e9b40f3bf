"""Operations on runs.

A process of the version before does not know them: it does none at all while there is one that is not finished.
"""

from alembic import op

revision = "0057"
down_revision = "0056"

_KINDS = "kind IN ('messages.retry', 'messages.cancel', 'runs.retry', 'runs.cancel', 'runs.migrate')"
_STATUSES = "status IN ('queued', 'running', 'succeeded', 'partly_failed', 'failed', 'canceled')"
_COLUMNS = (
    "id, tenant, kind, body, template_version, status, total, done, failed, cursor, swept, created_at, updated_at, "
    "started_at, finished_at"
)
_SQLITE = (
    "ALTER TABLE operations RENAME TO operations_before",
    "DROP INDEX operations_tenant",
    "DROP INDEX operations_unfinished",
    f"""CREATE TABLE operations (
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
    CONSTRAINT kind_known CHECK ({_KINDS}),
    CONSTRAINT status_known CHECK ({_STATUSES})
) WITHOUT ROWID""",
    f"INSERT INTO operations ({_COLUMNS}) SELECT {_COLUMNS} FROM operations_before",
    "DROP TABLE operations_before",
    "CREATE INDEX operations_tenant ON operations (tenant, id)",
    "CREATE INDEX operations_unfinished ON operations (tenant, id) WHERE finished_at IS NULL",
)
_POSTGRESQL = (
    f"ALTER TABLE operations DROP CONSTRAINT kind_known, ADD CONSTRAINT kind_known CHECK ({_KINDS})",
)


def upgrade() -> None:
    """New kinds of operations."""
    there = op.get_context().dialect.name
    for statement in _POSTGRESQL if there == "postgresql" else _SQLITE:
        op.execute(statement)
