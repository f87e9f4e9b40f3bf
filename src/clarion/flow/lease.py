"""The lease of this process: while it lasts, nobody else touches what the process holds.

It also tells everybody who reads `workers` what the process does, and keeps what is known of the others.

A process that was stopped for longer than its lease finds out here. What it held is somebody else's by then, the store
refuses what it still writes about it, and it goes on as a new worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from clarion.errors import Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.model.worker import LEASE_MS, Process, Role, Worker
from clarion.ports.clock import Clock
from clarion.ports.ledger import Leases
from clarion.rules.cluster import share

log = structlog.get_logger(__name__)

BEATS = 5
"""How often a lease is renewed before it would be over."""
BEAT_S = LEASE_MS / 1_000 / BEATS
MARGIN = 2 / 15
"""No call is begun when so little of the lease is left."""

ANNOUNCED_S = 1.0
"""A store that takes longer to note that this process stops does not keep it from stopping."""


class GivenUp(Exception):
    """This process lost its lease to others. Nothing it wanted to write was stored."""


class WorkerLease:
    """Opened before anything is planned or claimed, kept by `run`."""

    def __init__(
        self,
        leases: Leases,
        clock: Clock,
        process: Process | None = None,
        held: Callable[[], int] = lambda: 0,
        died: Callable[[], None] = lambda: None,
    ) -> None:
        """`held()`: how many messages this process has in memory. `died()` is called when workers were given up."""
        self._leases = leases
        self._clock = clock
        self._held = held
        self._died = died
        self.process = process or Process()
        self.worker = WorkerId(0)
        self.workers: Sequence[Worker] = ()
        """Everybody who works on the store, as of the last look."""
        self.drain_asked = asyncio.Event()
        """Somebody asked this process to stop."""
        self.lost = 0
        """How often this process was given up although it lives."""
        self._lasts_until_s = self._over_s = float("-inf")
        self._hurry = asyncio.Event()
        self._renewed = asyncio.Event()
        self._looked = asyncio.Event()
        self._planned: set[MessageId] = set()
        """Held since they were planned: the store finds them by the oldest of them only."""
        self._dropped: dict[MessageId, Message] = {}

    async def open(self) -> None:
        """Become a worker; a new one, holding nothing, if this process was one before."""
        self._planned.clear()
        self._dropped.clear()
        asked_s = self._clock.monotonic()
        self.worker = await self._leases.open(self.process, self._clock.now(), self._until())
        self._lasts(asked_s)
        await self._look()

    async def run(self) -> None:
        """Keep the lease, give up those who did not keep theirs, and give back what was dropped, until cancelled."""
        while True:
            self._hurry.clear()
            more = False
            try:
                await self._beat()
                await self._look()
                reaped = await self._leases.reap(self._clock.now())
                more = reaped.more
                if reaped.workers:
                    self._died()
            except Unavailable:
                log.warning("lease_not_renewed")
                self._looked.set()  # at what is known: by now this process may be nobody
            if not more and not self._hurry.is_set():
                await self._rest()

    async def lasting(self) -> WorkerId:
        """The worker, once its lease surely lasts long enough to begin new work."""
        while self._clock.monotonic() >= self._lasts_until_s:
            self._renewed.clear()
            self._hurry.set()
            await self._renewed.wait()
        return self.worker

    async def end(self) -> None:
        """Give up the lease, so that others take over at once what is still held."""
        now = self._clock.now()
        try:
            await self._leases.beat(self.worker, Instant(now - 1), self._oldest())
            await self._leases.reap(now)
        except Unavailable:
            log.warning("lease_not_ended")

    async def announce_drain(self) -> None:
        """Show everybody that this process stops."""
        try:
            async with self._clock.timeout(ANNOUNCED_S):
                await self._leases.drain(self.process.node)
        except (Unavailable, TimeoutError):
            log.warning("drain_not_announced")

    def is_first(self, role: Role) -> bool:
        """Whether this process is the one that has had the role for the longest, of all that live. Not while its own lease may be
        over: then it is another one."""
        having = [one.id for one in self.workers if role in one.process.roles]
        return having[:1] == [self.worker] and self._clock.monotonic() < self._over_s

    def share(self, lane: Lane, channel: Channel, whole: int) -> int:
        """The part of a number that is for this process, of all that live and send on this lane and channel."""
        return share(self.workers, self.worker, lane, channel, whole)

    async def next_look(self) -> None:
        """Wait until `workers` has been read once more, or could not be."""
        self._looked.clear()
        await self._looked.wait()

    def refused(self) -> None:
        """Check now whether this process lost its lease, because the store refused a write."""
        self._lasts_until_s = float("-inf")
        self._hurry.set()

    def hold(self, planned: Iterable[MessageId]) -> set[MessageId]:
        """These are about to be stored as planned and held; those that are not held already."""
        new = set(planned) - self._planned
        self._planned |= new
        return new

    def let_go(self, messages: Iterable[MessageId]) -> None:
        """Forget these messages: their results are stored."""
        self._planned.difference_update(messages)

    def drop(self, messages: Iterable[Message]) -> None:
        """These are in memory no more, and nothing is stored about them: they are given back soon."""
        self._dropped.update((message.id, message) for message in messages)
        if self._dropped:
            self._hurry.set()

    async def _beat(self) -> None:
        if dropped := list(self._dropped.values()):
            await self._leases.give_back(self.worker, dropped, self._clock.now())
            for message in dropped:
                del self._dropped[message.id]
                self._planned.discard(message.id)
        asked_s = self._clock.monotonic()
        if await self._leases.beat(self.worker, self._until(), self._oldest(), self._held()):
            self._lasts(asked_s)
            return
        self.lost += 1
        log.error("worker_given_up", worker=self.worker)
        await self.open()

    async def _look(self) -> None:
        self.workers = await self._leases.workers()
        if any(one.draining for one in self.workers if one.id == self.worker):
            self.drain_asked.set()
        self._looked.set()

    async def _rest(self) -> None:
        try:
            async with self._clock.timeout(self.process.lease_ms / 1_000 / BEATS):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _until(self) -> Instant:
        return Instant(self._clock.now() + self.process.lease_ms)

    def _oldest(self) -> MessageId | None:
        return min(self._planned, default=None)

    def _lasts(self, asked_s: float) -> None:
        self._over_s = asked_s + self.process.lease_ms / 1_000
        self._lasts_until_s = asked_s + self.process.lease_ms / 1_000 * (1 - MARGIN)
        self._renewed.set()
