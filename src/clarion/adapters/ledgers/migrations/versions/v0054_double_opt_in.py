"""A verification may say what its user consents to.

Code of before 0054 asks for no consent, changes no segment and tells no run of an event: it may not serve beside this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
serves_since = "0054"


def upgrade() -> None:
    """None of today's does."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("verifications", sa.Column("consent", text))
