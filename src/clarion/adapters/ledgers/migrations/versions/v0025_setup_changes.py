"""Which documents changed behind a revision of the set-up, so that another process need not read all of them again."""

from alembic import op

revision = "0025"
down_revision = "0024"

_STEPS = (
    """CREATE TABLE setup_changes (
    shelf TEXT NOT NULL,
    tenant INTEGER NOT NULL,
    "key" TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (shelf, tenant, "key")
) WITHOUT ROWID""",
    "CREATE INDEX setup_changes_revision ON setup_changes (revision)",
)


def upgrade() -> None:
    """Empty: whoever reads the set-up for the first time reads all of it."""
    for statement in _STEPS:
        op.get_bind().exec_driver_sql(statement)
