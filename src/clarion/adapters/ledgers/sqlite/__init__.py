"""The default ledger: one SQLite file, one writer thread, one commit for all pending writes."""

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
