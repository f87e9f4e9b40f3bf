"""Campaigns are found by their events, whatever their status."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    """Another index."""
    op.drop_index("campaigns_paused", "campaigns")
    started = sa.text("event_id IS NOT NULL")
    op.create_index(
        "campaigns_event", "campaigns", ["event_id"], sqlite_where=started, postgresql_where=started
    )
