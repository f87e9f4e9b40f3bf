"""Messages know their tenant, so that tenants take turns in what is due."""

from alembic import op

revision = "0020"
down_revision = "0019"

_STEPS = (
    "ALTER TABLE messages ADD COLUMN tenant INTEGER DEFAULT 0 NOT NULL",
    "UPDATE messages SET tenant = coalesce((SELECT tenant FROM routes WHERE no = messages.route), 0)",
    """CREATE INDEX messages_turn ON messages (queue, tenant, due_at, id)
    WHERE due_at IS NOT NULL AND holder IS NULL""",
)


def upgrade() -> None:
    """What waits has its turn from now on."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
