"""Frequency caps count the messages themselves; claims lie in order of time."""

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
    "ALTER TABLE claims RENAME TO claims_before",
    "DROP INDEX claims_expiry",
    """CREATE TABLE claims (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    "key" BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    answer BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (tenant, "key")
)""",
    """INSERT INTO claims (tenant, key, fingerprint, answer, expires_at)
    SELECT tenant, key, fingerprint, answer, expires_at FROM claims_before ORDER BY expires_at""",
    "DROP TABLE claims_before",
)


def upgrade() -> None:
    """What was a row for every use of a cap becomes a column of the message that used it."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
