"""Up to where the partitions of other brokers are planned."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.event import Position


class MemoryPartitions:
    """Implements `ports.ledger.Partitions`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def take(self, names: Sequence[str]) -> Sequence[Position]:
        def take() -> list[Position]:
            partitions = self._tables.partitions
            for name in names:
                before = partitions.get(name) or Position(name, 0, 0)
                partitions[name] = replace(before, epoch=before.epoch + 1)
            return [partitions[name] for name in names]

        return await self._transactions.write(take)

    async def offsets(self, names: Sequence[str]) -> Sequence[int]:
        stored = self._tables.partitions
        return [stored[name].offset if name in stored else 0 for name in names]

    # -- inside a transaction ---------------------------------------------------------------------------------

    def owned(self, positions: Sequence[Position]) -> bool:
        """Whether no other process has taken one of them since."""
        return all(self._tables.partitions[p.partition].epoch == p.epoch for p in positions)

    def move(self, positions: Sequence[Position]) -> None:
        """They stand there now."""
        for p in positions:
            stored = self._tables.partitions[p.partition]
            self._tables.partitions[p.partition] = replace(stored, offset=max(stored.offset, p.offset))
