"""Messages know the version of the template they were planned with; those from before know none (0)."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STEPS = (
    "ALTER TABLE routes RENAME TO routes_before",
    """CREATE TABLE routes (
    no INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    workflow_version INTEGER NOT NULL,
    category TEXT NOT NULL,
    step TEXT NOT NULL,
    template TEXT NOT NULL,
    template_version INTEGER DEFAULT 0 NOT NULL,
    channel TEXT NOT NULL,
    lane TEXT NOT NULL,
    until TEXT NOT NULL,
    CONSTRAINT channel_known CHECK (channel IN ('in_app', 'email', 'sms', 'push', 'chat', 'webhook', 'voice')),
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')),
    UNIQUE (tenant, workflow, workflow_version, category, step, template, template_version, channel, lane, until)
)""",
    """INSERT INTO routes (no, tenant, workflow, workflow_version, category, step, template, channel, lane, until)
    SELECT no, tenant, workflow, workflow_version, category, step, template, channel, lane, until
    FROM routes_before""",
    "DROP TABLE routes_before",
)


def upgrade() -> None:
    """Make the table anew (it is small): a column in the middle of a uniqueness cannot be added."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
