"""No broker: for a process whose roles neither accept events nor plan them, so that it needs no way to one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from clarion.errors import Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry, Position
from clarion.ports.broker import Backlog, Batch


class NoBroker:
    """Implements `ports.Broker`."""

    async def publish(self, entries: Sequence[Entry]) -> None:
        raise _missing()

    def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        raise _missing()

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        return ()

    async def ack(self, batch: Batch) -> None:
        raise _missing()

    async def backlog(self, lane: Lane) -> Backlog:
        raise _missing()

    async def close(self) -> None:
        """Nothing is open."""


def _missing() -> Unavailable:
    return Unavailable("this process has no role that needs the broker")
