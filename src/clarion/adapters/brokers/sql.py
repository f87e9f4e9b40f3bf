"""The embedded broker: the event log of the ledger, with a part of it kept in memory, tenant by tenant.

Tenants take turns, so the backlog of one delays the others by a turn and not by its length. Entries go from `publish`
to the consumer without being read back while the consumer keeps up. When memory is full the consumer reads the rest
from the log: memory stays bounded however long the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from clarion.adapters.brokers.turns import Turns
from clarion.adapters.brokers.unfinished import Unfinished
from clarion.model.channel import Lane
from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult, Position
from clarion.model.ids import TenantId, time_of
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Backlog, Batch, Broker
from clarion.ports.clock import Clock
from clarion.ports.ledger import EventLog, Store

TAIL_BYTES = 48 * 1024 * 1024
"""Memory a lane's entries may take, roughly; what comes on top is read back from the log."""
AHEAD_BYTES = 12 * 1024 * 1024
"""Memory on top of it for entries of tenants that have nothing in the part of the log that is not in memory."""
IDLE_BYTES = 4 * 1024 * 1024
"""Either of these in a process that does not plan the lane."""
LOOK_S = 0.1
"""How often an idle lane is looked at for entries that another process has appended."""
READ_AHEAD = 2
"""Entries read from the log for each that is taken, until memory is full."""
ENTRY_BYTES = 1_000
"""What an entry takes in memory besides its data, which it holds sealed and open."""


class _LaneTail:
    """One lane's entries that are not acknowledged, as far as they are in memory.

    Up to `seen` every entry is in memory, taken or done. Behind it lies what is only in the log; from there only
    entries of tenants that have nothing before them in it may be in memory too: they go `ahead`.
    """

    __slots__ = (
        "acked", "ahead", "ahead_bytes", "behind", "bytes", "consumed", "offered", "out", "seen", "unacked", "unknown", "waiting", "wake",
    )  # fmt: skip

    def __init__(self, acked: int, end: int) -> None:
        self.wake = asyncio.Event()
        self.consumed = False
        """By this process: what it does not plan itself is hardly worth its memory."""
        self.restart(acked, end)

    def restart(self, acked: int, end: int) -> None:
        """Begin behind what is planned: an earlier consumer may have given up half-way, or worked elsewhere."""
        self.acked = self.seen = acked
        self.offered = end
        self.unknown = end > acked
        """Nobody knows whose entries are only in the log."""
        self.behind: set[TenantId] = set()
        """Tenants with entries that are only in the log."""
        self.ahead: dict[int, int] = {}
        """Their sizes by position."""
        self.ahead_bytes = self.bytes = 0
        self.waiting: Turns[Entry] = Turns()
        self.unacked = Unfinished()
        """The first of them is where the lane stands."""
        self.out = 0
        """Taken and not acknowledged."""

    def offer(self, entry: Entry) -> None:
        """An entry that was just appended."""
        if entry.seq <= self.seen:
            return
        if entry.seq != self.offered + 1:
            self.unknown = (
                True  # Others were appended that nobody has offered yet: they are found in the log.
            )
            return
        self.offered = entry.seq
        if entry.seq == self.seen + 1 and self.bytes < self._most(TAIL_BYTES):
            self.seen = entry.seq
            self._push(entry)
        elif (
            entry.seq == self.seen + 1
            or self.unknown
            or entry.tenant in self.behind
            or self.ahead_bytes >= self._most(AHEAD_BYTES)
        ):
            self.behind.add(entry.tenant)
        else:
            self.ahead[entry.seq] = _size(entry)
            self.ahead_bytes += _size(entry)
            self._push(entry)

    async def take(self, limit: int, log: EventLog, lane: Lane) -> list[Entry]:
        """Up to `limit` entries, the tenants in turn, those of each in order."""
        wanted = self.behind or self.unknown or not self.waiting
        if wanted and self.bytes < TAIL_BYTES and self.seen < (end := await log.end(lane)):
            # More than is taken, so that tenants further behind are seen before their turn would be over.
            await self._read(READ_AHEAD * limit, log, lane, end)
        taken = self.waiting.take(limit)
        self.bytes -= sum(map(_size, taken))
        self.out += len(taken)
        return taken

    def finish(self, entries: Sequence[Entry]) -> int:
        """These are planned; up to where everything is."""
        self.out -= len(entries)
        self.unacked.finish([entry.seq for entry in entries])
        first = self.unacked.first()
        return self.seen if first is None else min(self.seen, first - 1)

    async def _read(self, limit: int, log: EventLog, lane: Lane, end: int) -> None:
        found = await log.read(lane, self.seen, limit)
        for entry in found:
            if entry.seq <= self.seen:
                continue  # offered meanwhile
            self.seen = entry.seq
            if entry.seq not in self.ahead:
                self._push(entry)
            self.ahead_bytes -= self.ahead.pop(entry.seq, 0)
        if not found:
            self.seen = max(self.seen, end)
        while self.seen + 1 in self.ahead:
            self.seen += 1
            self.ahead_bytes -= self.ahead.pop(self.seen)
        if self.seen >= max(end, self.offered):
            self.offered = max(self.offered, self.seen)
            self.unknown = False
            self.behind.clear()

    def _most(self, consumed_bytes: int) -> int:
        return consumed_bytes if self.consumed else IDLE_BYTES

    def _push(self, entry: Entry) -> None:
        self.waiting.put(entry.tenant, entry)
        self.bytes += _size(entry)
        self.unacked.begin(entry.seq)


