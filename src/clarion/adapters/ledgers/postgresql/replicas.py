"""Read-only copies of the database, for lists: each is used while it is not far behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Database
from clarion.errors import Unavailable
from clarion.ports.clock import Clock

MOST_BEHIND_S = 2.0
LOOK_EVERY_S = 0.5

WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'"
REPLAYED = "SELECT pg_last_wal_replay_lsn() - '0/0'"


class _Replica:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.seen_s: float | None = None
        """It has everything that was written by then."""


class Replicas:
    """Whatever replica is near enough, in turn."""

    def __init__(self, primary: Database, copies: Sequence[Database], clock: Clock) -> None:
        self._primary = primary
        self._clock = clock
        self._copies = deque(_Replica(copy) for copy in copies)
        self._written: deque[tuple[float, Any]] = deque(maxlen=round(MOST_BEHIND_S / LOOK_EVERY_S) + 2)
        """When we looked, and how far the primary was then."""
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="clarion-replicas")

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """The rows that a statement finds, a moment ago at the most; from the primary when no replica is near."""
        if (near := self._near()) is not None:
            try:
                return await near.rows(statement, *values)
            except Unavailable:
                pass
        return await self._primary.rows(statement, *values)

    async def look(self) -> None:
        """How far everybody is."""
        now_s = self._clock.monotonic()
        ((written,),) = await self._primary.rows(WRITTEN)
        self._written.append((now_s, written))
        for copy in self._copies:
            try:
                ((replayed,),) = await copy.database.rows(REPLAYED)
            except Unavailable:
                continue
            reached = [at_s for at_s, written in self._written if written <= replayed]
            copy.seen_s = max(reached, default=copy.seen_s)

    async def close(self) -> None:
        """With the connections to the replicas."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for copy in self._copies:
            await copy.database.close()

    def _near(self) -> Database | None:
        since_s = self._clock.monotonic() - MOST_BEHIND_S
        for _ in self._copies:
            self._copies.rotate(-1)
            copy = self._copies[-1]
            if copy.seen_s is not None and copy.seen_s >= since_s:
                return copy.database
        return None

    async def _follow(self) -> None:
        while True:
            try:
                await self.look()
            except Unavailable:
                pass  # the primary is away: nobody is near for long
            await self._clock.sleep(LOOK_EVERY_S)
