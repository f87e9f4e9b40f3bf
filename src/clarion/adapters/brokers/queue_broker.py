"""A broker over any server with queues that deliver an entry to one consumer, and again unless that one acknowledges it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from clarion.adapters.admission import Admission
from clarion.adapters.brokers.entry_encoding import UnreadableEntry, decoded, encoded
from clarion.adapters.brokers.lane_window import LaneWindow
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry, Position, SetAside
from clarion.model.ids import Instant
from clarion.model.status import Reason
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Backlog, Batch
from clarion.ports.clock import Clock
from clarion.ports.ledger import SetAsides, Store

log = structlog.get_logger(__name__)

MOST_DELIVERIES = 20
"""Of one entry. Whoever was to plan it has died as often, perhaps of it: it is set aside for a person."""
SENDING = 4
"""Calls of one lane that are sent at once; the others wait here, where they need no connection."""
AGAIN_S = 0.5
"""Before the next try to reach a server that is away."""


class DeliveredEntry(NamedTuple):
    """One entry as it was delivered."""

    handle: Any
    """What the server calls this delivery."""
    data: bytes
    number: int = 1
    """How often it has been delivered, this time included."""


class LaneQueues(Protocol):
    """The queues of all lanes on one server. Calls raise Unavailable while it cannot be reached."""

    hold_s: float
    """How long the server waits for an acknowledgement before it delivers to somebody else; 0: as long as the connection
    that it delivered over lasts."""

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """Each with its data. Returns when all are durable. Raises as `ports.Broker.publish` does."""

    def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        """What is delivered, as it comes; takes nothing more from the server than it has asked for while it is not asked."""

    async def done(self, lane: Lane, handles: Sequence[Any]) -> None:
        """Never deliver these again. Handles of connections that are gone change nothing."""

    async def give_back(self, lane: Lane, handles: Sequence[Any]) -> None:
        """Deliver these to somebody else, now."""

    async def keep(self, lane: Lane, handles: Sequence[Any]) -> None:
        """Wait for another `hold_s`."""

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        """Move it to the server's dead letters."""

    async def waiting(self, lane: Lane) -> int:
        """Entries that are not acknowledged, but for those that this process holds where `hold_s` is 0."""

    async def oldest_at(self, lane: Lane) -> Instant | None:
        """When the oldest of them was accepted, if the server can tell."""


class QueueServer(LaneQueues, Protocol):
    """The same, and how it is begun and ended."""

    async def open(self, *, dry_run: bool = False) -> None:
        """The queues exist and can be used. Raises ConfigError saying what to do when not. With `dry_run` those that are missing
        stay so."""

    async def close(self) -> None:
        """Leave the server, however far `open` came."""


