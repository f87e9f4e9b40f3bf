"""Up to where the partitions of other brokers are planned."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from clarion.adapters.ledgers.sqlite.files import changed, one
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.event import Position

TAKE = """
    INSERT INTO broker_partitions (name, position, epoch) VALUES (?, 0, 1)
    ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1 RETURNING position, epoch
"""
POSITION = "SELECT position FROM broker_partitions WHERE name = ?"
OWNED = "SELECT 1 FROM broker_partitions WHERE name = ? AND epoch = ?"
MOVE = "UPDATE broker_partitions SET position = max(position, ?2) WHERE name = ?1"


class SqlitePartitions:
    """Implements `ports.ledger.Partitions`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def take(self, names: Sequence[str]) -> Sequence[Position]:
        def take(connection: sqlite3.Connection) -> list[Position]:
            return [Position(name, *connection.execute(TAKE, (name,)).fetchone()) for name in names]

        return await self._writer.call(take, rows=len(names))

    async def offsets(self, names: Sequence[str]) -> Sequence[int]:
        return await self._writer.read(
            lambda connection: [int(one(connection, POSITION, (name,)) or 0) for name in names]
        )


def moved(connection: sqlite3.Connection, positions: Sequence[Position]) -> bool:
    """They stand there now; False, and nothing is changed: another process has taken one of them."""
    if any(one(connection, OWNED, (p.partition, p.epoch)) is None for p in positions):
        return False
    for p in positions:
        changed(connection, MOVE, (p.partition, p.offset))
    return True
