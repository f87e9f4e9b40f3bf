"""The embedded broker: the event log of the ledger, with a short tail of it kept in memory.

Entries go from `publish` to the consumer without being read back while the consumer keeps up. When the
tail is full the consumer reads the rest from the log: memory stays bounded however long the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from clarion.model.channel import LANES, Lane
from clarion.model.event import Claim, ClaimResult, Entry
from clarion.ports.broker import Batch
from clarion.ports.ledger import EventLog

TAIL_BYTES = 48 * 1024 * 1024
"""Memory a lane's entries may take, roughly; what comes on top is read back from the log."""
ENTRY_BYTES = 1_000
"""What an entry takes in memory besides its data, which it holds sealed and open."""


class _LaneTail:
    """One lane's entries behind `taken`, as far as they are in memory."""

    __slots__ = ("bytes", "entries", "taken", "wake")

    def __init__(self, taken: int) -> None:
        self.taken = taken
        self.entries: deque[Entry] = deque()
        self.bytes = 0
        self.wake = asyncio.Event()

    def restart(self, acked: int) -> None:
        """Begin again behind what was acknowledged: an earlier consumer may have given up half-way."""
        if self.taken != acked:
            self.taken = acked
            self.entries.clear()
            self.bytes = 0

    def add(self, entry: Entry) -> None:
        entries = self.entries
        if not entries or (entry.seq == entries[-1].seq + 1 and self.bytes < TAIL_BYTES):
            entries.append(entry)
            self.bytes += _size(entry)

    def pop(self) -> Entry:
        entry = self.entries.popleft()
        self.bytes -= _size(entry)
        return entry

    def take(self, limit: int, log: EventLog, lane: Lane) -> Sequence[Entry]:
        entries = self.entries
        while entries and entries[0].seq <= self.taken:
            self.pop()
        if entries and entries[0].seq == self.taken + 1:
            taken: Sequence[Entry] = [self.pop() for _ in range(min(limit, len(entries)))]
        elif log.end(lane) > self.taken:
            # What is missing before the tail (or all of it) lies in the log only.
            taken = log.read(lane, self.taken, limit)
        else:
            return ()
        if taken:
            self.taken = taken[-1].seq
        return taken


def _size(entry: Entry) -> int:
    return ENTRY_BYTES + 2 * len(entry.sealed)


class SqlBroker:
    """`ports.Broker` over an `EventLog`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._lanes = {lane: _LaneTail(log.position(lane)) for lane in LANES}
        self._acked = {lane: log.position(lane) for lane in LANES}
        self._closed = False

    async def publish(
        self, entries: Sequence[Entry], claims: Sequence[Claim | None]
    ) -> Sequence[ClaimResult | None]:
        """See `ports.Broker.publish`: one transaction of the ledger."""
        durable, results = await self._log.append(entries, claims)
        self.offer(durable)
        return results

    def offer(self, durable: Sequence[Entry]) -> None:
        """Entries that somebody else's transaction appended (a fan-out's continuation)."""
        lanes = self._lanes
        for entry in durable:
            tail = lanes[entry.lane]
            tail.add(entry)
            tail.wake.set()

    async def consume(self, lane: Lane, limit: int) -> AsyncIterator[Batch]:
        """See `ports.Broker.consume`."""
        tail = self._lanes[lane]
        tail.restart(self._acked[lane])
        while not self._closed:
            entries = tail.take(limit, self._log, lane)
            if entries:
                yield Batch(lane=lane, entries=tuple(entries), token=entries[-1].seq)
                continue
            tail.wake.clear()
            await tail.wake.wait()

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`."""
        await self._log.advance(batch.lane, batch.token)
        self._acked[batch.lane] = max(self._acked[batch.lane], batch.token)

    async def depth(self, lane: Lane) -> int:
        """See `ports.Broker.depth`."""
        return self._log.end(lane) - self._acked[lane]

    async def close(self) -> None:
        """See `ports.Broker.close`."""
        self._closed = True
        for tail in self._lanes.values():
            tail.wake.set()
