"""Who was erased, by number."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Only a new table. The users' keys are wrapped anew where the installation key is at hand: see `sqlite.adoption`."""
    op.get_bind().exec_driver_sql(
        "CREATE TABLE erased (\n    user INTEGER NOT NULL,\n    PRIMARY KEY (user)\n)"
    )
