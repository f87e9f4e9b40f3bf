"""What Alembic runs: steps, on the connection it was given, in the transaction it has."""

from alembic import context

from clarion.adapters.ledgers.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
