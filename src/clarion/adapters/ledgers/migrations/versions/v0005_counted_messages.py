"""Frequency caps count the messages themselves."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STEPS = (
    "ALTER TABLE messages ADD COLUMN counted_at INTEGER",
    """UPDATE messages SET counted_at = uses.at
    FROM (SELECT message_id, max(at) AS at FROM cap_uses GROUP BY message_id) AS uses
    WHERE messages.id = uses.message_id""",
    "DROP INDEX messages_user",
    "CREATE INDEX messages_user ON messages (user, id, counted_at, route)",
    "DROP TABLE cap_uses",
)


def upgrade() -> None:
    """What was a row for every use becomes a column of the message that used it."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
