"""Attributes that conditions can ask for, segments with their members, and events to segments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0049"
down_revision = "0048"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_JSON = sa.Text().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Nothing is open until a tenant says so. What an earlier version writes changes no segment before it changes again."""
    op.add_column("users", sa.Column("open_attributes", _JSON))
    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE INDEX users_open ON users USING gin (open_attributes jsonb_path_ops)")
    op.add_column("continuations", sa.Column("segment", _TEXT, nullable=False, server_default=sa.text("''")))
    op.create_table(
        "segment_members",
        sa.Column("tenant", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("segment", _TEXT, primary_key=True, nullable=False),
        sa.Column("user", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("segment_members_user", "segment_members", ["user"])
    op.create_table(
        "segment_changes",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("user", _NUMBER, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("segment_changes_tenant", "segment_changes", ["tenant", "seq"])
    op.create_table(
        "segment_looks",
        sa.Column("user", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("due_at", _NUMBER, nullable=False),
    )
    op.create_index("segment_looks_due", "segment_looks", ["tenant", "due_at"])
    op.create_table(
        "refreshes",
        sa.Column("tenant", _NUMBER, primary_key=True, autoincrement=False, nullable=False),
        sa.Column("key", _TEXT, primary_key=True, nullable=False),
        sa.Column("definition", _TEXT, nullable=False),
        sa.Column("position", _NUMBER),
        sa.Column("done", _NUMBER, nullable=False),
        sa.Column("total", _NUMBER, nullable=False),
        sa.Column("refreshed_at", _NUMBER),
        sqlite_with_rowid=False,
    )
