"""Tenants that are there already get the in-app inbox that new ones begin with."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Only a note up to which tenant: integrations are sealed, so it is done where the key is: `sqlite.adoption`."""
    op.get_bind().exec_driver_sql(
        "INSERT INTO meta (key, value) SELECT 'tenants_without_inbox', max(id) FROM tenants HAVING max(id) IS NOT NULL"
    )
