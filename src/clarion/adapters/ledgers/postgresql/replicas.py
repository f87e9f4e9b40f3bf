"""Read-only copies of the database, for lists: one answers when it has everything that was written before it was asked.

So a list lacks nothing that anybody was told before, through whatever process. The price is one question to the primary,
which looks at no table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg

from clarion.adapters.ledgers.postgresql.database import Database, Work
from clarion.errors import Unavailable
from clarion.ports.clock import Clock

T = TypeVar("T")

WAIT_S = 0.1
"""For a copy that is behind; then the primary answers."""
LOOK_EVERY_S = 0.005
REST_S = 1.0
"""How long nothing is asked of a copy that was too far behind, or did not answer."""

CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What a query fails with that stood in the way of what a copy had to replay."""

WRITTEN = "SELECT pg_current_wal_flush_lsn()"
REPLAYED = "SELECT pg_last_wal_replay_lsn() >= $1"


class _Replica:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.rests_until_s = float("-inf")


class Replicas:
    """Ask whatever copy has everything, in turn, and the primary otherwise. Reads as `Database` does."""

    def __init__(self, primary: Database, copies: Sequence[Database], clock: Clock) -> None:
        self._primary = primary
        self._clock = clock
        self._copies = deque(_Replica(copy) for copy in copies)

    async def read(self, work: Work[T]) -> T:
        """What `work` reads, all of one moment."""
        return await self._asked(lambda database: database.read(work))

    async def rows(self, statement: str, *values: Any) -> list[Any]:
        """The rows that one statement finds."""
        return await self._asked(lambda database: database.rows(statement, *values))

    async def close(self) -> None:
        """With the connections to the copies."""
        for copy in self._copies:
            await copy.database.close()

    async def _asked(self, ask: Callable[[Database], Awaitable[T]]) -> T:
        now_s = self._clock.monotonic()
        if any(copy.rests_until_s <= now_s for copy in self._copies):
            ((written,),) = await self._primary.rows(WRITTEN)
            for _ in self._copies:
                self._copies.rotate(-1)
                copy = self._copies[-1]
                if copy.rests_until_s > now_s:
                    continue
                try:
                    if await self._has(copy.database, written):
                        return await ask(copy.database)
                except (Unavailable, *CONFLICTS):
                    pass
                copy.rests_until_s = self._clock.monotonic() + REST_S
        return await ask(self._primary)

    async def _has(self, copy: Database, written: Any) -> bool:
        """Whether it has everything up to there, at once or a moment later."""
        until_s = self._clock.monotonic() + WAIT_S
        while True:
            ((reached,),) = await copy.rows(REPLAYED, written)
            if reached or self._clock.monotonic() >= until_s:
                return bool(reached)
            await self._clock.sleep(LOOK_EVERY_S)
