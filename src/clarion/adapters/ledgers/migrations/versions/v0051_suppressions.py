"""Suppressions have a source, and may end."""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Nobody knows where today's are from; none of them ends."""
    op.add_column("suppressions", sa.Column("source", _TEXT, nullable=False, server_default=""))
    op.add_column("suppressions", sa.Column("expires_at", _NUMBER))
    ends = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "suppressions_expire", "suppressions", ["expires_at"], sqlite_where=ends, postgresql_where=ends
    )
