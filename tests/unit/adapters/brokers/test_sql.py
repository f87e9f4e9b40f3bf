"""The embedded broker hands over what is durable, in order, once, and again after a consumer gave up."""

import asyncio
from contextlib import aclosing

import pytest

from clarion.adapters.brokers import sql
from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.ledgers.migrate import migrate
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, TenantId, new_event_id
from clarion.testing.ports import ManualClock, SeededEntropy


@pytest.fixture
async def ledger(tmp_path):
    migrate(tmp_path / "clarion.db")
    entropy = SeededEntropy(3)
    one = SqliteLedger.open(
        tmp_path / "clarion.db", vault=LocalVault(b"k" * 32, entropy), clock=ManualClock(), entropy=entropy
    )
    yield one
    await one.close()


def entries(count, lane=Lane.NORMAL, start=0):
    entropy = SeededEntropy(start + 1)
    return [
        Entry(
            event_id=new_event_id(ManualClock().now(), entropy.bytes(10)),
            tenant=TenantId(1),
            lane=lane,
            workflow=f"w{start + n}",
            sealed=b"sealed",
            sealed_for=NO_USER,
        )
        for n in range(count)
    ]


async def publish(broker, some):
    await broker.publish(some, [None] * len(some))


async def take(broker, lane, count, limit=100):
    """The workflows of the next `count` entries and the batches they came in."""
    names: list[str] = []
    batches = []
    async with aclosing(broker.consume(lane, limit)) as consuming:
        while len(names) < count:
            batch = await asyncio.wait_for(anext(consuming), 5)
            batches.append(batch)
            names += [entry.workflow for entry in batch.entries]
    return names, batches


async def test_entries_arrive_in_order_and_only_in_their_lane(ledger):
    """What was published first is planned first; lanes do not mix."""
    broker = SqlBroker(ledger.log)
    await publish(broker, entries(3) + entries(2, Lane.BULK, 10))
    names, _ = await take(broker, Lane.NORMAL, 3)
    assert names == ["w0", "w1", "w2"]
    assert (await take(broker, Lane.BULK, 2))[0] == ["w10", "w11"]
    assert await broker.depth(Lane.NORMAL) == 3


async def test_a_waiting_consumer_wakes_for_a_new_entry(ledger):
    """No polling: the entry that arrives is handed over at once."""
    broker = SqlBroker(ledger.log)
    waiting = asyncio.create_task(take(broker, Lane.CRITICAL, 1))
    await asyncio.sleep(0.01)
    await publish(broker, entries(1, Lane.CRITICAL))
    assert (await waiting)[0] == ["w0"]


async def test_what_does_not_fit_in_memory_is_read_from_the_log(ledger, monkeypatch):
    """A long queue costs no memory and loses nothing."""
    monkeypatch.setattr(sql, "TAIL_BYTES", 5_000)
    broker = SqlBroker(ledger.log)
    for start in range(0, 40, 8):
        await publish(broker, entries(8, start=start))
    names, _ = await take(broker, Lane.NORMAL, 40, limit=7)
    assert names == [f"w{n}" for n in range(40)]


async def test_a_consumer_that_gave_up_is_followed_by_one_that_starts_behind_the_last_acknowledged(ledger):
    """Taken but not acknowledged is not done: the next consumer gets it again, in this life and the next."""
    broker = SqlBroker(ledger.log)
    await publish(broker, entries(6))
    _, batches = await take(broker, Lane.NORMAL, 4, limit=2)
    await broker.ack(batches[0])
    assert (await take(broker, Lane.NORMAL, 4))[0] == ["w2", "w3", "w4", "w5"]
    later = SqlBroker(ledger.log)
    assert (await take(later, Lane.NORMAL, 4))[0] == ["w2", "w3", "w4", "w5"]
    assert await later.depth(Lane.NORMAL) == 4


async def test_entries_stored_by_somebody_else_are_offered_without_a_gap(ledger):
    """A fan-out's continuation is appended with its plan; the consumer sees it in its place."""
    broker = SqlBroker(ledger.log)
    await publish(broker, entries(2))
    stored, _ = await ledger.log.append(entries(2, start=2), [None, None])
    await publish(broker, entries(2, start=4))
    broker.offer(stored)
    assert (await take(broker, Lane.NORMAL, 6))[0] == [f"w{n}" for n in range(6)]


async def test_a_closed_broker_ends_its_consumers(ledger):
    """Draining: nobody waits for entries that will not come."""
    broker = SqlBroker(ledger.log)
    consuming = asyncio.create_task(take(broker, Lane.NORMAL, 1))
    await asyncio.sleep(0.01)
    await broker.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(consuming, 2)
