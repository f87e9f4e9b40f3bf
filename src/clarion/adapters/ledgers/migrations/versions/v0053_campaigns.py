"""Campaigns, and how far their members are planned."""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ZERO = sa.text("0")


def upgrade() -> None:
    """A new table."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("status", _TEXT, nullable=False),
        sa.Column("lane", _TEXT, nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("due_at", _NUMBER),
        sa.Column("event_id", sa.LargeBinary),
        sa.Column("after_user", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("rank", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("pace_rank", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("pace_at", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("fence", _NUMBER, nullable=False, server_default=_ZERO),
        sa.Column("holder", _NUMBER),
        sa.CheckConstraint(
            "status IN ('draft', 'testing', 'tested', 'running', 'paused', 'canceled', 'done')",
            name="status_known",
        ),
        sa.CheckConstraint("lane IN ('critical', 'high', 'normal', 'bulk')", name="lane_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("campaigns_tenant", "campaigns", ["tenant", "id"])
    op.create_index("campaigns_status", "campaigns", ["status", "id"])
    _partial("campaigns_due", ["lane", "due_at"], "due_at IS NOT NULL")
    _partial("campaigns_paused", ["event_id"], "status = 'paused'")
    _partial("campaigns_held", ["holder"], "holder IS NOT NULL")


def _partial(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "campaigns", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
