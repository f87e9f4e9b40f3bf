"""What is left of events to topics, planned a page at a time by whichever worker claims it."""

from __future__ import annotations

import structlog

from clarion.errors import Unavailable
from clarion.flow.lease import GivenUp, WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.plan.planner import Planner
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Lane
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

SWEEP_S = 0.1
PAGES = 4
"""Pages claimed at once, each of another tenant."""


class ContinuationClaimer:
    """Claims what is due of a lane, and plans it. One sweeps a lane in a process: what a worker holds itself is claimed again."""

    def __init__(
        self, ledger: Ledger, lease: WorkerLease, planner: Planner, priority: PriorityGate, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._planner = planner
        self._priority = priority
        self._clock = clock

    async def run(self, lane: Lane) -> None:
        """Sweep a lane until cancelled."""
        while True:
            try:
                busy = await self.sweep(lane)
            except (Unavailable, GivenUp):
                busy = False
                log.warning("continuations_wait", lane=lane)
            if busy:
                await self._priority.turn(lane)
            else:
                await self._clock.sleep(SWEEP_S)

    async def sweep(self, lane: Lane) -> bool:
        """Plan a page of what has waited longest of each tenant; whether there was anything."""
        worker = await self._lease.lasting()
        claimed = await self._ledger.continuations.claim(worker, lane, PAGES, self._clock.now())
        for left in claimed:
            await self._planner.plan_page(left)
        return bool(claimed)
