"""What users allowed and forbade."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A new table. Nobody knows when and how today's users chose, so nothing is written for them: their preferences stay."""
    op.create_table(
        "consents",
        sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("tenant", _NUMBER, nullable=False),
        sa.Column("user", _NUMBER, nullable=False),
        sa.Column("purpose", _TEXT, nullable=False),
        sa.Column("channel", _TEXT),
        sa.Column("action", _TEXT, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("recorded_at", _NUMBER, nullable=False),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("text_version", _TEXT, nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(
            "channel IN ('in_app', 'email', 'sms', 'push', 'chat', 'webhook', 'voice', 'whatsapp')",
            name="channel_known",
        ),
        sa.CheckConstraint("action IN ('granted', 'withdrawn')", name="action_known"),
        sqlite_with_rowid=False,
    )
    op.create_index("consents_tenant", "consents", ["tenant", "id"])
    op.create_index("consents_user", "consents", ["user", "id"])
