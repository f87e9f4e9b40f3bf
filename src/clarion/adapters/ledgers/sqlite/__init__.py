"""The default ledger: one SQLite file, one writer thread, one commit for everything that is pending."""

from clarion.adapters.ledgers.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
