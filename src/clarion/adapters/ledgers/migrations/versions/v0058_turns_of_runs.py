"""Tenants take turns among the runs that are due."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"

_UNHELD = sa.text("due_at IS NOT NULL AND holder IS NULL")


def upgrade() -> None:
    """Runs that nobody holds are found by lane, and by lane and tenant."""
    op.drop_index("runs_due", "runs")
    for name, columns in (("runs_due", ["lane", "due_at"]), ("runs_turn", ["lane", "tenant", "due_at"])):
        op.create_index(name, "runs", columns, sqlite_where=_UNHELD, postgresql_where=_UNHELD)
