"""Ranges of members of campaigns, which several processes plan.

A process of the version before plans no ranges: it leaves them to the others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ZERO = sa.text("0")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "campaign_ranges",
        sa.Column("campaign", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("begin_user", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("lane", _TEXT, nullable=False),
        sa.Column("after_user", _NUMBER, nullable=False),
        sa.Column("end_user", _NUMBER, nullable=False),
        sa.Column("rank", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("waits", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("fence", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("holder", _NUMBER),
        sa.CheckConstraint("lane IN ('critical', 'high', 'normal', 'bulk')", name="lane_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("campaign_ranges_order", "campaign_ranges", ["lane", "begin_user", "campaign"])
    held = sa.text("holder IS NOT NULL")
    op.create_index(
        "campaign_ranges_held", "campaign_ranges", ["holder"], sqlite_where=held, postgresql_where=held
    )
