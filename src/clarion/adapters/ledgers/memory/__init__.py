"""The ledger in memory: for tests, and to read what a ledger has to do.

The whole port in plain dicts. Nothing of it survives the process.
"""

from clarion.adapters.ledgers.memory.ledger import MemoryLedger
from clarion.adapters.ledgers.memory.tables import Tables

__all__ = ["MemoryLedger", "Tables"]
