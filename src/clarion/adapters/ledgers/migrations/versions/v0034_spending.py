"""What messages cost, call by call and added up."""

from alembic import op

revision = "0034"
down_revision = "0033"

_STEPS = (
    """CREATE TABLE charges (
    message_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    country TEXT NOT NULL,
    integration TEXT NOT NULL,
    amount TEXT NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (message_id, attempt)
) WITHOUT ROWID""",
    """CREATE TABLE spending (
    tenant INTEGER NOT NULL,
    day TEXT NOT NULL,
    channel TEXT NOT NULL,
    country TEXT NOT NULL,
    integration TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, channel, country, integration, currency)
) WITHOUT ROWID""",
)


def upgrade() -> None:
    """Two new tables: what was sent before has no cost."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
