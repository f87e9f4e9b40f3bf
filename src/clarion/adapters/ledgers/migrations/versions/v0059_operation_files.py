"""Operations that read or write a file.

A process of the version before does not know them: it does none at all while there is one that is not finished.
"""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = (
    "kind IN ('messages.retry', 'messages.cancel', 'runs.retry', 'runs.cancel', 'runs.migrate', 'users.import', "
    "'users.export')"
)
_STATUSES = "status IN ('queued', 'running', 'succeeded', 'partly_failed', 'failed', 'canceled')"
_COLUMNS = (
    "id, tenant, kind, body, template_version, status, total, done, failed, cursor, swept, created_at, updated_at, "
    "started_at, finished_at"
)
_SQLITE = (
    "ALTER TABLE operations RENAME TO operations_before",
    *(f"DROP INDEX {name}" for name in ("operations_tenant", "operations_unfinished")),
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
    CONSTRAINT status_known CHECK ({_STATUSES})
) WITHOUT ROWID""",
    f"INSERT INTO operations ({_COLUMNS}) SELECT {_COLUMNS} FROM operations_before",
    "DROP TABLE operations_before",
    "CREATE INDEX operations_tenant ON operations (tenant, id)",
    "CREATE INDEX operations_unfinished ON operations (tenant, id) WHERE finished_at IS NULL",
)
_POSTGRESQL = (
    f"ALTER TABLE operations DROP CONSTRAINT kind_known, ADD CONSTRAINT kind_known CHECK ({_KINDS})",
    "ALTER TABLE operations ADD COLUMN uploading BIGINT DEFAULT 0 NOT NULL",
    "ALTER TABLE operations ADD COLUMN file_bytes BIGINT DEFAULT 0 NOT NULL",
    "ALTER TABLE operations ADD COLUMN file_until BIGINT",
)


def upgrade() -> None:
    """Operations of before have no file."""
    there = op.get_context().dialect.name
    for statement in _POSTGRESQL if there == "postgresql" else _SQLITE:
        op.execute(statement)
    op.create_index(
        "operations_files",
        "operations",
        ["file_until"],
        sqlite_where=sa.text("file_until IS NOT NULL"),
        postgresql_where=sa.text("file_until IS NOT NULL"),
    )
    op.add_column("operation_errors", sa.Column("line", sa.LargeBinary, nullable=False, server_default=""))
    op.create_table(
        "operation_pieces",
        sa.Column("operation", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("start", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("size", _NUMBER, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
