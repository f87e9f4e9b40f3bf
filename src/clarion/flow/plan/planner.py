"""Stage 2, plan: events become runs and messages, in one transaction per batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import aclosing, suppress
from functools import partial

import msgspec
import structlog
from msgspec import DecodeError

from clarion.errors import SealBroken, Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.coverage import Coverage
from clarion.flow.groups import Groups, for_member
from clarion.flow.lanes import InFlight, Queues, StoredDelivery
from clarion.flow.lease import GivenUp, WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import UNMATCHED, last_known, setup_of
from clarion.flow.plan.batch import PlanBatch, PlanSetup
from clarion.flow.plan.digests import item_of
from clarion.flow.plan.leftovers import Leftovers
from clarion.flow.plan.signals import SignalFinder
from clarion.flow.priority import PriorityGate
from clarion.flow.run_states import row_after
from clarion.flow.sealing import opened
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import Lane
from clarion.model.event import Continuation, Entry, Event, EventKey
from clarion.model.ids import NO_USER, Instant, MessageId, TenantId, UserNo
from clarion.model.plan import PlanResult
from clarion.model.run import RunRow
from clarion.model.setup import Category, Tenant, Workflow
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.broker import Batch, Broker, LogBroker
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.exact import delivered
from clarion.rules.plan import Waited, plan_run
from clarion.rules.programs import compiled

log = structlog.get_logger(__name__)

FANOUT_PAGE = 500
"""Members of a group planned at once; the rest is a `Continuation`."""
UNKNOWN_MS = 1_000
"""How long an event waits for the members of a segment that all users are gone through for."""
CHUNK = {Lane.CRITICAL: 64, Lane.HIGH: 64, Lane.NORMAL: 48, Lane.BULK: 32}
"""Runs planned between two looks at more urgent work."""
BATCH = {Lane.CRITICAL: 512, Lane.HIGH: 512, Lane.NORMAL: 512, Lane.BULK: 128}
"""Entries planned and stored in one go; what is urgent waits for a commit of the lanes below it. Smaller ones cost the
engine less and the disk more."""
UNDER_WAY = 3
"""Batches of a lane that are being planned and stored at a time. Their order is that of their commits, and the store
decides about caps and duplicates while it commits: what is planned early decides no earlier."""
TAKE_S = 1.0
"""Between two tries to be the one who plans a lane."""
SMALL = 100
"""Entries; storing a batch of fewer costs more for itself than for what is in it, so it is stored before the next
is taken: what comes meanwhile goes together. A lane at rest never waits."""


class Planner:
    """Plans the batches of every lane; messages that are due go straight to the dispatcher's queues."""

    def __init__(
        self,
        ledger: Ledger,
        lease: WorkerLease,
        broker: Broker,
        queues: Queues,
        groups: Groups,
        coverage: Coverage,
        delivery: StoredDelivery,
        guard: CancellationGuard,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._groups = groups
        self._coverage = coverage
        self._delivery = delivery
        self._guard = guard
        self._broker = broker
        self._in_ledger = isinstance(broker, LogBroker)
        """Entries lie in the ledger's log: one process plans a lane, and the store notes what its plans consume."""
        self._queues = queues
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self._leftovers = Leftovers(ledger.set_aside, clock)
        self._signals = SignalFinder(vault)
        self._closing = asyncio.Event()
        self.planned = 0
        self.unplannable = 0
        """Entries whose workflow or only recipient was deleted before they were planned."""

    @property
    def given_up(self) -> int:
        """Entries that were set aside by this process."""
        return self._leftovers.given_up

    async def run(self, lane: Lane) -> None:
        """Plan a lane until `close`; when it lies in the ledger, while no other process does."""
        while not self._closing.is_set():
            worker = await self._lease.lasting()
            try:
                if self._in_ledger and not await self._ledger.log.take(lane, worker):
                    await self._pause()
                elif not await self._consumed(lane):
                    log.warning("plan_refused", lane=lane)
            except Unavailable:
                log.warning("planning_waits", lane=lane)
                await self._pause()

    def close(self) -> None:
        """The broker closes: plan what was taken, and nothing more."""
        self._closing.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with self._clock.timeout(TAKE_S):
                await self._closing.wait()

    async def _consumed(self, lane: Lane) -> bool:
        """Plan until the broker closes; False when something was refused, and nothing is under way any more.

        While some batches are being stored, the next is planned.
        """
        under_way: deque[asyncio.Future[bool]] = deque()
        going = True
        async with aclosing(self._broker.consume(lane, BATCH[lane])) as batches:
            async for batch in batches:
                draft = await self._draft(batch.lane, batch.entries)
                before = under_way[-1] if under_way else None
                under_way.append(asyncio.ensure_future(self._store(batch, draft, before)))
                most = UNDER_WAY if len(batch.entries) >= SMALL else 1
                while going and len(under_way) >= most:
                    going = await under_way.popleft()
                if not going:
                    break
        for storing in under_way:
            going &= await storing
        return going

    async def _draft(self, lane: Lane, entries: Sequence[Entry]) -> PlanBatch:
        """The plan of all entries, but for `leftovers`: an entry that fails must not hold back those beside it."""
        draft = PlanBatch(await self._lease.lasting())
        try:
            await self._ledger.setup.catch_up(max(entry.setup_revision for entry in entries))
            users = await self._people(entries)
        except Unavailable:
            raise
        except Exception as fault:
            log.exception("plan_failed", lane=lane, error=type(fault).__name__)
            draft.leftovers += entries
            return draft
        now = self._clock.now()
        for entry in first_of_each(entries):
            try:
                await self._plan_entry(draft, entry, users, now)
            except Unavailable:
                raise
            except Exception as fault:
                log.exception("plan_failed", workflow=entry.workflow, error=type(fault).__name__)
                draft.leftovers.append(entry)
        await self._tell_listeners(draft)
        if draft.in_flight:
            await self._deliver(lane, draft)
        return draft

    async def _tell_listeners(self, draft: PlanBatch) -> None:
        """Those of its events that runs may listen for are stored as signals, also for the users they are about."""
        for tenant in {event.tenant for event in draft.awaited}:
            its = [event for event in draft.awaited if event.tenant == tenant]
            index = self._signals.index(tenant, self._ledger.setup.workflows.all(tenant))
            about = await self._ledger.users.find(tenant, list({e.subject for e in its if e.subject}))
            for event in its:
                user = about.get(event.subject)
                draft.signals += self._signals.signals(index, event, NO_USER if user is None else user.no)

    async def _deliver(self, lane: Lane, draft: PlanBatch) -> None:
        """What is delivered by being stored. Where that fails, all of it goes the way of the others."""
        try:
            draft.settled = await self._delivery.settle(lane, draft.in_flight)
        except Exception as fault:
            log.exception("not_delivered_with_plan", lane=lane, error=type(fault).__name__)

    async def _plan_entry(
        self, draft: PlanBatch, entry: Entry, users: Mapping[UserNo, User], now: Instant
    ) -> None:
        """Everything an entry asks for; whoever it names is in the draft when this returns."""
        awaited = self._signals.index(entry.tenant, self._ledger.setup.workflows.all(entry.tenant))
        matched = entry.workflow != UNMATCHED.key
        event = opened(entry, users, self._vault) if matched or awaited.all else None
        if event is not None and event.type and awaited.of(event.type):
            draft.awaited.append(event)
        if not matched:
            draft.nobody(entry, UNMATCHED, now)
            return
        setup = draft.setups.get((entry.tenant, entry.workflow))
        if setup is None:
            setup = await self.setup_of_entry(draft, entry)
        workflow = setup.workflow if setup is not None else await self._last_known(entry)
        if event is None or setup is None:
            self.unplannable += 1
        if event is None:
            draft.end(entry, entry.sealed_for, workflow, Status.SUPPRESSED, Reason.USER_DELETED, now)
            return
        if event.campaign:
            draft.planned.add(entry.seq)
            return
        spread = bool(event.topics or event.segments)
        members = await self._members(event, entry, draft, now) if spread else {}
        draft.again |= spread
        waits, members = members is None, members or {}
        targets = event.users if not spread else tuple(dict.fromkeys((*event.users, *members)))
        if not targets and event.after == NO_USER and not waits:
            draft.nobody(entry, workflow, now)
        duties = await self._groups.on_duty(event.tenant, event.topics) if spread else {}
        people = ((no, users.get(no) or members.get(no), for_member(event, no, duties)) for no in targets)
        await self.plan_people(draft, entry, setup, workflow, people, now)

    async def plan_people(
        self,
        draft: PlanBatch,
        entry: Entry,
        setup: PlanSetup | None,
        workflow: Workflow,
        people: Iterable[tuple[UserNo, User | None, Event]],
        now: Instant,
    ) -> None:
        """Everybody of an entry, each with the event as it is for them; None: the person, or the set-up, is gone."""
        chunk = CHUNK[entry.lane]
        for no, user, event in people:
            if user is None:
                draft.end(entry, no, workflow, Status.SUPPRESSED, Reason.USER_DELETED, now)
            elif setup is None:
                draft.end(entry, no, workflow, Status.CANCELED, Reason.WORKFLOW_DELETED, now)
            else:
                try:
                    self.plan_one(draft, event, setup, user, now)
                except Exception as fault:
                    # One recipient's broken set-up must not hold back everybody behind them.
                    log.exception("plan_failed", workflow=event.workflow, error=type(fault).__name__)
                    why = (Status.FAILED, Reason.INTERNAL_ERROR)
                    draft.end(entry, no, workflow, *why, now, steps=None)
            if len(draft.runs) % chunk == 0:
                await self._priority.turn(entry.lane)

    async def setup_of_entry(self, draft: PlanBatch, entry: Entry) -> PlanSetup | None:
        """What the entry is planned by, looked up once for all of a batch; None when its workflow is gone."""
        view = self._ledger.setup
        found = setup_of(view, entry.tenant, entry.workflow)
        if found is None:
            # Another process may have made it, so that it is gone only when the store says so.
            await view.catch_up()
            found = setup_of(view, entry.tenant, entry.workflow)
        if found is None:
            return None
        draft.setups[entry.tenant, entry.workflow] = setup = self._planned_by(*found)
        return setup

    async def setup_of_run(self, draft: PlanBatch, row: RunRow) -> PlanSetup | None:
        """What a run that waited goes on by: the version of the workflow that it started with, as long as the workflow is
        there at all."""
        key = (row.tenant, row.workflow, row.version)
        if key not in draft.older:
            draft.older[key] = await self._setup_of_version(*key)
        return draft.older[key]

    async def _setup_of_version(self, tenant_id: TenantId, key: str, version: int) -> PlanSetup | None:
        view = self._ledger.setup
        if setup_of(view, tenant_id, key) is None:
            await view.catch_up()
        found, workflow = (
            setup_of(view, tenant_id, key),
            await view.workflows.version(tenant_id, key, version),
        )
        if found is None or workflow is None:
            return None
        category = view.categories.all(tenant_id).get(workflow.category) or Category(key=workflow.category)
        return self._planned_by(found[0], workflow, category)

    def _planned_by(self, tenant: Tenant, workflow: Workflow, category: Category) -> PlanSetup:
        return PlanSetup(
            tenant,
            workflow,
            category,
            self._ledger.setup.templates.all(tenant.id),
            self._coverage.served(tenant.id),
            compiled(workflow),
        )

    async def _last_known(self, entry: Entry) -> Workflow:
        return await last_known(self._ledger.setup, entry.tenant, entry.workflow)

    def plan_one(
        self,
        draft: PlanBatch,
        event: Event,
        setup: PlanSetup,
        user: User,
        now: Instant,
        waited: Waited | None = None,
    ) -> None:
        """Everything about one recipient, until the run waits or is over. `waited`: it goes on from there."""
        planned = plan_run(
            event=event,
            workflow=setup.workflow,
            category=setup.category,
            tenant=setup.tenant,
            user=user,
            now=now,
            hash=self._vault.hash,
            held=True,
            templates=setup.templates,
            served=setup.served,
            program=setup.program,
            waited=waited,
        )
        row = row_after(planned, event, user, waited, self._vault, now)
        draft.add(planned)
        if row is not None:
            draft.run_rows.append(row)
        if (item := item_of(planned, event, user, self._vault, now)) is not None:
            draft.items.append(item)
        for message, decision in zip(planned.messages, planned.decisions, strict=True):
            if message.status is not Status.QUEUED:
                draft.messages.append(message)
            elif self._queues.of(message.lane, message.channel).reserve(message.tenant):
                draft.messages.append(message)
                draft.in_flight.append(InFlight(message, event, user, decision, draft.worker, now))
            else:
                draft.messages.append(msgspec.structs.replace(message, fence=0, due_at=now))

    async def _store(self, batch: Batch, draft: PlanBatch, before: asyncio.Future[bool] | None) -> bool:
        """False when it was refused, or what came before it: nothing is acknowledged then."""
        if not self._in_ledger and before is not None and not await before:
            return False  # Where partitions stand with this plan depends on the one before.
        try:
            await self._stored(batch, draft)
        except GivenUp:
            return False
        if before is not None and not await before:
            return False
        await self._acknowledge(batch)
        return True

    async def _stored(self, batch: Batch, draft: PlanBatch) -> None:
        """All of it, whatever is wrong with some."""
        leftovers: Sequence[Entry] = draft.leftovers
        left = {entry.seq for entry in leftovers}
        draft.consume([entry for entry in batch.entries if entry.seq not in left], in_ledger=self._in_ledger)
        if not leftovers:
            draft.positions = self._broker.positions(batch)
        try:
            await self._commit(batch.lane, draft)
        except GivenUp:
            raise
        except Exception as fault:
            # Something in it cannot be stored: whatever else is in it can.
            log.exception("plan_not_stored", lane=batch.lane, error=type(fault).__name__)
            leftovers = batch.entries
        if leftovers:
            await self._leftovers.plan(leftovers, self._plan_alone, in_ledger=self._in_ledger)
            draft = PlanBatch(await self._lease.lasting())
            draft.positions = self._broker.positions(batch)
            await self._commit(batch.lane, draft)

    async def _plan_alone(self, entry: Entry) -> None:
        draft = PlanBatch(await self._lease.lasting())
        await self._plan_entry(draft, entry, await self._people([entry]), self._clock.now())
        await self._tell_listeners(draft)
        draft.consume([entry], in_ledger=self._in_ledger)
        await self._commit(entry.lane, draft)

    async def plan_page(self, left: Continuation) -> None:
        """The next page of a claimed continuation. What cannot be planned is set aside. Raises Unavailable and GivenUp."""
        key = (left.event_id, left.workflow)
        entry = (await self._ledger.events.bodies([key])).get(key)
        if entry is not None:
            alone = partial(self._plan_rest, left)
            try:
                await alone(entry)
                return
            except (Unavailable, GivenUp):
                raise
            except Exception as fault:
                log.exception("plan_failed", workflow=left.workflow, error=type(fault).__name__)
            await self._leftovers.plan([entry], alone, in_ledger=False)
        draft = PlanBatch(await self._lease.lasting())
        draft.continued = left
        with suppress(GivenUp):  # It was planned in the end.
            await self._commit(left.lane, draft)

    async def _plan_rest(self, left: Continuation, entry: Entry) -> None:
        draft = PlanBatch(await self._lease.lasting())
        draft.continued = left
        await self._ledger.setup.catch_up(left.setup_revision)
        event = opened(entry, {}, self._vault)
        if event is not None:
            groups = event.groups[event.groups.index(left.group) :]
            event = msgspec.structs.replace(
                event,
                users=(),
                topics=tuple(group.topic for group in groups if group.topic),
                segments=tuple(group.segment for group in groups if group.segment),
                after=left.after,
            )
        rest = msgspec.structs.replace(entry, event=event, setup_revision=left.setup_revision)
        await self._plan_entry(draft, rest, {}, self._clock.now())
        await self._commit(left.lane, draft)

    async def store_claimed(self, lane: Lane, draft: PlanBatch) -> None:
        """The plan of runs or members that were claimed. Raises Unavailable and GivenUp."""
        if draft.in_flight:
            await self._deliver(lane, draft)
        stops = [message for row in draft.run_rows for message in row.stops]
        begun = self._guard.stop(stops)
        if begun:
            draft.run_rows = [
                msgspec.structs.replace(row, stops=tuple(one for one in row.stops if one not in begun))
                for row in draft.run_rows
            ]
        try:
            await self._commit(lane, draft)
        except BaseException:
            self._guard.undo(stops)
            raise

    async def _commit(self, lane: Lane, draft: PlanBatch) -> None:
        urgent = len(draft.in_flight)
        self._priority.begin(lane, urgent)
        in_flight = self._lease.hold(one.message.id for one in draft.in_flight)
        try:
            result = PlanResult()
            if (
                draft.runs
                or draft.run_rows
                or draft.continuations
                or draft.consumed
                or draft.continued
                or draft.page
                or draft.range_page
                or draft.positions
            ):
                result = await self._committed(draft)
            if result.refused:
                self._lease.refused()
                raise GivenUp
            if result.repeated:
                # Somebody else planned it, or a commit of ours that seemed to fail: nobody knows of what that holds.
                self._lease.drop(one.message for one in draft.in_flight if one.message.id in in_flight)
                raise GivenUp
            delivered = self._delivered(draft, result)
            self._hand_over(draft, result, in_flight, delivered)
        except BaseException:
            self._lease.let_go(in_flight)
            for one in draft.in_flight:
                self._queues.of(one.message.lane, one.message.channel).give_back(one.message.tenant)
            raise
        finally:
            self._priority.end(lane, urgent)
        self.planned += len(draft.runs)

    async def _committed(self, draft: PlanBatch) -> PlanResult:
        """What is delivered goes along once. Where that cannot be stored, or not now, the plan is stored without, and
        its messages are sent later like all others."""
        if draft.settled:
            try:
                return await self._ledger.plans.commit(draft.commit())
            except Unavailable:
                log.warning("store_unavailable", waiting="plan")
            except Exception as fault:
                log.exception("delivery_not_stored", error=type(fault).__name__)
            draft.settled = []
        commit = draft.commit()
        return await retry_until_stored("plan", lambda: self._ledger.plans.commit(commit), self._clock)

    def _delivered(self, draft: PlanBatch, result: PlanResult) -> Set[MessageId]:
        """Those that are stored as delivered; whoever watches is told."""
        if not draft.settled:
            return frozenset()
        settlements = delivered(draft.settled, result)
        self._delivery.stored(settlements, result.inbox)
        return {one.message.id for one in settlements}

    async def _acknowledge(self, batch: Batch) -> None:
        try:
            await self._broker.ack(batch)
        except Unavailable:
            # The next acknowledgement covers this one; after a crash the batch is planned again, to no effect.
            log.warning("ack_failed", lane=batch.lane)

    def _hand_over(
        self, draft: PlanBatch, result: PlanResult, new: Set[MessageId], delivered: Set[MessageId]
    ) -> None:
        """`new`: what this process does not hold from an earlier plan. Nothing is left to do with what is `delivered`."""
        untouched = not result.changed and not result.known
        for in_flight in draft.in_flight:
            message = in_flight.message
            queue = self._queues.of(message.lane, message.channel)
            if message.id in delivered:
                queue.give_back(message.tenant)
                continue
            if untouched or (message.id not in result.changed and message.id not in result.known):
                queue.put(in_flight)
                continue
            queue.give_back(message.tenant)
            if message.id not in new:
                continue
            if message.id in result.known:
                # Perhaps by a commit of ours that seemed to fail: then nobody else would send what it holds.
                self._lease.drop([message])
            else:
                self._lease.let_go([message.id])
        self._lease.let_go(delivered)

    async def _people(self, entries: Sequence[Entry]) -> dict[UserNo, User]:
        wanted: dict[UserNo, None] = {}
        for entry in entries:
            if entry.event is not None:
                for no in entry.event.users:
                    wanted[no] = None
            elif entry.sealed_for != NO_USER:
                wanted[entry.sealed_for] = None
            else:
                with suppress(SealBroken, DecodeError):  # It is opened again when it is planned.
                    event = opened(entry, {}, self._vault)
                    for no in event.users if event is not None else ():
                        wanted[no] = None
        return dict(await self._ledger.users.get(list(wanted)))

    async def _members(
        self, event: Event, entry: Entry, draft: PlanBatch, now: Instant
    ) -> dict[UserNo, User] | None:
        """One page of the first group; what is left is due. None: its members are not known yet."""
        group, *others = event.groups
        page = await self._groups.page(event.tenant, group, event.after, FANOUT_PAGE)
        members = None if page is None else dict(await self._ledger.users.get(page))
        after, due_at = NO_USER, now
        if page is None:
            due_at = Instant(now + UNKNOWN_MS)
        elif len(page) == FANOUT_PAGE:
            after = page[-1]
        elif others:
            group = others[0]
        else:
            return members
        draft.continuations.append(
            Continuation(
                event_id=entry.event_id,
                workflow=entry.workflow,
                tenant=entry.tenant,
                lane=entry.lane,
                topic=group.topic,
                segment=group.segment,
                after=after,
                setup_revision=entry.setup_revision,
                due_at=due_at,
            )
        )
        return members


def first_of_each(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Without those that stand there again: who got no answer from a broker publishes once more what it may have."""
    found: dict[EventKey, Entry] = {}
    for entry in entries:
        found.setdefault(entry.key, entry)
    return found.values()
