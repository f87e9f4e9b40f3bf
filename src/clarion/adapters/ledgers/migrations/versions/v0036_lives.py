"""Live resources, and the inbox items that show them."""

from alembic import op

revision = "0036"
down_revision = "0035"

_STEPS = (
    """CREATE TABLE lives (
        tenant INTEGER NOT NULL,
        "key" TEXT NOT NULL,
        id BLOB NOT NULL,
        sequence INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        sealed_for INTEGER NOT NULL,
        ended_at INTEGER,
        due_at INTEGER,
        PRIMARY KEY (tenant, "key")
    ) WITHOUT ROWID""",
    "CREATE INDEX lives_due ON lives (due_at) WHERE due_at IS NOT NULL",
    """CREATE TABLE inbox_cards (
        user INTEGER NOT NULL,
        live BLOB NOT NULL,
        message_id BLOB NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (user, live)
    ) WITHOUT ROWID""",
)


def upgrade() -> None:
    """Two new tables."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
