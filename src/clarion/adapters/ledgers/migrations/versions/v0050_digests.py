"""Digests, and the runs that end in them."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_STATUSES = "status IN ('waiting', 'finished', 'canceled', 'expired', 'failed', 'merged')"
_CAUSES = "cause IN ('time', 'flush', 'max_items', 'look_back', 'alone', 'critical', 'canceled')"
_COLUMNS = (
    'id, tenant, "user", event_id, workflow, version, lane, status, step, part, due_at, started_at, updated_at, reason, '
    "cancellation_key, state, holder, fence, zoned"
)
_SQLITE = (
    "ALTER TABLE runs RENAME TO runs_before",
    *(f"DROP INDEX {name}" for name in ("runs_tenant", "runs_due", "runs_user", "runs_key", "runs_held")),
    f"""CREATE TABLE runs (
    id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    user INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    workflow TEXT NOT NULL,
    version INTEGER NOT NULL,
    lane TEXT NOT NULL,
    status TEXT NOT NULL,
    step TEXT NOT NULL,
    part INTEGER NOT NULL,
    due_at INTEGER,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    reason TEXT,
    cancellation_key BLOB,
    state BLOB,
    holder INTEGER,
    fence INTEGER DEFAULT 0 NOT NULL,
    zoned INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')),
    CONSTRAINT status_known CHECK ({_STATUSES})
) WITHOUT ROWID""",
    f"INSERT INTO runs ({_COLUMNS}) SELECT {_COLUMNS} FROM runs_before",
    "DROP TABLE runs_before",
    "CREATE INDEX runs_tenant ON runs (tenant, id)",
    "CREATE INDEX runs_due ON runs (lane, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_user ON runs (user) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_key ON runs (cancellation_key) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_held ON runs (holder) WHERE holder IS NOT NULL",
)
_POSTGRESQL = (
    f"ALTER TABLE runs DROP CONSTRAINT status_known, ADD CONSTRAINT status_known CHECK ({_STATUSES})",
)


def upgrade() -> None:
    """Two new tables, and a new end of runs."""
    there = op.get_context().dialect.name
    for statement in _POSTGRESQL if there == "postgresql" else _SQLITE:
        op.execute(statement)
    op.create_table(
        "digests",
        sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("user", _NUMBER, nullable=False),
        sa.Column("workflow", _TEXT, nullable=False),
        sa.Column("step", _TEXT, nullable=False),
        sa.Column("slot", sa.LargeBinary),
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("opened_at", _NUMBER, nullable=False),
        sa.Column("closes_at", _NUMBER, nullable=False),
        sa.Column("latest_at", _NUMBER),
        sa.Column("window_ms", _NUMBER, nullable=False),
        sa.Column("most_items", _NUMBER, nullable=False),
        sa.Column("touched_at", _NUMBER, nullable=False),
        sa.Column("items", _NUMBER, nullable=False, server_default=sa.text("0")),
        sa.Column("withdrawn", _NUMBER, nullable=False, server_default=sa.text("0")),
        sa.Column("closed_at", _NUMBER),
        sa.Column("cause", _TEXT),
        sa.Column("total", _NUMBER),
        sa.CheckConstraint(_CAUSES, name="cause_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("digests_slot", "digests", ["slot", "number"], unique=True)
    _partial("digests_user", "digests", ["user"], "total IS NULL")
    op.create_table(
        "digest_items",
        sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("digest_id", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("withdrawn_at", _NUMBER),
        sa.Column("content", sa.LargeBinary),
        sa.Column("cancellation_key", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("digest_items_digest", "digest_items", ["digest_id", "at", "id"])
    _partial("digest_items_key", "digest_items", ["cancellation_key"], "cancellation_key IS NOT NULL")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
