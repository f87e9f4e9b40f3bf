"""Tenants share a lane fairly: the flood of one delays the others by a turn, not by its length."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from clarion.adapters.brokers import sql
from clarion.adapters.brokers.sql import SqlBroker
from clarion.flow import lanes
from clarion.flow.lanes import InFlight, LaneQueue
from clarion.model.channel import Channel, Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, EventId, Instant, TenantId, WorkerId
from clarion.model.setup import Tenant
from clarion.model.submission import Submission
from clarion.ports.broker import Batch
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow

FLOOD, OTHER = TenantId(1), TenantId(2)


class Log:
    """An event log in memory; `meanwhile` happens while it is read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._planned: set[int] = set()
        self.meanwhile: list[Callable[[], Awaitable[None]]] = []

    async def _happen(self) -> None:
        if self.meanwhile:
            await self.meanwhile.pop(0)()

    async def append(self, entries, claims):
        first = len(self.entries) + 1
        stored = [replace(entry, seq=first + n) for n, entry in enumerate(entries)]
        self.entries += stored
        return stored, [None] * len(stored)

    async def read(self, lane, after, limit):
        await self._happen()
        found = [one for one in self.entries[after:] if one.seq not in self._planned][:limit]
        await self._happen()
        return found

    async def fetch(self, lane, seqs):
        return {seq: self.entries[seq - 1] for seq in seqs}

    async def position(self, lane):
        return self.planned

    @property
    def planned(self):
        return next(n for n in range(len(self.entries) + 1) if n + 1 not in self._planned)

    def on_append(self, told):
        pass

    async def take(self, lane, worker):
        return True

    def plan(self, entries):
        self._planned.update(one.seq for one in entries)

    async def end(self, lane):
        found = len(self.entries)
        await self._happen()
        return found


def entry(tenant: TenantId, number: int = 0) -> Entry:
    return Entry(
        event_id=EventId(number.to_bytes(16, "big")), tenant=tenant, lane=Lane.NORMAL, workflow=str(number),
        sealed=b"sealed", sealed_for=NO_USER,
    )  # fmt: skip


async def published(broker: SqlBroker, *entries: Entry) -> None:
    await broker.publish(entries)


async def batches(broker: SqlBroker, count: int, limit: int = 10) -> list[Any]:
    """The next `count` batches, acknowledged."""
    found = []
    batches_of: Any = broker.consume(Lane.NORMAL, limit)
    async with aclosing(batches_of) as consuming:
        for _ in range(count):
            batch = await asyncio.wait_for(anext(consuming), 5)
            log: Any = broker._log
            log.plan(batch.entries)
            await broker.ack(batch)
            found.append(batch)
    return found


@pytest.mark.parametrize("room", [10**9, 20_000], ids=["all in memory", "most only in the log"])
async def test_an_event_overtakes_the_flood_of_another_tenant(monkeypatch, room):
    """It is in the next batch, also when the flood does not fit in memory; nothing is lost or comes twice."""
    monkeypatch.setattr(sql, "TAIL_BYTES", room)
    broker = SqlBroker(Log(), ManualClock())
    await published(broker, *(entry(FLOOD, n) for n in range(1_000)))
    await batches(broker, 3)
    await published(broker, entry(OTHER, 5_000))
    (batch,) = await batches(broker, 1)
    assert [one.workflow for one in batch.entries if one.tenant == OTHER] == ["5000"]
    rest = await batches(broker, 97)
    flood = [int(one.workflow) for one in (*batch.entries, *(e for b in rest for e in b.entries))]
    assert sorted(flood) == [*range(30, 1_000), 5_000]
    assert (await broker.backlog(Lane.NORMAL)).entries == 0


async def test_a_crash_repeats_nothing_that_was_planned_and_loses_nothing(monkeypatch):
    """The lane stands before the first entry that is not planned, whoever's it is; what went ahead is left out."""
    monkeypatch.setattr(sql, "TAIL_BYTES", 20_000)
    log = Log()
    broker = SqlBroker(log, ManualClock())
    await published(broker, *(entry(FLOOD, n) for n in range(100)))
    await published(broker, entry(OTHER, 500), entry(OTHER, 501))
    await batches(broker, 2)
    assert log.planned < 100
    assert (await broker.backlog(Lane.NORMAL)).entries == 102 - 20
    later, planned = SqlBroker(log, ManualClock()), log.planned
    found = []
    while (await later.backlog(Lane.NORMAL)).entries:
        found += [one.seq for b in await batches(later, 1) for one in b.entries]
    assert len(found) == len(set(found)) == 102 - 20
    assert set(range(planned + 1, 101)).issuperset(one for one in found if one <= 100)
    assert log.planned == 102


