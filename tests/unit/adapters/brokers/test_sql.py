"""What the embedded broker does beyond the contract: how much of a lane is in memory."""

import asyncio
from contextlib import aclosing

import pytest

from clarion.adapters.brokers import sql
from clarion.adapters.brokers.sql import SqlBroker
from clarion.adapters.ledgers.sqlite import SqliteLedger
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, TenantId, new_event_id
from clarion.testing.ports import ManualClock, SeededRandom
from tests.ledger_files import new_ledger


@pytest.fixture
async def ledger(tmp_path):
    path = new_ledger(tmp_path / "clarion.db")
    random = SeededRandom(3)
    one = SqliteLedger.open(path, vault=LocalVault(b"k" * 32, random), clock=ManualClock(), random=random)
    yield one
    await one.close()


def entries(count, lane=Lane.NORMAL, start=0):
    random = SeededRandom(start + 1)
    return [
        Entry(
            event_id=new_event_id(ManualClock().now(), random.bytes(10)),
            tenant=TenantId(1),
            lane=lane,
            workflow=f"w{start + n}",
            sealed=b"sealed",
            sealed_for=NO_USER,
        )
        for n in range(count)
    ]


async def publish(broker, some):
    await broker.publish(some)


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


async def test_what_does_not_fit_in_memory_is_read_from_the_log(ledger, monkeypatch):
    """A long queue costs no memory and loses nothing."""
    monkeypatch.setattr(sql, "TAIL_BYTES", 5_000)
    broker = SqlBroker(ledger.log, ManualClock())
    for start in range(0, 40, 8):
        await publish(broker, entries(8, start=start))
    names, _ = await take(broker, Lane.NORMAL, 40, limit=7)
    assert names == [f"w{n}" for n in range(40)]


async def test_entries_stored_by_somebody_else_are_offered_without_a_gap(ledger):
    """By another process, or by another call that is answered later; the consumer sees them in their place."""
    broker = SqlBroker(ledger.log, ManualClock())
    await publish(broker, entries(2))
    stored, _ = await ledger.log.append(entries(2, start=2), [None, None])
    await publish(broker, entries(2, start=4))
    broker.offer(stored)
    assert (await take(broker, Lane.NORMAL, 6))[0] == [f"w{n}" for n in range(6)]
