"""One-time codes, and what is known about the ranges of numbers they go to."""

from typing import Any

import msgspec
from alembic import op

revision = "0040"
down_revision = "0039"

_STEPS = (
    """CREATE TABLE number_ranges (
    tenant INTEGER NOT NULL,
    digits TEXT NOT NULL,
    level INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    blocked_at INTEGER,
    blocked_until INTEGER,
    PRIMARY KEY (tenant, digits)
) WITHOUT ROWID""",
    "CREATE INDEX number_ranges_at ON number_ranges (at)",
    """CREATE TABLE verifications (
    id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    user INTEGER NOT NULL,
    contact BLOB NOT NULL,
    channels TEXT NOT NULL,
    workflow TEXT NOT NULL,
    digits INTEGER NOT NULL,
    hash BLOB NOT NULL,
    status TEXT NOT NULL,
    sends INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (id),
    CONSTRAINT status_known CHECK (status IN ('pending', 'approved', 'expired', 'locked', 'canceled'))
) WITHOUT ROWID""",
    "CREATE INDEX verifications_contact ON verifications (tenant, contact, created_at)",
    "CREATE INDEX verifications_user ON verifications (user)",
)


def upgrade() -> None:
    """Two new tables. Nobody knows in which countries the users of a tenant are: they are looked through at the start."""
    connection = op.get_bind()
    for statement in _STEPS:
        connection.exec_driver_sql(statement)
    for tenant, body in connection.exec_driver_sql("SELECT id, body FROM tenants").fetchall():
        document: dict[str, Any] = msgspec.json.decode(body)
        document["seen_countries"] = None
        connection.exec_driver_sql(
            "UPDATE tenants SET body = ? WHERE id = ?", (msgspec.json.encode(document), tenant)
        )
