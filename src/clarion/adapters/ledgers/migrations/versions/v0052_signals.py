"""Events that runs wait for.

A process of the version before does not know such steps: it plans no runs of workflows that have them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """New tables."""
    op.create_table(
        "waits",
        sa.Column("run_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("key", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("since", _NUMBER, nullable=False),
        sa.Column("until", _NUMBER, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("waits_key", "waits", ["key"])
    op.create_table(
        "signals",
        sa.Column("key", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("event_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("workflow", _TEXT, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("signals_expiry", "signals", ["expires_at"])
    op.create_table(
        "wakes",
        sa.Column("run_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("key", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("event_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("workflow", _TEXT, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sqlite_with_rowid=False,
    )
