"""Keys may have the scope `operator`: the table is made again, because SQLite cannot change its check."""

from alembic import op

revision = "0017"
down_revision = "0016"

_STEPS = (
    "CREATE TABLE api_keys_before AS SELECT * FROM api_keys",
    "DROP TABLE api_keys",
    """CREATE TABLE api_keys (
        id TEXT NOT NULL,
        tenant INTEGER NOT NULL,
        name TEXT NOT NULL,
        hash BLOB NOT NULL,
        scope TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER,
        revoked_at INTEGER,
        PRIMARY KEY (id),
        CONSTRAINT scope_known CHECK (scope IN ('admin', 'send', 'read', 'operator')),
        UNIQUE (hash)
    )""",
    """INSERT INTO api_keys
    SELECT id, tenant, name, hash, scope, created_at, expires_at, last_used_at, revoked_at FROM api_keys_before""",
    "DROP TABLE api_keys_before",
    "CREATE INDEX api_keys_tenant ON api_keys (tenant)",
)


def upgrade() -> None:
    """Every key stays."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
