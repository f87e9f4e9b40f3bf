"""WhatsApp is a channel, and when people wrote last is known for a day."""

from alembic import op

revision = "0037"
down_revision = "0036"

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
    CONSTRAINT channel_known CHECK (channel IN ('in_app', 'email', 'sms', 'push', 'chat', 'webhook', 'voice', 'whatsapp')),
    CONSTRAINT lane_known CHECK (lane IN ('critical', 'high', 'normal', 'bulk')),
    UNIQUE (tenant, workflow, workflow_version, category, step, template, template_version, channel, lane, until)
)""",
    "INSERT INTO routes SELECT * FROM routes_before",
    "DROP TABLE routes_before",
    """CREATE TABLE conversations (
    tenant INTEGER NOT NULL,
    integration TEXT NOT NULL,
    contact BLOB NOT NULL,
    heard_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, integration, contact)
) WITHOUT ROWID""",
    "CREATE INDEX conversations_heard ON conversations (heard_at)",
)


def upgrade() -> None:
    """The table of routes is made anew (it is small): a check of a column cannot be changed."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
