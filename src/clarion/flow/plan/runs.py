"""Runs that wait: woken when they are due and planned up to their next wait, by whichever worker claims them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog

from clarion.errors import Unavailable
from clarion.flow.lease import GivenUp, WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import reason_of
from clarion.flow.plan.batch import PlanBatch, PlanSetup
from clarion.flow.plan.planner import Planner
from clarion.flow.priority import PriorityGate
from clarion.flow.run_states import opened_state
from clarion.flow.sealing import opened
from clarion.flow.sweeping import sweep_forever
from clarion.model.channel import Lane
from clarion.model.event import Event
from clarion.model.ids import Instant
from clarion.model.run import RunRow, RunState, RunStatus
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.plan import Waited

log = structlog.get_logger(__name__)

CLAIM = 256
"""Runs planned in one go."""


class _Woken(NamedTuple):
    """A run that can go on."""

    row: RunRow
    state: RunState
    event: Event
    user: User
    setup: PlanSetup


class RunClaimer:
    """Claims runs of a lane that are due, and plans them. One sweeps a lane in a process: what a worker holds itself is
    claimed again."""

    def __init__(
        self,
        ledger: Ledger,
        lease: WorkerLease,
        planner: Planner,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._planner = planner
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self.woken = 0

    async def run(self, lane: Lane) -> None:
        """Sweep a lane until cancelled; without pause while there is more than one claim takes."""
        await sweep_forever(lane, self.sweep, "runs_wait", self._priority, self._clock)

    async def sweep(self, lane: Lane) -> bool:
        """Plan what is due; whether there may be more."""
        worker = await self._lease.lasting()
        claimed = await self._ledger.runs.claim(worker, lane, CLAIM, self._clock.now())
        if claimed:
            await self._go_on(lane, claimed)
        self.woken += len(claimed)
        return len(claimed) == CLAIM

    async def _go_on(self, lane: Lane, rows: Sequence[RunRow]) -> None:
        """One that cannot be planned or stored has failed, and stops no other. Raises Unavailable and GivenUp."""
        try:
            await self._planner.store_runs(lane, await self._draft(rows))
            return
        except (Unavailable, GivenUp):
            raise
        except Exception as fault:
            log.exception("runs_not_stored", lane=lane, error=type(fault).__name__)
            failed = fault
        if len(rows) > 1:
            for row in rows:
                await self._go_on(lane, [row])
            return
        draft = PlanBatch(await self._lease.lasting())
        draft.end_run(rows[0], RunStatus.FAILED, reason_of(failed), self._clock.now())
        await self._planner.store_runs(lane, draft)

    async def _draft(self, rows: Sequence[RunRow]) -> PlanBatch:
        draft, now = PlanBatch(await self._lease.lasting()), self._clock.now()
        woken = await self._woken(draft, rows, now)
        asked = [
            message
            for one in woken
            if one.setup.program.reads_steps
            for its in one.state.messages.values()
            for message in its
        ]
        messages = await self._ledger.receipts.messages(asked) if asked else {}
        for one in woken:
            waited = Waited(one.row, one.state, messages)
            try:
                self._planner.plan_one(draft, one.event, one.setup, one.user, now, waited)
            except Exception as fault:
                log.exception("run_failed", workflow=one.row.workflow, error=type(fault).__name__)
                draft.end_run(one.row, RunStatus.FAILED, reason_of(fault), now)
        return draft

    async def _woken(self, draft: PlanBatch, rows: Sequence[RunRow], now: Instant) -> list[_Woken]:
        """Those that can go on; the others end in the draft."""
        users = await self._ledger.users.get([row.user for row in rows])
        bodies = await self._ledger.events.bodies([*{(row.event_id, row.workflow): None for row in rows}])
        woken = []
        for row in rows:
            user = users.get(row.user)
            setup = await self._planner.setup_of_run(draft, row)
            if user is None:
                draft.end_run(row, RunStatus.CANCELED, Reason.USER_DELETED, now)
            elif setup is None:
                draft.end_run(row, RunStatus.CANCELED, Reason.WORKFLOW_DELETED, now)
            else:
                try:
                    event = opened(bodies[row.event_id, row.workflow], users, self._vault)
                    assert event is not None
                    state = opened_state(row, user, self._vault)
                except Exception as fault:
                    log.exception("run_unreadable", workflow=row.workflow, error=type(fault).__name__)
                    draft.end_run(row, RunStatus.FAILED, Reason.UNREADABLE, now)
                else:
                    woken.append(_Woken(row, state, event, user, setup))
        return woken
