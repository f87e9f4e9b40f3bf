"""What all brokers over queues have in common: what they hold, what they keep alive, and what they give up on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.adapters.brokers import lane_window, queue_broker
from clarion.adapters.brokers.entry_encoding import encoded
from clarion.adapters.brokers.lane_window import LaneWindow
from clarion.adapters.brokers.queue_broker import MOST_DELIVERIES, DeliveredEntry, QueueBroker
from clarion.errors import Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry, SetAside
from clarion.model.ids import Instant, TenantId, UserNo, new_event_id, time_of
from clarion.testing.ports import ManualClock, SeededRandom

CLOCK, RANDOM = ManualClock(), SeededRandom()
ACME, OTHER = TenantId(1), TenantId(2)


def entry(tenant: TenantId = ACME, body: bytes = b"x") -> Entry:
    """A new one."""
    return Entry(
        event_id=new_event_id(CLOCK.now(), RANDOM.bytes(10)),
        tenant=tenant,
        lane=Lane.NORMAL,
        workflow="news",
        sealed=body,
        sealed_for=UserNo(1),
    )


class FakeQueues:
    """Delivers what a test puts in, and notes what it is told."""

    def __init__(self, hold_s: float = 0.0) -> None:
        self.hold_s = hold_s
        self.arriving: asyncio.Queue[Sequence[DeliveredEntry] | Exception] = asyncio.Queue()
        self.finished: list[Any] = []
        self.returned: list[Any] = []
        self.kept: list[Any] = []
        self.buried: list[tuple[Any, str]] = []
        self.changed = asyncio.Event()

    async def send(self, lane: Lane, entries: Sequence[tuple[Entry, bytes]]) -> None:
        await self.arriving.put(
            [DeliveredEntry(f"sent-{one.sealed.decode()}", data) for one, data in entries]
        )

    async def receive(self, lane: Lane) -> AsyncGenerator[Sequence[DeliveredEntry]]:
        while True:
            found = await self.arriving.get()
            if isinstance(found, Exception):
                raise found
            yield found

    async def done(self, lane: Lane, handles: Sequence[Any]) -> None:
        self.finished += handles
        self.changed.set()

    async def give_back(self, lane: Lane, handles: Sequence[Any]) -> None:
        self.returned += handles

    async def keep(self, lane: Lane, handles: Sequence[Any]) -> None:
        self.kept += handles
        self.changed.set()

    async def bury(self, lane: Lane, delivery: DeliveredEntry, reason: str) -> None:
        self.buried.append((delivery.handle, reason))

    async def waiting(self, lane: Lane) -> int:
        return 7

    async def oldest_at(self, lane: Lane) -> Instant | None:
        return None


class Aside:
    """The ledger's list of what could not be planned; away for the first calls."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.kept: list[SetAside] = []
        self.bodies: list[Entry] = []

    async def keep(self, events: Sequence[SetAside], consumed: Any, bodies: Sequence[Entry]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the database is away")
        self.kept += events
        self.bodies += bodies


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The next try comes at once."""
    monkeypatch.setattr(queue_broker, "AGAIN_S", 0.001)


def broker_over(queues: FakeQueues, aside: Aside | None = None) -> QueueBroker:
    set_aside: Any = aside or Aside()
    return QueueBroker(queues, set_aside, CLOCK)


async def test_what_killed_its_workers_too_often_is_set_aside_with_its_body():
    """A person can look at it and plan it again, and the entries beside it are planned; also when the ledger is away first."""
    queues, aside = FakeQueues(), Aside(away=2)
    broker = broker_over(queues, aside)
    poison, beside = entry(body=b"poison"), entry()
    deliveries = [
        DeliveredEntry("p", encoded(poison), MOST_DELIVERIES + 1),
        DeliveredEntry("b", encoded(beside), MOST_DELIVERIES),
    ]
    await queues.arriving.put(deliveries)
    batches = broker.consume(Lane.NORMAL, 10)
    batch = await anext(batches)
    assert [one.sealed for one in batch.entries] == [b"x"]
    assert queues.finished == ["p"]
    (kept,) = aside.kept
    assert (kept.event_id, kept.detail) == (poison.event_id, f"delivered {MOST_DELIVERIES + 1} times")
    assert [one.sealed for one in aside.bodies] == [b"poison"]
    await batches.aclose()
    await broker.leave()


async def test_what_cannot_be_read_goes_to_the_dead_letters_with_its_reason():
    """It is no business of the ledger: nobody knows whose it is."""
    queues = FakeQueues()
    broker = broker_over(queues)
    await queues.arriving.put([DeliveredEntry("odd", b"\xffodd"), DeliveredEntry("good", encoded(entry()))])
    batches = broker.consume(Lane.NORMAL, 10)
    assert len((await anext(batches)).entries) == 1
    ((handle, reason),) = queues.buried
    assert handle == "odd"
    assert "255" in reason
    await batches.aclose()
    await broker.leave()


@pytest.mark.parametrize(("hold_s", "left"), [(0.0, 0), (30.0, 1)])
async def test_a_broken_connection_voids_only_what_was_delivered_over_it(hold_s, left):
    """Where deliveries end with their connection, what still waits here is dropped, since it comes again. Elsewhere it stays."""
    queues = FakeQueues(hold_s)
    broker = broker_over(queues)
    await queues.arriving.put([DeliveredEntry(number, encoded(entry())) for number in range(2)])
    batches = broker.consume(Lane.NORMAL, 1)
    taken = await anext(batches)
    await queues.arriving.put(Unavailable("cut"))
    await queues.arriving.put([DeliveredEntry("over the next", encoded(entry()))])
    while not queues.arriving.empty():  # noqa: ASYNC110 - what is in a queue has no event
        await asyncio.sleep(0.001)
    while "over the next" not in queues.finished:
        await broker.ack(await anext(batches))
    assert queues.finished == [1] * left + ["over the next"]
    await broker.ack(taken)
    assert queues.finished[-1] == 0
    await batches.aclose()
    await broker.leave()


async def test_what_is_planned_for_long_is_kept():
    """Nobody else gets it meanwhile."""
    queues = FakeQueues(hold_s=0.03)
    broker = broker_over(queues)
    await queues.arriving.put([DeliveredEntry("slow", encoded(entry()))])
    batches = broker.consume(Lane.NORMAL, 10)
    batch = await anext(batches)
    await asyncio.wait_for(queues.changed.wait(), 30)
    assert set(queues.kept) == {"slow"}
    await broker.ack(batch)
    await batches.aclose()
    await broker.leave()


async def test_what_is_left_goes_back_only_after_the_last_acknowledgement():
    """A stop plans what was taken first: so close gives nothing back, and leave gives back the rest."""
    queues = FakeQueues()
    broker = broker_over(queues)
    await queues.arriving.put([DeliveredEntry(number, encoded(entry())) for number in range(4)])
    batches = broker.consume(Lane.NORMAL, 2)
    taken = await anext(batches)
    await broker.close()
    await broker.ack(taken)
    assert (queues.finished, queues.returned) == ([0, 1], [])
    await broker.leave()
    assert queues.returned == [2, 3]
    with pytest.raises(StopAsyncIteration):
        await anext(batches)


async def test_a_backlog_has_what_is_held_here():
    """Where the server does not count what it has delivered, and does not tell how old it is."""
    queues = FakeQueues()
    broker = broker_over(queues)
    one = entry()
    await broker.publish([one])
    batches = broker.consume(Lane.NORMAL, 10)
    await anext(batches)
    found = await broker.backlog(Lane.NORMAL)
    assert (found.entries, found.oldest_at) == (7 + 1, time_of(one.event_id))
    await batches.aclose()
    await broker.leave()


# ── the window ────────────────────────────────────────────────────────────────────────────────────────────


def filled(count: int, *, body: bytes = b"x", tenants: Sequence[TenantId] = (ACME,)) -> LaneWindow:
    """A window with so many entries of each tenant, one tenant after the other."""
    window = LaneWindow()
    for tenant in tenants:
        for number in range(count):
            one = replace(entry(tenant, body), seq=window.next_seq())
            window.put([(one, (tenant, number))], float(number))
    return window


def test_tenants_take_turns_in_the_window():
    """However much one of them has."""
    window = filled(50, tenants=(ACME, OTHER))
    assert [one.tenant for one in window.take(4)] == [ACME, ACME, OTHER, OTHER]


def test_entries_are_finished_in_any_order():
    """Each gives its handle once."""
    window = filled(3)
    first, second, third = window.take(3)
    assert window.finish([third, first]) == [(ACME, 2), (ACME, 0)]
    assert window.finish([third]) == []
    assert len(window) == 1
    window.restart()
    assert window.take(3) == (second,)


@pytest.mark.parametrize(("entries", "size"), [(3, 10), (1_000, 1)])
async def test_a_full_window_has_no_room_until_something_is_finished(entries, size, monkeypatch):
    """By number or by size: memory is bounded however long the queue."""
    monkeypatch.setattr(lane_window, "MOST_ENTRIES", entries)
    monkeypatch.setattr(lane_window, "MOST_BYTES", 3 * (lane_window.ENTRY_BYTES + size))
    window = filled(2, body=b"x" * size)
    await window.room()
    window.put([(replace(entry(body=b"x" * size), seq=window.next_seq()), "last")], 0.0)
    waiting = asyncio.ensure_future(window.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    window.finish(window.take(1))
    await waiting


def test_what_is_delivered_again_while_it_is_held_is_held_once():
    """A process that was too busy to say that it lives gets its own entries again."""
    window = filled(1)
    again = replace(entry(), seq=window.next_seq())
    window.put([(again, (ACME, 0))], 1.0)
    (only,) = window.take(5)
    assert (len(window), only.seq) == (1, 1)
    window.finish([only])
    window.put([(again, (ACME, 0))], 2.0)
    assert window.take(5) == (again,)


def test_the_window_knows_what_it_has_held_for_long():
    """Taken or not."""
    window = filled(3)
    window.take(1)
    assert window.held_since(1.0) == [(ACME, 0), (ACME, 1)]
