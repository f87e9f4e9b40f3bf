"""Throttles of workflows.

A process of the version before does not know such steps: it plans no runs of workflows that have them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "throttle_uses",
        sa.Column("slot", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("run_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("part", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("throttle_uses_expiry", "throttle_uses", ["expires_at"])
    op.create_index("throttle_uses_run", "throttle_uses", ["run_id"])