class QueueBroker:
    """`ports.Broker` over `LaneQueues`. What a lane delivers is held in a window, in which tenants take turns."""

    def __init__(self, queues: LaneQueues, set_aside: SetAsides, clock: Clock) -> None:
        self._queues = queues
        self._set_aside = set_aside
        self._clock = clock
        self._admission = Admission()
        self._windows: dict[Lane, LaneWindow] = {}
        self._receiving: set[asyncio.Task[None]] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._sending: defaultdict[Lane, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SENDING))
        self._closed = False

    async def publish(self, entries: Sequence[Entry]) -> None:
        """See `ports.Broker.publish`."""
        admitted = self._admission.enter(entries)
        try:
            by_lane: defaultdict[Lane, list[tuple[Entry, bytes]]] = defaultdict(list)
            for entry in entries:
                by_lane[entry.lane].append((entry, encoded(entry)))
            await all_of(self._send(lane, its) for lane, its in by_lane.items())
        finally:
            self._admission.leave(admitted)

    async def _send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        async with self._sending[lane]:
            await self._queues.send(lane, entries)

    async def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """See `ports.Broker.consume`. What an earlier consumer of this process has left comes first."""
        if self._closed:
            return
        window = self._windows.get(lane)
        if window is None:
            window = self._windows[lane] = LaneWindow()
            self._receiving.add(asyncio.create_task(self._receive(lane, window)))
            self._keeping.add(asyncio.create_task(self._keep(lane, window)))
        window.restart()
        while not self._closed:
            window.arrived.clear()  # first: what arrives during the look wakes it up again
            if entries := window.take(limit):
                yield Batch(lane=lane, entries=entries)
            else:
                await window.arrived.wait()

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        """See `ports.Broker.positions`: the server remembers."""
        return ()

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`."""
        if handles := self._windows[batch.lane].finish(batch.entries):
            await self._queues.done(batch.lane, handles)

    async def backlog(self, lane: Lane) -> Backlog:
        """See `ports.Broker.backlog`. Where the server cannot tell how old the oldest one is, it is the oldest that this
        process holds."""
        waiting = await self._queues.waiting(lane)
        oldest_at = await self._queues.oldest_at(lane)
        window = self._windows.get(lane)
        if window is not None:
            oldest_at = oldest_at or window.oldest_at
            waiting += 0 if self._queues.hold_s else len(window)
        return Backlog(entries=waiting, oldest_at=oldest_at)

    async def close(self) -> None:
        """See `ports.Broker.close`. What was taken may still be acknowledged, until `leave`."""
        self._closed = True
        await _end(self._receiving)
        for window in self._windows.values():
            window.arrived.set()

    async def leave(self) -> None:
        """Give back everything that is not acknowledged."""
        await self.close()
        await _end(self._keeping)
        for lane, window in self._windows.items():
            window.restart()
            if handles := window.drop():
                with contextlib.suppress(Unavailable):  # The server notices by itself that we are gone.
                    await self._queues.give_back(lane, handles)

    async def _receive(self, lane: Lane, window: LaneWindow) -> None:
        away = False
        while True:
            try:
                async with contextlib.aclosing(self._queues.receive(lane)) as arriving:
                    async for deliveries in arriving:
                        away = False
                        await self._accept(lane, window, deliveries)
                        await window.room()
            except (Unavailable, ConfigError) as why:  # What is refused now may be mended without a restart.
                if not away:
                    log.warning("broker_unavailable", lane=lane, detail=why.detail)
            except Exception as fault:
                log.exception("receiving_failed", lane=lane, error=type(fault).__name__)
            away = True
            if not self._queues.hold_s:
                window.drop()  # It comes again over the next connection.
            await asyncio.sleep(AGAIN_S)

    async def _keep(self, lane: Lane, window: LaneWindow) -> None:
        """Once a third of the time has passed, so that a try may fail."""
        while self._queues.hold_s:
            await asyncio.sleep(self._queues.hold_s / 3)
            before_s = asyncio.get_running_loop().time() - self._queues.hold_s / 3
            if handles := window.held_since(before_s):
                try:
                    await self._queues.keep(lane, handles)
                except Unavailable as why:
                    log.warning("broker_unavailable", lane=lane, detail=why.detail)

    async def _accept(self, lane: Lane, window: LaneWindow, deliveries: Sequence[DeliveredEntry]) -> None:
        accepted: list[tuple[Entry, Any]] = []
        for delivery in deliveries:
            try:
                entry = decoded(delivery.data, lane, window.next_seq())
            except UnreadableEntry as why:
                log.error("entry_unreadable", lane=lane, reason=str(why))
                await self._queues.bury(lane, delivery, str(why))
                continue
            if delivery.number > MOST_DELIVERIES:
                await self._give_up(entry, delivery)
            else:
                accepted.append((entry, delivery.handle))
        window.put(accepted, asyncio.get_running_loop().time())

    async def _give_up(self, entry: Entry, delivery: DeliveredEntry) -> None:
        log.error("event_set_aside", tenant=entry.tenant, workflow=entry.workflow, deliveries=delivery.number)
        one = SetAside(
            event_id=entry.event_id,
            tenant=entry.tenant,
            lane=entry.lane,
            workflow=entry.workflow,
            reason=Reason.INTERNAL_ERROR,
            detail=f"delivered {delivery.number} times",
            at=self._clock.now(),
        )
        while True:
            try:
                await self._set_aside.keep([one], [], [entry])
                break
            except (
                Unavailable
            ):  # Whatever else was delivered with it must not be delivered again because of it.
                await asyncio.sleep(AGAIN_S)
        await self._queues.done(entry.lane, [delivery.handle])


async def all_of(calls: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Let all of them end; what the first of those raises that failed."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended."""
    left = set(tasks)
    tasks.clear()
    while left:
        for task in left:
            task.cancel()
        # Once is not enough: `wait_for` of Python 3.11, by which clients wait, may swallow it.
        _, left = await asyncio.wait(left, timeout=AGAIN_S)


@contextlib.asynccontextmanager
async def broker_on(server: QueueServer, tools: BackendTools, store: Store) -> AsyncIterator[QueueBroker]:
    """The broker on that server, which is opened for it and closed after it."""
    try:
        await server.open(dry_run=tools.dry_run)
        broker = QueueBroker(server, store.set_aside, tools.clock)
        try:
            yield broker
        finally:
            await broker.leave()
    finally:
        await server.close()
