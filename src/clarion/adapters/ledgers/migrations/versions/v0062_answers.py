"""Answers to the questions of runs.

A process of the version before does not know such steps: it plans no runs of workflows that have them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"


def upgrade() -> None:
    """Another column."""
    op.add_column("runs", sa.Column("answers", sa.LargeBinary))
