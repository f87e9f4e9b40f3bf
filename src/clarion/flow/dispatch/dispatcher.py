"""Stage 3, dispatch: check once more, choose the integration, send in batches, record what came of it.

The order of these and who waits for whom stand here. What they decide is in files of their own: `recheck`, `routing`,
`attempts` (with `outgoing` and `provider_calls`), and `rules.outcomes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

import structlog

from clarion.flow.dispatch.attempts import Attempts
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.dispatch.routing import Routing
from clarion.flow.dispatch.targets import Permits, SendTarget
from clarion.flow.lanes import InFlight, LaneQueue, Settle
from clarion.flow.priority import PriorityGate
from clarion.flow.waiting import wait_all
from clarion.model.channel import Lane
from clarion.model.settlement import Settlement
from clarion.model.status import Reason
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

BATCH = {Lane.CRITICAL: 64, Lane.HIGH: 128, Lane.NORMAL: 128, Lane.BULK: 64}
"""Messages looked at in one go; between two goes more urgent lanes have their turn."""
SLOT_WAIT_S = 1.0
"""How long a batch waits for a slot of its integration before it is put off."""
CANCEL_S = 0.5
"""For a cancelled call to let go of its connection."""


class Dispatcher:
    """Sends what the queues hold. One loop per lane and channel; one task per batch, none per message."""

    def __init__(
        self,
        recheck: Recheck,
        routing: Routing,
        attempts: Attempts,
        settle: Settle,
        priority: PriorityGate,
        clock: Clock,
    ) -> None:
        self._recheck = recheck
        self._routing = routing
        self._attempts = attempts
        self._settle = settle
        self._priority = priority
        self._clock = clock
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, queue: LaneQueue) -> None:
        """Work on one queue until cancelled."""
        while True:
            await queue.ready.wait()
            batch = queue.take(BATCH[queue.lane])
            self._priority.begin(queue.lane)
            try:
                await self._dispatch(queue, batch)
            finally:
                self._priority.end(queue.lane)
            await self._priority.turn(queue.lane)

    async def drain(self, timeout_s: float) -> None:
        """Wait for the calls under way; what does not answer in time is cancelled and recovered at the next start."""
        give_up_s = self._clock.monotonic() + timeout_s
        late = await wait_all(self._under_way, timeout_s, self._clock)
        while not late and self._under_way:  # What a call told at its end is still being stored.
            late = await wait_all(self._under_way, give_up_s - self._clock.monotonic(), self._clock)
        for task in late:
            task.cancel()
        await wait_all(late, CANCEL_S, self._clock)

    # -- a batch, until its calls have started ----------------------------------------------------------------

    async def _dispatch(self, queue: LaneQueue, batch: Sequence[InFlight]) -> None:
        try:
            going, stopped, stale = await self._recheck.batch(batch)
        except BaseException:
            queue.release(len(batch))  # The lease brings them back.
            raise
        queue.release(stale)
        groups, put_off = self._routing.divide(queue, going)
        self._start_recording(queue, stopped + put_off)
        for route, group in groups:
            await self._start(queue, route, group)

    async def _start(self, queue: LaneQueue, route: SendTarget, group: list[InFlight]) -> None:
        """Start the calls of one route; waits for its slots, which holds back this queue only."""
        started = 0
        for part in route.parts(group):
            if not await self._slot(queue, route):
                self._put_off(queue, group[started:], Reason.INTEGRATION_BUSY, SLOT_WAIT_S)
                return
            started += len(part)
            granted, wait_s = route.grant(queue.lane, part, self._clock.monotonic())
            if granted < len(part):
                # Each in its turn, so that they do not all come back for the next token.
                self._put_off(queue, part[granted:], Reason.RATE_LIMITED, wait_s, apart_s=route.seconds_each)
            if granted:
                self._spawn(self._send(queue, route, part[:granted], route.begin(queue)))

    async def _slot(self, queue: LaneQueue, route: SendTarget) -> bool:
        """Whether another batch may start, as soon as it may."""
        give_up_s = self._clock.monotonic() + SLOT_WAIT_S
        while not route.has_slot(queue.lane, now_s := self._clock.monotonic()):
            if now_s >= give_up_s:
                return False
            queue.slot_free.clear()
            # Waiting for others is no work that lower lanes must step aside for.
            self._priority.end(queue.lane)
            try:
                async with self._clock.timeout(give_up_s - now_s):
                    await queue.slot_free.wait()
            except TimeoutError:
                pass
            finally:
                self._priority.begin(queue.lane)
        return True

    def _put_off(
        self,
        queue: LaneQueue,
        group: Sequence[InFlight],
        reason: Reason,
        wait_s: float,
        *,
        apart_s: float = 0.0,
    ) -> None:
        self._start_recording(queue, self._routing.put_off(queue, group, reason, wait_s, apart_s=apart_s))

    # -- in a task per batch ----------------------------------------------------------------------------------

    async def _send(
        self, queue: LaneQueue, route: SendTarget, group: Sequence[InFlight], slots: Permits
    ) -> None:
        left = len(group)
        silent = {held.message.id for held in group}

        def record(settlements: Sequence[Settlement]) -> None:
            nonlocal left
            left -= len(settlements)
            silent.difference_update(one.message.id for one in settlements)
            self._start_recording(queue, settlements)

        try:
            settlements = await self._attempts.run(route, group, slots, record)
        except BaseException:
            queue.release(left)  # Cancelled by a drain: the lease brings them back.
            self._attempts.recorded(silent)
            raise
        finally:
            await slots.release_all()
        self._attempts.recorded(silent.difference(one.message.id for one in settlements))
        self._priority.begin(queue.lane)
        try:
            await self._record(queue, settlements, left)
        finally:
            self._priority.end(queue.lane)

    def _start_recording(self, queue: LaneQueue, settlements: Sequence[Settlement]) -> None:
        if settlements:
            self._spawn(self._record(queue, settlements, len(settlements)))

    async def _record(self, queue: LaneQueue, settlements: Sequence[Settlement], held: int) -> None:
        try:
            await self._settle(settlements)
        finally:
            self._attempts.recorded(one.message.id for one in settlements)
            queue.release(held)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # The messages stay leased and come back when the lease runs out.
            log.error("batch_failed", error=type(fault).__name__, exc_info=fault)
