"""A verification may say what its user consents to."""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    """None of today's does."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("verifications", sa.Column("consent", text))
