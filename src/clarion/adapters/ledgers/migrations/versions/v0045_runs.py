"""Runs of workflows that wait between two steps."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "runs",
        sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("user", _NUMBER, nullable=False),
        sa.Column("event_id", sa.LargeBinary, nullable=False),
        sa.Column("workflow", _TEXT, nullable=False),
        sa.Column("version", _NUMBER, nullable=False),
        sa.Column("lane", _TEXT, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("step", _TEXT, nullable=False),
        sa.Column("part", _NUMBER, nullable=False),
        sa.Column("due_at", _NUMBER),
        sa.Column("started_at", _NUMBER, nullable=False),
        sa.Column("updated_at", _NUMBER, nullable=False),
        sa.Column("reason", _TEXT),
        sa.Column("cancellation_key", sa.LargeBinary),
        sa.Column("state", sa.LargeBinary),
        sa.Column("holder", _NUMBER),
        sa.Column("fence", _NUMBER, nullable=False, server_default=sa.text("0")),
        sa.CheckConstraint("lane IN ('critical', 'high', 'normal', 'bulk')", name="lane_known"),
        sa.CheckConstraint(
            "status IN ('waiting', 'finished', 'canceled', 'expired', 'failed')", name="status_known"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("runs_tenant", "runs", ["tenant", "id"])
    for name, columns in (
        ("runs_due", ["lane", "due_at"]),
        ("runs_user", ["user"]),
        ("runs_key", ["cancellation_key"]),
    ):
        _partial(name, columns, "due_at IS NOT NULL")
    _partial("runs_held", ["holder"], "holder IS NOT NULL")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "runs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
