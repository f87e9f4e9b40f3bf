"""Events that were canceled, before or after they were planned."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Only a new table: a version that does not know it leaves it alone."""
    op.get_bind().exec_driver_sql(
        "CREATE TABLE canceled_events (\n    event_id BLOB NOT NULL,\n"
        "    PRIMARY KEY (event_id)\n) WITHOUT ROWID"
    )