@settings(max_examples=100)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 4), st.integers(1, 6)),
            st.tuples(st.just("append"), st.integers(1, 4), st.integers(1, 3)),
            st.tuples(st.just("meanwhile"), st.integers(1, 4), st.integers(1, 6)),
            st.tuples(st.just("take"), st.integers(1, 8), st.integers(0, 0)),
            st.tuples(st.just("crash"), st.integers(0, 0), st.integers(0, 0)),
        ),
        max_size=40,
    ),
    room=st.sampled_from((1, 3_000, 10**9)),
    ahead=st.sampled_from((1, 3_000, 10**9)),
)
def test_every_tenant_s_entries_come_in_order_and_none_is_lost(steps, room, ahead):
    """Whatever fits in memory and whenever the process dies; what is planned comes only once."""

    async def live() -> None:
        log, number = Log(), 0
        broker = SqlBroker(log, ManualClock())
        seen: dict[TenantId, list[int]] = {}
        acked: set[int] = set()

        async def append(tenant: int, many: int, offered: bool) -> None:
            nonlocal number
            some = [entry(TenantId(tenant), number + n) for n in range(many)]
            number += many
            stored, _ = await log.append(some, ())
            if offered:
                broker.offer(stored)

        for kind, one, two in [*steps, *[("take", 1_000, 0)] * (2 + len(steps))]:
            if kind in ("publish", "append"):
                await append(one, two, kind == "publish")
            elif kind == "meanwhile":
                log.meanwhile.append(partial(append, one, two, True))
            elif kind == "crash":
                broker, seen = SqlBroker(log, ManualClock()), {}
            else:
                (await broker._tail(Lane.NORMAL)).wake.set()
                while entries := await (await broker._tail(Lane.NORMAL)).take(one, log, Lane.NORMAL):
                    for e in entries:
                        seen.setdefault(e.tenant, []).append(e.seq)
                        acked.add(e.seq)
                    log.plan(entries)
                    await broker.ack(Batch(lane=Lane.NORMAL, entries=tuple(entries)))
                    if one < 1_000:
                        break
        for seqs in seen.values():
            assert seqs == sorted(set(seqs))
        assert acked == set(range(1, number + 1))
        assert log.planned == number
        assert (await broker.backlog(Lane.NORMAL)).entries == 0

    before = sql.TAIL_BYTES, sql.AHEAD_BYTES
    sql.TAIL_BYTES, sql.AHEAD_BYTES = room, ahead
    try:
        asyncio.run(live())
    finally:
        sql.TAIL_BYTES, sql.AHEAD_BYTES = before


class Sent(NamedTuple):
    """As much of a message as a queue looks at."""

    tenant: TenantId
    number: int


def in_flight(tenant: TenantId, number: int) -> Any:
    event = SimpleNamespace(live=None)
    return InFlight(Sent(tenant, number), event, None, None, WorkerId(1), Instant(0))  # type: ignore[arg-type]


def test_a_queue_sends_for_its_tenants_in_turn():
    """Each in its order."""
    queue = LaneQueue(Lane.NORMAL, Channel.SMS, 1_000)
    for n in range(500):
        queue.reserve(FLOOD)
        queue.put(in_flight(FLOOD, n))
    for n in range(3):
        queue.reserve(OTHER)
        queue.put(in_flight(OTHER, n))
    taken: list[Any] = [one.message for one in queue.take(20)]
    assert [m.number for m in taken if m.tenant == OTHER] == [0, 1, 2]
    assert [m.number for m in taken if m.tenant == FLOOD] == list(range(17))
    assert queue.waiting == 483


def test_a_flood_leaves_slots_to_others():
    """Neither what is planned nor what is claimed takes the last slots of a queue."""
    queue = LaneQueue(Lane.NORMAL, Channel.SMS, 80)
    while queue.reserve(FLOOD):
        queue.put(in_flight(FLOOD, 0))
    assert queue.claimable <= 0
    others = 0
    while queue.reserve(OTHER):
        queue.put(in_flight(OTHER, others))
        others += 1
    assert others >= 5
    assert queue.in_flight <= 80


async def beside_a_flood(clarion: Engine, flood: int) -> tuple[TenantId, TenantId]:
    """Two tenants that send the same; of the first so many messages are planned."""
    one = clarion.tenant
    await clarion.create_setup(workflow("w"))
    await clarion.put_user("ada")
    events = [Submission(workflow="w", recipients=("ada",), data=Raw(b'{"text":"x"}'))] * 100
    for _ in range(flood // 100):
        await clarion.pipeline.submit(one, events)
    other = (await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))).id
    clarion.tenant = other
    await clarion.create_setup(workflow("w"))
    await clarion.put_user("ada")
    return one, other


async def test_what_is_due_of_one_tenant_overtakes_what_is_due_of_another(store, monkeypatch):
    """Of thousands that wait in the store, only a queue full goes before the few that another tenant has there."""
    monkeypatch.setitem(lanes.CAPACITY, Lane.NORMAL, 80)
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.pipeline.loops.stop("wake-")
        _, other = await beside_a_flood(clarion, 3_000)
        for _ in range(20):
            await clarion.trigger("w", "ada")

        async def planned() -> bool:
            return not (await clarion.broker.backlog(Lane.NORMAL)).entries

        assert await clarion.until(planned)
        await clarion.crash()
        await clarion.open()

        def theirs() -> list[int]:
            return [place for place, one in enumerate(provider.effects) if one.message.tenant == other]

        async def sent() -> bool:
            return len(theirs()) == 20

        assert await clarion.until(sent)
        assert theirs()[-1] - 20 < 300


async def test_what_is_due_finds_a_slot_in_a_queue_that_another_tenant_has_filled(store, monkeypatch):
    """The kept slots are for what waited, too."""
    monkeypatch.setitem(lanes.CAPACITY, Lane.NORMAL, 80)
    async with engine(store) as clarion:
        await clarion.pipeline.loops.stop("dispatch-")
        _, other = await beside_a_flood(clarion, 0)
        later = Instant(clarion.clock.now() + 600_000)
        await clarion.trigger("w", "ada", send_at=later)
        clarion.tenant = TenantId(1)
        events = [Submission(workflow="w", recipients=("ada",), data=Raw(b'{"text":"x"}'))] * 200
        await clarion.pipeline.submit(clarion.tenant, events)
        queue = clarion.pipeline.queues.of(Lane.NORMAL, Channel.SMS)

        async def full() -> bool:
            return queue.claimable <= 0

        assert await clarion.until(full)
        clarion.clock.advance(600)

        async def in_it() -> bool:
            return any(one.message.tenant == other for one in queue._waiting.get(other, ()))

        assert await clarion.until(in_it)
        assert queue.in_flight <= 80
