"""The ledger on a PostgreSQL server, which many processes share."""
