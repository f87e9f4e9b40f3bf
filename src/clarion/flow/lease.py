"""The lease of this process: while it lasts, nobody else touches what the process holds.

A process that was stopped for longer than its lease finds out here. What it held is somebody else's by then, the store
refuses what it still writes about it, and it goes on as a new worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from clarion.errors import Unavailable
from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.ports.clock import Clock
from clarion.ports.ledger import Leases

log = structlog.get_logger(__name__)

LEASE_MS = 15_000
"""How long a process may be silent before others claim what it holds."""
BEAT_S = 3.0
MARGIN_S = 2.0
"""No call is begun when so little of the lease is left."""


class GivenUp(Exception):
    """This process lost its lease to others. Nothing it wanted to write was stored."""


class WorkerLease:
    """Opened before anything is planned or claimed, kept by `run`."""

    def __init__(self, leases: Leases, clock: Clock, *, node: str, roles: str) -> None:
        """`node` and `roles` tell a person where the process runs and what it does."""
        self._leases = leases
        self._clock = clock
        self._node = node
        self._roles = roles
        self.worker = WorkerId(0)
        self.lost = 0
        """How often this process was given up although it lives."""
        self._lasts_until_s = float("-inf")
        self._hurry = asyncio.Event()
        self._renewed = asyncio.Event()
        self._planned: set[MessageId] = set()
        """Held since they were planned: the store finds them by the oldest of them only."""
        self._dropped: dict[MessageId, Message] = {}

    async def open(self) -> None:
        """Become a worker; a new one, holding nothing, if this process was one before."""
        self._planned.clear()
        self._dropped.clear()
        asked_s = self._clock.monotonic()
        self.worker = await self._leases.open(self._node, self._roles, self._until())
        self._lasts(asked_s)

    async def run(self) -> None:
        """Keep the lease, give up those who did not keep theirs, and give back what was dropped, until cancelled."""
        while True:
            self._hurry.clear()
            more = False
            try:
                await self._beat()
                more = (await self._leases.reap(self._clock.now())).more
            except Unavailable:
                log.warning("lease_not_renewed")
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
        """Give up the lease, so that others can take over what is still held."""
        try:
            await self._leases.beat(self.worker, self._clock.now(), self._oldest())
        except Unavailable:
            log.warning("lease_not_ended")

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
        if await self._leases.beat(self.worker, self._until(), self._oldest()):
            self._lasts(asked_s)
            return
        self.lost += 1
        log.error("worker_given_up", worker=self.worker)
        await self.open()

    async def _rest(self) -> None:
        try:
            async with self._clock.timeout(BEAT_S):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _until(self) -> Instant:
        return Instant(self._clock.now() + LEASE_MS)

    def _oldest(self) -> MessageId | None:
        return min(self._planned, default=None)

    def _lasts(self, asked_s: float) -> None:
        self._lasts_until_s = asked_s + LEASE_MS / 1_000 - MARGIN_S
        self._renewed.set()