def _size(entry: Entry) -> int:
    return ENTRY_BYTES + 2 * len(entry.sealed)


class SqlBroker:
    """`ports.LogBroker` over an `EventLog`."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lanes: dict[Lane, _LaneTail] = {}
        self._closed = False
        log.on_append(self._told)

    async def publish(self, entries: Sequence[Entry]) -> None:
        """See `ports.Broker.publish`."""
        await self.publish_claimed(entries, [None] * len(entries))

    async def publish_claimed(
        self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> Sequence[IdempotencyResult | None]:
        """See `ports.LogBroker.publish_claimed`: one transaction of the ledger."""
        for lane in {entry.lane for entry in entries}:
            await self._tail(lane)
        durable, results = await self._log.append(entries, claims)
        self.offer(durable)
        return results

    def offer(self, durable: Sequence[Entry]) -> None:
        """Entries that were just appended."""
        lanes = self._lanes
        for entry in durable:
            tail = lanes.get(entry.lane)
            if tail is not None:
                tail.offer(entry)
                tail.wake.set()

    async def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """See `ports.Broker.consume`."""
        tail = await self._tail(lane)
        position, end = await self._log.position(lane), await self._log.end(lane)
        if tail.out or position > tail.acked:
            tail.restart(position, end)
        tail.consumed = True
        try:
            while not self._closed:
                tail.wake.clear()  # first: what is offered during the look wakes it up again
                entries = await tail.take(limit, self._log, lane)
                if entries:
                    yield Batch(lane=lane, entries=tuple(entries))
                    continue
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(LOOK_S):
                        await tail.wake.wait()
        finally:
            tail.consumed = False

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        """See `ports.Broker.positions`: the plan says what it consumes."""
        return ()

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`. The cursor has moved with the plan; this makes room in memory."""
        tail = self._lanes[batch.lane]
        tail.acked = max(tail.acked, tail.finish(batch.entries))

    async def backlog(self, lane: Lane) -> Backlog:
        """See `ports.Broker.backlog`."""
        tail = await self._tail(lane)
        position, end = max(tail.acked, await self._log.position(lane)), await self._log.end(lane)
        oldest = [time_of(entry.event_id) for entry in await self._log.read(lane, position, 1)]
        return Backlog(entries=end - position - tail.unacked.ahead, oldest_at=min(oldest, default=None))

    async def close(self) -> None:
        """See `ports.Broker.close`."""
        self._closed = True
        for tail in self._lanes.values():
            tail.wake.set()

    def _told(self, lane: Lane, newest: int) -> None:
        """Another process may have appended."""
        tail = self._lanes.get(lane)
        if tail is not None and newest > tail.offered:
            tail.unknown = True
            tail.wake.set()

    async def _tail(self, lane: Lane) -> _LaneTail:
        tail = self._lanes.get(lane)
        if tail is None:
            position, end = await self._log.position(lane), await self._log.end(lane)
            tail = self._lanes.setdefault(lane, _LaneTail(position, end))
        return tail


@contextlib.asynccontextmanager
async def opened(url: str, tools: BackendTools, store: Store) -> AsyncIterator[Broker]:
    """The broker in the ledger's own database. See `ports.backend.OpenBroker`."""
    broker = SqlBroker(store.log, tools.clock)
    try:
        yield broker
    finally:
        await broker.close()
