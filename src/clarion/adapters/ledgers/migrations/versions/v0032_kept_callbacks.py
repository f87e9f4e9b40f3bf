"""Callbacks that made no sense wait beside the mail that did not."""

from alembic import op

revision = "0032"
down_revision = "0031"

_STEPS = (
    "ALTER TABLE strays ADD COLUMN kind TEXT DEFAULT 'email' NOT NULL",
    "ALTER TABLE strays ADD COLUMN integration TEXT DEFAULT '' NOT NULL",
)


def upgrade() -> None:
    """Two columns."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
