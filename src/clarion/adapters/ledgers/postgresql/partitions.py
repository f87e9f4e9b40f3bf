"""Up to where the partitions of other brokers are planned."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.adapters.ledgers.postgresql.database import Connection, Database
from clarion.model.event import Position

TAKE = """
    INSERT INTO broker_partitions (name, position, epoch) SELECT name, 0, 1 FROM unnest($1::text[]) AS new (name)
    ON CONFLICT (name) DO UPDATE SET epoch = broker_partitions.epoch + 1
    RETURNING name, position, epoch
"""
OFFSETS = "SELECT name, position FROM broker_partitions WHERE name = ANY($1)"
OWNED = """
    SELECT p.name FROM broker_partitions AS p JOIN unnest($1::text[], $2::bigint[]) AS mine (name, epoch) USING (name, epoch)
    ORDER BY p.name FOR UPDATE OF p
"""
MOVE = """
    UPDATE broker_partitions AS p SET position = greatest(p.position, moved.position)
    FROM unnest($1::text[], $2::bigint[]) AS moved (name, position) WHERE p.name = moved.name
"""


class PostgresPartitions:
    """Implements `ports.ledger.Partitions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, names: Sequence[str]) -> Sequence[Position]:
        rows = await self._database.write(lambda connection: connection.fetch(TAKE, sorted(names)))
        taken = {name: Position(name, position, epoch) for name, position, epoch in rows}
        return [taken[name] for name in names]

    async def offsets(self, names: Sequence[str]) -> Sequence[int]:
        found = dict(await self._database.rows(OFFSETS, list(names)))
        return [found.get(name, 0) for name in names]


async def moved(connection: Connection, positions: Sequence[Position]) -> bool:
    """They stand there now; False, and nothing is changed: another process has taken one of them."""
    if not positions:
        return True
    names = [p.partition for p in positions]
    if len(await connection.fetch(OWNED, names, [p.epoch for p in positions])) < len(names):
        return False
    await connection.execute(MOVE, names, [p.offset for p in positions])
    return True
