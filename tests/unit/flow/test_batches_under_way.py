"""Batches of a lane that are under way together: the next is planned while those before it are being stored."""

import asyncio

import pytest

from clarion.adapters.brokers.sql import SqlBroker
from clarion.errors import Unavailable
from clarion.flow.cancellation_guard import CancellationGuard
from clarion.flow.coverage import Coverage
from clarion.flow.lanes import Queues
from clarion.flow.plan.planner import BATCH, UNDER_WAY, Planner
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Channel, Lane
from clarion.model.ids import EventId
from clarion.model.setup import Category
from clarion.model.status import Status
from clarion.model.user import FrequencyCap
from tests.stages import TENANT, NoDelivery, Stages

SIZE = 120
"""Entries of a batch in these tests."""


class SlowStore:
    """The plans of a ledger; each commit waits until the test lets it through, or fails as the test says."""

    def __init__(self, plans):
        self._plans = plans
        self.waiting: list[tuple[object, asyncio.Future]] = []
        """Commits that have come and not been answered, in their order."""

    def __getattr__(self, name):
        return getattr(self._plans, name)

    async def commit(self, plan):
        """Wait for the test, then store."""
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append((plan, turn))
        await turn
        return await self._plans.commit(plan)

    def let_through(self, index=0):
        """Store the commit at this place of those that wait."""
        self.waiting.pop(index)[1].set_result(None)

    def refuse(self, index=0):
        """The store cannot be reached just now: nothing of this commit is stored."""
        self.waiting.pop(index)[1].set_exception(Unavailable("not now"))


class House:
    """A planner over the log of its ledger, and a store that waits for the test."""

    def __init__(self, stages):
        self.stages = stages
        self.ledger = stages.ledger
        self.whole = stages.ledger.plans
        self.store = self.ledger.plans = SlowStore(self.whole)
        self.queues = Queues()
        self.broker = SqlBroker(self.ledger.log, stages.clock)
        self.planner = Planner(
            self.ledger,
            stages.lease,
            self.broker,
            self.queues,
            stages.groups,
            Coverage(self.ledger.setup),
            NoDelivery(),
            CancellationGuard(stages.clock),
            PriorityGate(stages.clock),
            stages.vault,
            stages.clock,
        )

    async def publish(self, batches):
        """So many full batches for one person; the ids of their events in order."""
        ada = await self.stages.put_user("ada")
        entries = [self.stages.entry(ada) for _ in range(batches * SIZE)]
        await self.broker.publish(entries)
        return [entry.event_id for entry in entries]

    def start(self):
        """Plan in the background."""
        self.planning = asyncio.ensure_future(self.planner.run(Lane.NORMAL))

    async def settled_down(self):
        """Let everything run that needs nothing of the store or the clock."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def end(self):
        """End the process at once, as a kill does."""
        self.planning.cancel()
        for _, turn in self.store.waiting:
            turn.cancel()
        await asyncio.wait([self.planning])
        await self.settled_down()

    async def stored(self) -> list[EventId]:
        """The events that have messages."""
        return [message.event_id for message in await self.stages.messages()]


@pytest.fixture
async def house(monkeypatch):
    """With one workflow and nobody planning yet."""
    monkeypatch.setitem(BATCH, Lane.NORMAL, SIZE)
    made = House(await Stages().open())
    yield made
    if not made.planning.done():
        await made.end()


async def test_the_next_batches_are_planned_while_one_is_being_stored(house):
    """And no more than a few, so that memory stays bounded while the store takes its time."""
    events = await house.publish(UNDER_WAY + 2)
    house.start()
    await house.settled_down()
    assert len(house.store.waiting) == UNDER_WAY
    planned = [run.event_id for plan, _ in house.store.waiting for run in plan.runs]
    assert planned == events[: UNDER_WAY * SIZE]
    assert await house.stored() == []
    house.store.let_through()
    await house.settled_down()
    assert len(house.store.waiting) == UNDER_WAY


async def test_messages_of_one_person_are_handed_over_in_the_order_of_their_events(house):
    """Also when many batches of theirs are under way."""
    events = await house.publish(UNDER_WAY + 1)
    house.start()
    await house.settled_down()
    while house.store.waiting:
        house.store.let_through()
        await house.settled_down()
    taken = house.queues.of(Lane.NORMAL, Channel.SMS).take(len(events))
    assert [one.message.event_id for one in taken] == events


async def test_a_cap_that_one_batch_uses_up_stops_the_batch_planned_beside_it(house):
    """What is planned before the other is stored is counted when it is stored."""
    await house.ledger.setup.categories.put(
        TENANT, Category(key="news", caps=(FrequencyCap(limit=SIZE, window_s=3_600),))
    )
    await house.publish(2)
    house.start()
    await house.settled_down()
    assert len(house.store.waiting) == 2
    house.store.let_through()
    house.store.let_through()
    await house.settled_down()
    statuses = [message.status for message in await house.stages.messages()]
    assert (statuses.count(Status.QUEUED), statuses.count(Status.THROTTLED)) == (SIZE, SIZE)


async def test_a_kill_between_two_commits_loses_and_repeats_nothing(house):
    """The first batch is stored, the second was under way: whoever works next plans the second, and only that."""
    events = await house.publish(2)
    house.start()
    await house.settled_down()
    house.store.let_through()
    await house.settled_down()
    await house.end()
    assert sorted(await house.stored()) == sorted(events[:SIZE])
    assert await house.ledger.log.position(Lane.NORMAL) == SIZE
    await _plan_the_rest(house)
    assert sorted(await house.stored()) == sorted(events)


async def test_the_cursor_does_not_pass_a_batch_that_failed(house):
    """A later one that is stored already stays stored; the failed one is planned after a kill, the later one not again."""
    events = await house.publish(2)
    house.start()
    await house.settled_down()
    house.store.refuse(0)
    house.store.let_through(0)
    await house.settled_down()
    assert await house.ledger.log.position(Lane.NORMAL) == 0
    assert sorted(await house.stored()) == sorted(events[SIZE:])
    await house.end()
    await _plan_the_rest(house)
    assert await house.ledger.log.position(Lane.NORMAL) == 2 * SIZE
    assert sorted(await house.stored()) == sorted(events)


async def test_what_the_store_refuses_ends_the_batches_behind_it_too(house):
    """A worker that was given up stores none of the batches it had under way, and gives their slots back."""
    await house.publish(3)
    house.start()
    await house.settled_down()
    house.stages.clock.advance(3_600)
    await house.ledger.leases.reap(house.stages.clock.now())
    while house.store.waiting:
        house.store.let_through()
    await house.settled_down()
    assert await house.stored() == []
    assert await house.ledger.log.position(Lane.NORMAL) == 0
    assert house.queues.of(Lane.NORMAL, Channel.SMS).in_flight == 0


async def _plan_the_rest(house):
    """Another process takes over: nothing is in memory, and its store answers."""
    await house.stages.lease.open()
    await house.ledger.leases.reap(house.stages.clock.now())
    house.ledger.plans = house.whole
    successor = House(house.stages)
    successor.ledger.plans = house.whole
    await house.stages.wait(20)
    successor.start()
    for _ in range(50):
        await successor.settled_down()
        if (await successor.broker.backlog(Lane.NORMAL)).entries == 0:
            break
    await successor.end()
