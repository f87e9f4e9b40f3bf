"""What is left of events to topics, planned a page at a time by whichever worker claims it."""

from __future__ import annotations

from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.plan.planner import Planner
from clarion.flow.priority import PriorityGate
from clarion.flow.sweeping import sweep_forever
from clarion.model.channel import Lane
from clarion.ports.clock import Clock

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
        await sweep_forever(lane, self.sweep, "continuations_wait", self._priority, self._clock)

    async def sweep(self, lane: Lane) -> bool:
        """Plan a page of what has waited longest of each tenant; whether there was anything."""
        worker = await self._lease.lasting()
        claimed = await self._ledger.continuations.claim(worker, lane, PAGES, self._clock.now())
        for left in claimed:
            await self._planner.plan_page(left)
        return bool(claimed)
