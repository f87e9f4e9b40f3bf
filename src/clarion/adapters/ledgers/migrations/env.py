"""The Alembic environment: runs steps on a given connection, in its transaction."""

from alembic import context

from clarion.adapters.ledgers.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
