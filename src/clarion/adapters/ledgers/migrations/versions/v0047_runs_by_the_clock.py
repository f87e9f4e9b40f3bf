"""Runs that wait by the clock of their user.

A process of the version before goes on with them at the time they wait for. It does not know that a user has moved.
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"

_COLUMNS = (
    'id, tenant, "user", event_id, workflow, version, lane, status, step, part, due_at, started_at, updated_at, reason, '
    "cancellation_key, state, holder, fence"
)
_SQLITE = (
    "ALTER TABLE runs RENAME TO runs_before",
    """CREATE TABLE runs (
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
    CONSTRAINT status_known CHECK (status IN ('waiting', 'finished', 'canceled', 'expired', 'failed'))
) WITHOUT ROWID""",
    f"INSERT INTO runs ({_COLUMNS}) SELECT {_COLUMNS} FROM runs_before",
    "DROP TABLE runs_before",
    "CREATE INDEX runs_tenant ON runs (tenant, id)",
    "CREATE INDEX runs_due ON runs (lane, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_user ON runs (user) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_key ON runs (cancellation_key) WHERE due_at IS NOT NULL",
    "CREATE INDEX runs_held ON runs (holder) WHERE holder IS NOT NULL",
)


def upgrade() -> None:
    """Another column."""
    if op.get_context().dialect.name == "postgresql":
        op.add_column("runs", sa.Column("zoned", sa.BigInteger()))
        return
    for statement in _SQLITE:
        op.execute(statement)
