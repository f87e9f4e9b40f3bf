"""A broker in memory, as simple as the contract allows: it remembers by itself what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace

from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry, Position
from clarion.model.ids import TenantId, time_of
from clarion.ports.broker import Backlog, Batch

UNREADABLE = "it is no entry"


class MemoryLanes:
    """What a server keeps for brokers: the entries that are not acknowledged, who has them, and dead letters."""

    def __init__(self) -> None:
        self.entries: dict[Lane, dict[int, Entry | bytes]] = {lane: {} for lane in LANES}
        """By position, in order. Bytes are what no broker of ours has written."""
        self.taken: dict[int, MemoryBroker] = {}
        """Who was given what is not acknowledged."""
        self.dead: dict[Lane, list[tuple[bytes, str]]] = {lane: [] for lane in LANES}
        """What could not be read, and why."""
        self.last = 0
        """The newest entry's position."""
        self.changed = asyncio.Event()

    def put(self, lane: Lane, one: Entry | bytes) -> None:
        """Behind everything in its lane."""
        self.last += 1
        self.entries[lane][self.last] = replace(one, seq=self.last) if isinstance(one, Entry) else one
        self.tell()

    def crash(self, broker: MemoryBroker) -> None:
        """The process of this one is gone: others get what it had."""
        self.taken = {seq: its for seq, its in self.taken.items() if its is not broker}
        self.tell()

    def tell(self) -> None:
        """Something is different now."""
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryBroker:
    """`ports.Broker` over `MemoryLanes`. Another one over the same lanes is another process."""

    def __init__(self, lanes: MemoryLanes) -> None:
        self._lanes = lanes
        self._closed = False

    async def publish(self, entries: Sequence[Entry]) -> None:
        """See `ports.Broker.publish`; a call is one step of the event loop."""
        for entry in entries:
            self._lanes.put(entry.lane, entry)

    async def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """See `ports.Broker.consume`."""
        lanes = self._lanes
        try:
            while not self._closed:
                if entries := self._next(lane, limit):
                    lanes.taken.update((entry.seq, self) for entry in entries)
                    yield Batch(lane=lane, entries=tuple(entries))
                else:
                    await lanes.changed.wait()
        finally:
            for seq in lanes.entries[lane]:
                if lanes.taken.get(seq) is self:
                    del lanes.taken[seq]
            lanes.tell()

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        """See `ports.Broker.positions`."""
        return ()

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`."""
        for entry in batch.entries:
            self._lanes.entries[batch.lane].pop(entry.seq, None)
            self._lanes.taken.pop(entry.seq, None)

    async def backlog(self, lane: Lane) -> Backlog:
        """See `ports.Broker.backlog`."""
        entries = self._lanes.entries[lane].values()
        times = (time_of(entry.event_id) for entry in entries if isinstance(entry, Entry))
        return Backlog(entries=len(entries), oldest_at=min(times, default=None))

    async def close(self) -> None:
        """See `ports.Broker.close`."""
        self._closed = True
        self._lanes.tell()

    def _next(self, lane: Lane, limit: int) -> list[Entry]:
        """The first entries that nobody has, one of each tenant at a time. What is none is a dead letter."""
        waiting: dict[TenantId, list[Entry]] = {}
        for seq, entry in list(self._lanes.entries[lane].items()):
            if isinstance(entry, bytes):
                self._lanes.dead[lane].append((entry, UNREADABLE))
                del self._lanes.entries[lane][seq]
            elif seq not in self._lanes.taken:
                waiting.setdefault(entry.tenant, []).append(entry)
        turns = [(turn, entry.seq, entry) for own in waiting.values() for turn, entry in enumerate(own)]
        return [entry for _, _, entry in sorted(turns)[:limit]]
