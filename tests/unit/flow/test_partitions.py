"""A broker with partitions: where they stand moves with the plan, and only its owner moves it."""

import asyncio

import pytest
from msgspec.structs import replace

from clarion.errors import Unavailable
from clarion.flow.plan.leftovers import PAUSES_S
from clarion.flow.plan.planner import BATCH
from clarion.model.channel import Channel, Lane
from clarion.model.event import Position
from clarion.model.plan import PlanCommit
from clarion.model.status import Status
from tests.stages import Stages

NAME = "events.normal/0"


class Partitioned(Stages):
    """A broker with one partition, which is this process's; it stands behind what is acknowledged and the batch."""

    async def take(self, monkeypatch):
        """Begin to own the partition."""
        (owned,) = await self.ledger.partitions.take([NAME])
        acknowledge, done = self.broker.ack, []

        async def ack(batch):
            done.extend(batch.entries)
            await acknowledge(batch)

        def positions(batch):
            return (Position(NAME, len(done) + len(batch.entries), owned.epoch),)

        monkeypatch.setattr(self.broker, "ack", ack)
        monkeypatch.setattr(self.broker, "positions", positions)
        return self


@pytest.fixture
async def stages(monkeypatch):
    """With one workflow."""
    made = Partitioned()
    await made.open()
    return await made.take(monkeypatch)


async def offset(stages):
    """Up to where the ledger says that all is planned."""
    (found,) = await stages.ledger.partitions.offsets([NAME])
    return found


async def test_a_partition_moves_with_each_plan(stages, monkeypatch):
    """Batch by batch, in order, also when the next is planned while one is being stored."""
    monkeypatch.setitem(BATCH, Lane.NORMAL, 100)
    ada = await stages.put_user("ada")
    moved: list[int] = []
    commit = stages.ledger.plans.commit

    async def noted(plan):
        moved.extend(position.offset for position in plan.positions)
        for _ in range(20):
            await asyncio.sleep(0)
        return await commit(plan)

    monkeypatch.setattr(stages.ledger.plans, "commit", noted)
    await stages.plan(*(stages.entry(ada) for _ in range(300)))
    assert moved == [100, 200, 300]
    assert await offset(stages) == 300


async def test_whoever_lost_a_partition_stores_nothing(stages):
    """Its entries stay with the broker, and no message of it is handed over."""
    entry = stages.entry(await stages.put_user("ada"))
    await stages.ledger.partitions.take([NAME])
    await stages.plan(entry)
    assert await stages.messages() == []
    assert await offset(stages) == 0
    assert (await stages.broker.backlog(Lane.NORMAL)).entries == 1
    assert stages.queues.of(Lane.NORMAL, Channel.SMS).waiting == 0


async def test_a_partition_passes_a_broken_entry_when_that_is_set_aside(stages, monkeypatch):
    """Not with the plan of those beside it: a crash in between would lose it."""
    ada = await stages.put_user("ada")
    broken = replace(stages.entry(ada), event=None, sealed=b"\x00")
    at = []
    keep = stages.ledger.set_aside.keep

    async def kept(*args):
        at.append(await offset(stages))
        await keep(*args)

    monkeypatch.setattr(stages.ledger.set_aside, "keep", kept)
    await stages.broker.publish([broken, stages.entry(ada)])
    planning = asyncio.ensure_future(stages.planner.run(Lane.NORMAL))
    for _ in range(500):
        await asyncio.sleep(0)
        stages.clock.advance(max(PAUSES_S) / 10)
    planning.cancel()
    await asyncio.wait([planning])
    assert at == [0]
    assert await offset(stages) == 2
    assert await stages.ledger.set_aside.waiting() == 1


async def test_a_plan_whose_answer_was_lost_is_stored_once_and_sent(stages, monkeypatch):
    """What the lost one holds is in nobody's memory, so it is given back for whoever claims it."""
    entry = stages.entry(await stages.put_user("ada"))
    commit = stages.ledger.plans.commit
    lost: list[PlanCommit] = []

    async def once(plan):
        result = await commit(plan)
        if not lost:
            lost.append(plan)
            raise Unavailable("the answer was lost")
        return result

    monkeypatch.setattr(stages.ledger.plans, "commit", once)
    await stages.broker.publish([entry])
    planning = asyncio.ensure_future(stages.planner.run(Lane.NORMAL))
    for _ in range(200):
        await asyncio.sleep(0)
        stages.clock.advance(0.1)
    planning.cancel()
    await asyncio.wait([planning])
    await stages.wait(0)
    (message,) = await stages.messages()
    assert (message.status, message.due_at) == (Status.QUEUED, stages.clock.now())
    claimed = await stages.ledger.messages.claim(
        stages.lease.worker, Lane.NORMAL, Channel.SMS, 10, stages.clock.now()
    )
    assert [one.id for one in claimed] == [message.id]
