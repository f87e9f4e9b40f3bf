"""Runs that wait: woken when they are due and planned up to their next wait, by whichever worker claims them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import structlog
from msgspec import DecodeError

from clarion.errors import Busy, SealBroken, Unavailable
from clarion.flow.lease import GivenUp, WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import reason_of
from clarion.flow.plan.batch import PlanBatch, PlanSetup
from clarion.flow.plan.digests import digest_step, event_of, parts
from clarion.flow.plan.low_watermark import LowWatermark
from clarion.flow.plan.planner import CHUNK, Planner
from clarion.flow.priority import PriorityGate
from clarion.flow.run_states import opened_answers, opened_state
from clarion.flow.sealing import opened, sealed_entry
from clarion.flow.sweeping import sweep_forever
from clarion.model.channel import Lane
from clarion.model.digest import DigestRow, DigestTold, StoredItem
from clarion.model.event import Entry, Event
from clarion.model.ids import NO_USER, EventId, Instant, RunId, UserNo, WorkerId
from clarion.model.run import CallResult, RunRow, RunState, RunStatus, StepAnswer, StepCall, Wake
from clarion.model.setup import Step
from clarion.model.status import Reason
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.plan import Waited
from clarion.rules.steps.call import CallStep
from clarion.rules.steps.digest import Timing, moved_end, moves
from clarion.rules.steps.kinds import KINDS

log = structlog.get_logger(__name__)

CLAIM = 256
"""Runs planned in one go."""
CALLS = 64
"""Calls of steps under way at once, but for those to services of others."""
HELD_CALLS = 1_024
"""Runs that a process keeps for the sake of such calls."""


class StepCalls(Protocol):
    """Does what steps have done outside of the plan."""

    def known(self, call: StepCall, event: Event) -> CallResult | None:
        """What can be said of a call without making it; None: it is to be made now."""

    async def perform(self, call: StepCall, event: Event, user: User) -> CallResult:
        """What came of it. Doing it again is harmless. Raises Busy or Unavailable when it is to be done again."""


class _Known(NamedTuple):
    """What is known of some claimed runs beside their rows."""

    digests: Mapping[RunId, DigestRow]
    """Those of which they tell."""
    results: Mapping[EventId, CallResult]
    """What came of calls that they wait for, by the ids of these."""


class _Woken(NamedTuple):
    """A run that can go on."""

    row: RunRow
    state: RunState
    event: Event
    user: User
    setup: PlanSetup
    digest: DigestTold | None
    """The digest that its event is, when that has just closed."""
    wakes: Sequence[tuple[Wake, Event | None]]
    answers: Mapping[str, StepAnswer]


def _listens(one: _Woken) -> bool:
    """It waits for an event."""
    place = one.setup.program.places.get(one.state.step)
    step = None if place is None else one.setup.program.instructions[place].step
    return step is not None and step.event is not None


class RunClaimer:
    """Claims runs of a lane that are due, and plans them. One sweeps a lane in a process: what a worker holds itself is
    claimed again."""

    def __init__(
        self,
        ledger: Ledger,
        lease: WorkerLease,
        planner: Planner,
        watermark: LowWatermark,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._planner = planner
        self._watermark = watermark
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self.calls: StepCalls | None = None
        """Set by whoever builds the services."""
        self._places = asyncio.Semaphore(CALLS)
        self._calling: dict[RunId, asyncio.Task[None]] = {}
        self._outside: set[RunId] = set()
        """Those among them that call a service of somebody else. However slow it is, others go on."""
        self.woken = 0

    async def run(self, lane: Lane) -> None:
        """Sweep a lane until cancelled; without pause while there is more than one claim takes."""
        try:
            await sweep_forever(lane, self.sweep, "runs_wait", self._priority, self._clock)
        finally:
            for calling in list(self._calling.values()):
                calling.cancel()  # Somebody else makes these calls again, under the same ids.

    async def sweep(self, lane: Lane) -> bool:
        """Plan what is due; whether there may be more."""
        worker = await self._lease.lasting()
        if len(self._calling) - len(self._outside) >= HELD_CALLS:
            return False
        besides = tuple(self._calling)
        claimed = await self._ledger.runs.claim(worker, lane, CLAIM, self._clock.now(), besides)
        if claimed:
            digests = await self._closed(worker, claimed)
            going = [row for row in claimed if row.id not in digests or digests[row.id].closed_at is not None]
            for part in parts(going, digests):
                await self._go_on(lane, part, _Known(digests, {}))
        self.woken += len(claimed)
        return len(claimed) == CLAIM

    async def _closed(self, worker: WorkerId, rows: Sequence[RunRow]) -> Mapping[RunId, DigestRow]:
        """The digests that some of these wait for. The runs of those that are still open wait again when this returns."""
        draft, now = PlanBatch(worker), self._clock.now()
        setups = {row.id: await self._planner.setup_of_run(draft, row) for row in rows}
        steps = {row.id: step for row in rows if (step := digest_step(setups[row.id], row)) is not None}
        if not steps:
            return {}
        collecting = [row for row in rows if row.id in steps]
        timed = [row for row in collecting if moves(steps[row.id])]
        moved = await self._moved(timed, setups, steps, now) if timed else {}
        found = await self._ledger.digests.close(worker, collecting, moved, now)
        return {row.run: row for row in found}

    async def _moved(
        self,
        rows: Sequence[RunRow],
        setups: Mapping[RunId, PlanSetup | None],
        steps: Mapping[RunId, Step],
        now: Instant,
    ) -> Mapping[EventId, Instant]:
        """Digests that close at another time than they said, because of what their users have chosen since."""
        users = await self._ledger.users.get([row.user for row in rows])
        runs = {row.event_id: row for row in rows}
        moved = {}
        for tenant in {row.tenant for row in rows}:
            ids = [row.event_id for row in rows if row.tenant == tenant]
            for digest in await self._ledger.digests.get(tenant, ids):
                row = runs[digest.id]
                setup, user = setups[row.id], users.get(row.user)
                if setup is None or user is None:
                    continue
                timing = Timing(setup.workflow, setup.category, setup.tenant, user)
                at = moved_end(steps[row.id], timing, digest)
                if at != digest.closes_at:
                    moved[digest.id] = max(at, now)
        return moved

    async def _go_on(self, lane: Lane, rows: Sequence[RunRow], known: _Known) -> None:
        """One that cannot be planned or stored has failed, and stops no other. Raises Unavailable and GivenUp."""
        try:
            await self._planner.store_claimed(lane, await self._draft(lane, rows, known))
            return
        except (Unavailable, GivenUp):
            raise
        except Exception as fault:
            log.exception("runs_not_stored", lane=lane, error=type(fault).__name__)
            failed = fault
        if len(rows) > 1:
            for row in rows:
                await self._go_on(lane, [row], known)
            return
        draft = PlanBatch(await self._lease.lasting())
        draft.end_run(rows[0], RunStatus.FAILED, reason_of(failed), self._clock.now())
        await self._planner.store_claimed(lane, draft)

    async def _draft(self, lane: Lane, rows: Sequence[RunRow], known: _Known) -> PlanBatch:
        draft, now = PlanBatch(await self._lease.lasting()), self._clock.now()
        woken, results = [], {**known.results}
        for one in await self._woken(draft, rows, known.digests, now):
            call = one.state.call
            if call is None or call.id in results:
                woken.append(one)
            elif one.row.id not in self._calling:
                assert self.calls is not None
                result = self.calls.known(call, one.event)
                if result is None:
                    self._begin(lane, one, call)
                else:
                    results[call.id] = result
                    woken.append(one)
        asked = [
            message
            for one in woken
            if one.setup.program.reads_steps
            for its in one.state.messages.values()
            for message in its
        ]
        messages = await self._ledger.receipts.messages(asked) if asked else {}
        planned_until = await self._watermark.reached() if any(map(_listens, woken)) else None
        for one in woken:
            if len(draft.runs) % CHUNK[lane] == 0:
                await self._priority.turn(lane)
            result = None if one.state.call is None else results[one.state.call.id]
            waited = Waited(
                one.row, one.state, messages, result, one.digest, one.wakes, planned_until, one.answers
            )
            try:
                self._planner.plan_one(draft, one.event, one.setup, one.user, now, waited)
            except Exception as fault:
                log.exception("run_failed", workflow=one.row.workflow, error=type(fault).__name__)
                draft.end_run(one.row, RunStatus.FAILED, reason_of(fault), now)
            else:
                if one.digest is not None:
                    draft.tell(one.row, one.digest, sealed_entry(one.event, one.user, self._vault, 0))
        return draft

    def _begin(self, lane: Lane, one: _Woken, call: StepCall) -> None:
        kind = KINDS[call.type]
        outside = isinstance(kind, CallStep) and kind.outside
        if outside:
            self._outside.add(one.row.id)
        places = contextlib.nullcontext() if outside else self._places
        self._calling[one.row.id] = asyncio.create_task(self._call(lane, one, call, places))

    async def _call(
        self, lane: Lane, one: _Woken, call: StepCall, places: AbstractAsyncContextManager[None]
    ) -> None:
        """Do what the step of a claimed run asks for, and let the run go on. What is not done is claimed again."""
        try:
            async with places:
                result = await self._performed(one, call)
            if result is not None:
                await self._go_on(lane, [one.row], _Known({}, {call.id: result}))
        except (Unavailable, GivenUp):
            log.warning("call_not_stored", workflow=one.row.workflow)
        finally:
            del self._calling[one.row.id]
            self._outside.discard(one.row.id)

    async def _performed(self, one: _Woken, call: StepCall) -> CallResult | None:
        """None: it is to be done again."""
        try:
            assert self.calls is not None
            return await self.calls.perform(call, one.event, one.user)
        except (Busy, Unavailable):
            return None
        except Exception as fault:
            log.exception("step_failed", workflow=one.row.workflow, error=type(fault).__name__)
            return CallResult(reason=reason_of(fault))

    async def _woken(
        self, draft: PlanBatch, rows: Sequence[RunRow], digests: Mapping[RunId, DigestRow], now: Instant
    ) -> list[_Woken]:
        """Those that can go on; the others end in the draft."""
        items = await self._items([row for row in rows if row.id in digests])
        wanted = {(row.event_id, row.workflow): None for row in rows if row.id not in digests}
        wanted |= {(wake.event_id, wake.workflow): None for row in rows for wake in row.wakes}
        bodies = await self._ledger.events.bodies([*wanted]) if wanted else {}
        sealed_for = {body.sealed_for for body in bodies.values()} - {NO_USER}
        users = await self._ledger.users.get([*sealed_for.union(row.user for row in rows)])
        woken = []
        for row in rows:
            user = users.get(row.user)
            setup = await self._planner.setup_of_run(draft, row)
            if user is None:
                draft.end_run(row, RunStatus.CANCELED, Reason.USER_DELETED, now)
            elif setup is None:
                draft.end_run(row, RunStatus.CANCELED, Reason.WORKFLOW_DELETED, now)
            else:
                digest = None
                try:
                    if row.id in digests:
                        step = digest_step(setup, row)
                        assert step is not None
                        held = items.get(row.event_id, ())
                        event, digest = event_of(digests[row.id], row, step, held, user, self._vault, now)
                    else:
                        found = opened(bodies[row.event_id, row.workflow], users, self._vault)
                        assert found is not None
                        event = found
                    state = opened_state(row, user, self._vault)
                    answers = opened_answers(row, user, self._vault)
                except Exception as fault:
                    log.exception("run_unreadable", workflow=row.workflow, error=type(fault).__name__)
                    draft.end_run(row, RunStatus.FAILED, Reason.UNREADABLE, now)
                else:
                    wakes = [
                        (wake, self._event_of(wake, bodies.get((wake.event_id, wake.workflow)), users))
                        for wake in row.wakes
                    ]
                    woken.append(_Woken(row, state, event, user, setup, digest, wakes, answers))
        return woken

    async def _items(self, rows: Sequence[RunRow]) -> Mapping[EventId, Sequence[StoredItem]]:
        """What the digests of these hold."""
        found: dict[EventId, list[StoredItem]] = {}
        for item in await self._ledger.digests.items([row.event_id for row in rows]) if rows else ():
            found.setdefault(item.digest, []).append(item)
        return found

    def _event_of(self, wake: Wake, body: Entry | None, users: Mapping[UserNo, User]) -> Event | None:
        """What has come; None: it cannot be read any more, and nothing has."""
        try:
            return None if body is None else opened(body, users, self._vault)
        except (SealBroken, DecodeError) as fault:
            log.warning("signal_unreadable", workflow=wake.workflow, error=type(fault).__name__)
            return None
