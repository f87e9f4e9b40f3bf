"""Stage 3, dispatch: recheck, choose the integration, send in batches, record the outcomes.

The order of these and who waits for whom stand here. What they decide is in files of their own: `recheck`, `routing`,
`attempts` (with `outgoing` and `provider_calls`), and `rules.outcomes`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence

import structlog

from clarion.flow.dispatch.attempts import Attempts
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.dispatch.routing import Routing
from clarion.flow.dispatch.targets import Permits, SendTarget
from clarion.flow.lanes import InFlight, LaneQueue, Settle
from clarion.flow.lease import WorkerLease
from clarion.flow.priority import PriorityGate
from clarion.flow.waiting import wait_all
from clarion.model.channel import Lane
from clarion.model.ids import MessageId
from clarion.model.settlement import Settlement
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.ledger import Quotas

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
        quotas: Quotas,
        lease: WorkerLease,
        priority: PriorityGate,
        clock: Clock,
    ) -> None:
        self._quotas = quotas
        self._recheck = recheck
        self._lease = lease
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
            await self._priority.sent(queue.lane)

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
        left = set(batch)
        try:
            going, stopped, stale = await self._recheck.batch(batch)
            groups, put_off = self._routing.divide(queue, going)
            left = {in_flight for _, group in groups for in_flight in group}
            self._drop(queue, stale)
            self._start_recording(queue, stopped + put_off)
            for route, group in groups:
                await self._start(queue, route, group, left)
        except BaseException:
            self._drop(queue, left)
            raise

    async def _start(
        self, queue: LaneQueue, route: SendTarget, group: list[InFlight], left: set[InFlight]
    ) -> None:
        """Start the calls of one route; waits for its slots, which holds back this queue only. Takes out of `left`
        whatever is somebody else's to look after."""
        started = 0
        for part in route.parts(group):
            if not await self._slot(queue, route):
                left.difference_update(group[started:])
                self._put_off(queue, group[started:], Reason.INTEGRATION_BUSY, SLOT_WAIT_S)
                return
            slots = route.begin(queue)
            try:
                going = await self._granted(queue, route, part) if route.limited else part
            except BaseException:
                await slots.release_all()
                raise
            started += len(part)
            left.difference_update(part)
            if going:
                self._spawn(self._send(queue, route, going, slots))
            else:
                await slots.release_all()

    async def _granted(
        self, queue: LaneQueue, route: SendTarget, part: Sequence[InFlight]
    ) -> Sequence[InFlight]:
        """Those that the limits let through. The others are put off."""
        granted, wait_s, reason = await route.grant(queue.lane, part, self._quotas, self._clock)
        if granted < len(part):
            # Each in its turn, so that they do not all come back for the next token.
            apart_s = 0.0 if reason is Reason.DAILY_QUOTA else route.seconds_each
            self._put_off(queue, part[granted:], reason, wait_s, apart_s=apart_s)
        return part[:granted]

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
        silent = {in_flight.message.id: in_flight for in_flight in group}

        def record(settlements: Sequence[Settlement]) -> None:
            _forget(silent, settlements)
            self._start_recording(queue, settlements)

        try:
            settlements = await self._attempts.run(route, group, slots, record)
        except BaseException:
            self._drop(queue, silent.values())  # Cancelled by a drain, or by an error of ours.
            self._attempts.recorded(silent)
            raise
        finally:
            await slots.release_all()
        _forget(silent, settlements)
        self._drop(queue, silent.values())
        self._attempts.recorded(silent)
        self._priority.begin(queue.lane)
        try:
            await self._record(queue, settlements)
        finally:
            self._priority.end(queue.lane)

    def _start_recording(self, queue: LaneQueue, settlements: Sequence[Settlement]) -> None:
        if settlements:
            self._spawn(self._record(queue, settlements))

    async def _record(self, queue: LaneQueue, settlements: Sequence[Settlement]) -> None:
        ids = [one.message.id for one in settlements]
        try:
            await self._settle(settlements)
        except BaseException:
            self._lease.drop(one.message for one in settlements)
            raise
        finally:
            self._attempts.recorded(ids)
            self._lease.let_go(ids)
            queue.release(len(ids))

    def _drop(self, queue: LaneQueue, group: Collection[InFlight]) -> None:
        """Nothing is stored about these: they come back through a claim."""
        self._lease.drop(in_flight.message for in_flight in group)
        queue.release(len(group))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            # Its messages were given back.
            log.error("batch_failed", error=type(fault).__name__, exc_info=fault)


def _forget(silent: dict[MessageId, InFlight], settlements: Sequence[Settlement]) -> None:
    for one in settlements:
        silent.pop(one.message.id, None)
