"""Schedules, and how far they are."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "schedules",
        sa.Column("tenant", _NUMBER, primary_key=True, nullable=False),
        sa.Column("key", _TEXT, primary_key=True, nullable=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("due_at", _NUMBER),
        sqlite_with_rowid=False,
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("schedules_due", "schedules", ["due_at"], sqlite_where=due, postgresql_where=due)
