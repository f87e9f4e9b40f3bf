"""Messages that are out and are to be withdrawn or edited, and the operation that withdraws many.

A process of the version before lists withdrawn items of an inbox, without content, among those that are put away, and lets
people take them out of there: it may not serve beside this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
serves_since = "0061"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = (
    "kind IN ('messages.retry', 'messages.cancel', 'messages.withdraw', 'runs.retry', 'runs.cancel', 'runs.migrate', "
    "'users.import', 'users.export')"
)
_COLUMNS = (
    "id, tenant, kind, body, template_version, status, total, done, failed, cursor, swept, created_at, updated_at, "
    "started_at, finished_at, uploading, file_bytes, file_until"
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
    uploading INTEGER DEFAULT 0 NOT NULL,
    file_bytes INTEGER DEFAULT 0 NOT NULL,
    file_until INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT kind_known CHECK ({_KINDS}),
    CONSTRAINT status_known CHECK (status IN ('queued', 'running', 'succeeded', 'partly_failed', 'failed', 'canceled'))
) WITHOUT ROWID""",
    f"INSERT INTO operations ({_COLUMNS}) SELECT {_COLUMNS} FROM operations_before",
    "DROP TABLE operations_before",
    "CREATE INDEX operations_tenant ON operations (tenant, id)",
    "CREATE INDEX operations_unfinished ON operations (tenant, id) WHERE finished_at IS NULL",
    "CREATE INDEX operations_files ON operations (file_until) WHERE file_until IS NOT NULL",
)
_POSTGRESQL = (
    f"ALTER TABLE operations DROP CONSTRAINT kind_known, ADD CONSTRAINT kind_known CHECK ({_KINDS})",
)


def upgrade() -> None:
    """A new table, and a new kind of operation."""
    there = op.get_context().dialect.name
    for statement in _POSTGRESQL if there == "postgresql" else _SQLITE:
        op.execute(statement)
    op.create_table(
        "withdrawals",
        sa.Column("message_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("user", _NUMBER, nullable=False),
        sa.Column("asked_at", _NUMBER, nullable=False),
        sa.Column("due_at", _NUMBER, nullable=False),
        sa.Column("attempt", _NUMBER, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("withdrawals_due", "withdrawals", ["due_at"])
    op.create_index("withdrawals_user", "withdrawals", ["user"])
