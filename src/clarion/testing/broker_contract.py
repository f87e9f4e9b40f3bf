"""What every broker must do, as checks to run over yours, each on new and empty lanes.

import pytest
from clarion.testing.broker_contract import BROKER_CONTRACT, BrokerSubject

@pytest.mark.parametrize("check", BROKER_CONTRACT, ids=lambda check: check.__name__)
async def test_my_broker_keeps_the_contract(check, server, clock, random):
    async with BrokerSubject(server, clock, random) as subject:
        await check(subject)

`server` is a `BrokerServer`: lanes that are new and empty, and how a test connects to them. A broker that lies in the
ledger's log (`ports.broker.LogBroker`) keeps `LOG_BROKER_CONTRACT` as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Protocol

from msgspec.structs import replace

from clarion.errors import Busy, Unavailable
from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import Instant, TenantId, UserNo, new_event_id, time_of
from clarion.ports.broker import Backlog, Batch, Broker, LogBroker
from clarion.ports.clock import Clock, Random

PATIENCE_S: Final = 30.0
"""How long a check waits for what must come, on however slow a machine."""
ACME: Final = TenantId(1)
OTHER: Final = TenantId(2)
ADA: Final = UserNo(1)
MANY: Final = 3_000


class BrokerServer(Protocol):
    """Durable lanes, and how a test connects to them. Name it as a base and leave out what your broker does not have."""

    ordered: bool = True
    """Entries of one person come in the order in which they were published, also when they come again."""

    async def connect(self) -> Broker:
        """As another process does."""

    async def crash(self, broker: Broker) -> None:
        """As when its process is killed: nobody is told. By default there is nothing to do."""
        return

    async def plan(self, broker: Broker, batch: Batch) -> None:
        """Store an empty plan of the batch, for a broker that needs the ledger to know what is done."""
        return

    async def restart(self) -> bool:
        """Stop the server and start it again; False: there is none."""
        return False

    async def put(self, lane: Lane, raw: bytes) -> bool:
        """Write into a lane what no broker of ours would write; False: nobody can."""
        return False

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        """What could not be read, and why."""
        return ()


class BrokerSubject:
    """Lanes that are durable, and brokers connected to them. All that the checks do with a broker is done here."""

    def __init__(self, server: BrokerServer, clock: Clock, random: Random) -> None:
        self.server = server
        self._clock = clock
        self._random = random
        self._connected: list[Broker] = []
        self.broker: Broker

    async def __aenter__(self) -> BrokerSubject:
        self.broker = await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for broker in self._connected:
            await broker.close()

    async def connect(self) -> Broker:
        """Another process."""
        broker = await self.server.connect()
        self._connected.append(broker)
        return broker

    async def reconnect(self) -> None:
        """Go on with a new broker, as after a crash: the one before was not told."""
        await self.server.crash(self.broker)
        self.broker = await self.connect()

    def entries(
        self,
        count: int,
        lane: Lane = Lane.NORMAL,
        *,
        tenant: TenantId = ACME,
        named: str = "e",
        user: UserNo | None = ADA,
    ) -> list[Entry]:
        """New entries, all for one person (None: each for another); `sealed` numbers them: `e0`, `e1`, ..."""
        return [
            Entry(
                event_id=new_event_id(Instant(self._clock.now() + number), self._random.bytes(10)),
                tenant=tenant,
                lane=lane,
                workflow="news",
                sealed=f"{named}{number}".encode(),
                sealed_for=UserNo(number + 1) if user is None else user,
            )
            for number in range(count)
        ]

    def claim(self, key: bytes, answer: bytes = b"first") -> IdempotencyRecord:
        """A claim on a key for a day."""
        expires_at = Instant(self._clock.now() + 86_400_000)
        return IdempotencyRecord(
            tenant=ACME, key=key * 16, fingerprint=b"body", answer=answer, expires_at=expires_at
        )

    async def publish(self, entries: Sequence[Entry]) -> None:
        """Publish in one call."""
        await self.broker.publish(entries)

    async def claim_and_publish(
        self, entries: Sequence[Entry], claim: IdempotencyRecord
    ) -> Sequence[IdempotencyResult | None]:
        """The same into a ledger's log; `claim` guards all of them."""
        assert isinstance(self.broker, LogBroker)
        return await self.broker.publish_claimed(entries, [claim] * len(entries))

    @contextlib.asynccontextmanager
    async def consumer(
        self, lane: Lane = Lane.NORMAL, limit: int = 100, broker: Broker | None = None
    ) -> AsyncIterator[Consumer]:
        """The lane's consumer of a process."""
        broker = broker or self.broker
        async with contextlib.aclosing(broker.consume(lane, limit)) as batches:
            yield Consumer(self, broker, batches)

    async def acknowledge(self, batch: Batch, broker: Broker | None = None) -> None:
        """The batch is planned."""
        broker = broker or self.broker
        await self.server.plan(broker, batch)
        await broker.ack(batch)

    async def backlog(self, lane: Lane = Lane.NORMAL) -> Backlog:
        """What waits in a lane."""
        return await self.broker.backlog(lane)

    async def holds(self, count: int, lane: Lane = Lane.NORMAL) -> None:
        """So much waits in the lane, at the latest when the broker has looked again."""
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - a broker may live on another machine
            while (await self.backlog(lane)).entries != count:
                await self.pause()

    async def waits(self, count: int, oldest: Entry | None = None, lane: Lane = Lane.NORMAL) -> None:
        """So much waits in the lane, and the oldest is this, at the latest when the broker has looked again."""
        expected = Backlog(entries=count, oldest_at=time_of(oldest.event_id) if oldest is not None else None)
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - a broker may live on another machine
            while True:
                with contextlib.suppress(Unavailable):
                    if await self.backlog(lane) == expected:
                        return
                await self.pause()

    async def pause(self) -> None:
        """A moment."""
        await asyncio.sleep(0.05)  # noqa: TID251 - a server on another machine has its own time

    def arrived(self, taken: Sequence[Entry], expected: Sequence[Entry]) -> bool:
        """Whether exactly these were taken, in order if the broker promises that."""
        if self.server.ordered:
            return sealed(taken) == sealed(expected)
        return sorted(sealed(taken)) == sorted(sealed(expected))


class Consumer:
    """Takes what comes out of one lane."""

    def __init__(self, subject: BrokerSubject, broker: Broker, batches: AsyncIterator[Batch]) -> None:
        self._subject = subject
        self._broker = broker
        self._batches = batches

    async def batch(self) -> Batch:
        """The next batch."""
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - a broker may live on another machine
            return await anext(self._batches)

    async def take(self, count: int) -> list[Entry]:
        """At least `count` entries, in the order in which they came; not acknowledged."""
        taken: list[Entry] = []
        while len(taken) < count:
            taken += (await self.batch()).entries
        return taken

    async def finish(self, count: int) -> list[Entry]:
        """The same, each batch acknowledged before the next is taken."""
        done: list[Entry] = []
        while len(done) < count:
            batch = await self.batch()
            done += batch.entries
            await self._subject.acknowledge(batch, self._broker)
        return done


Check = Callable[[BrokerSubject], Awaitable[None]]


def sealed(entries: Sequence[Entry]) -> list[bytes]:
    """What tells entries apart."""
    return [entry.sealed for entry in entries]


# ── delivery ──────────────────────────────────────────────────────────────────────────────────────────────


async def entries_arrive_unchanged(subject: BrokerSubject) -> None:
    """Every field comes out as it went in, also bytes that are no text and an entry without any."""
    published = subject.entries(3)
    published[1] = replace(published[1], sealed=bytes(range(256)) * 100)
    published[2] = replace(published[2], sealed=b"")
    await subject.publish(published)
    async with subject.consumer() as consumer:
        taken = await consumer.take(3)
    assert {entry.event_id: kept(entry) for entry in taken} == {entry.event_id: entry for entry in published}


async def a_persons_entries_arrive_in_the_order_of_publication(subject: BrokerSubject) -> None:
    """In one call or in many, also when they are read back after a restart."""
    numbered = subject.entries(60)
    for start in range(0, 60, 7):
        await subject.publish(numbered[start : start + 7])
    async with subject.consumer(limit=8) as consumer:
        assert subject.arrived(await consumer.take(60), numbered)
    await subject.reconnect()
    async with subject.consumer(limit=8) as consumer:
        assert subject.arrived(await consumer.take(60), numbered)


async def a_waiting_consumer_gets_what_is_published_later(subject: BrokerSubject) -> None:
    """It waits while its lane is empty, and goes on by itself."""
    async with subject.consumer() as consumer:
        for number in range(3):
            waiting = asyncio.create_task(consumer.batch())
            await asyncio.sleep(0)  # noqa: TID251 - lets the consumer begin to wait
            await subject.publish(subject.entries(1, named=f"{number}-"))
            batch = await waiting
            assert sealed(batch.entries) == [b"%d-0" % number]
            await subject.acknowledge(batch)


async def a_batch_has_at_least_one_entry_and_at_most_the_limit(subject: BrokerSubject) -> None:
    """All of one lane, and the batch says which."""
    await subject.publish(subject.entries(50, Lane.HIGH))
    seen = 0
    async with subject.consumer(Lane.HIGH, limit=7) as consumer:
        while seen < 50:
            batch = await consumer.batch()
            assert 1 <= len(batch.entries) <= 7, f"a batch of {len(batch.entries)} entries, the limit is 7"
            assert {batch.lane, *(entry.lane for entry in batch.entries)} == {Lane.HIGH}
            seen += len(batch.entries)


async def publishers_at_once_lose_and_double_nothing(subject: BrokerSubject) -> None:
    """And each one's entries keep their order."""
    calls = [subject.entries(5, named=f"{caller}-") for caller in range(40)]
    await asyncio.gather(*map(subject.publish, calls))
    async with subject.consumer() as consumer:
        taken = await consumer.take(200)
    assert sorted(sealed(taken)) == sorted(sealed([entry for call in calls for entry in call]))
    for call in calls:
        mine = set(sealed(call))
        assert subject.arrived([entry for entry in taken if entry.sealed in mine], call)


# ── durability ────────────────────────────────────────────────────────────────────────────────────────────


async def what_was_published_survives_a_crash(subject: BrokerSubject) -> None:
    """Once `publish` has returned, nobody needs to close anything for the entries to be there."""
    published = subject.entries(20)
    await subject.publish(published)
    await subject.reconnect()
    async with subject.consumer() as consumer:
        assert subject.arrived(await consumer.take(20), published)


async def what_was_not_acknowledged_comes_again_after_a_crash(subject: BrokerSubject) -> None:
    """And what was acknowledged does not."""
    published = subject.entries(30)
    await subject.publish(published)
    async with subject.consumer(limit=10) as consumer:
        first = await consumer.batch()
        await consumer.batch()
        await subject.acknowledge(first)
    await subject.reconnect()
    async with subject.consumer() as consumer:
        again = await consumer.finish(30 - len(first.entries))
    assert subject.arrived(again, lacking(published, first))
    await subject.publish(subject.entries(1, named="last"))
    await subject.reconnect()
    async with subject.consumer() as consumer:
        assert sealed(await consumer.take(1)) == [b"last0"]


async def what_was_not_acknowledged_comes_to_the_next_consumer(subject: BrokerSubject) -> None:
    """Within one process as well: a consumer that ends gives back what it took."""
    published = subject.entries(10)
    await subject.publish(published)
    async with subject.consumer(limit=4) as consumer:
        first = await consumer.batch()
        await subject.acknowledge(first)
        await consumer.batch()
    async with subject.consumer() as consumer:
        left = lacking(published, first)
        assert subject.arrived(await consumer.take(len(left)), left)


async def what_is_published_while_a_consumer_begins_is_not_missed(subject: BrokerSubject) -> None:
    """Each new consumer gets everything that is not acknowledged, and what comes in meanwhile behind it."""
    published: list[Entry] = []
    for number in range(20):
        published += subject.entries(1, named=f"{number}-")
        publishing = asyncio.create_task(subject.publish(published[-1:]))
        async with subject.consumer() as consumer:
            assert subject.arrived(await consumer.take(number + 1), published)
        await publishing


async def the_next_batch_may_be_taken_before_the_last_is_acknowledged(subject: BrokerSubject) -> None:
    """Planning one batch while the one before commits: each entry comes once."""
    published = subject.entries(40)
    await subject.publish(published)
    batches: list[Batch] = []
    async with subject.consumer(limit=8) as consumer:
        while sum(len(batch.entries) for batch in batches) < 40:
            batches.append(await consumer.batch())
            if len(batches) > 1:
                await subject.acknowledge(batches[-2])
        await subject.acknowledge(batches[-1])
    assert subject.arrived([entry for batch in batches for entry in batch.entries], published)
    await subject.holds(0)


async def an_entry_that_is_never_acknowledged_holds_up_no_other(subject: BrokerSubject) -> None:
    """A poison entry: those behind it are delivered, and it comes again after a restart."""
    await subject.publish(subject.entries(1, named="poison"))
    async with subject.consumer() as consumer:
        (poison,) = (await consumer.batch()).entries
        later = subject.entries(20)
        await subject.publish(later)
        assert subject.arrived(await consumer.finish(20), later)
    assert (await subject.backlog()).entries >= 1
    await subject.reconnect()
    async with subject.consumer() as consumer:
        assert poison.sealed in sealed(await consumer.take(1))


# ── lanes and tenants ─────────────────────────────────────────────────────────────────────────────────────


async def lanes_do_not_mix(subject: BrokerSubject) -> None:
    """One call may fill them all, and each consumer gets its own lane's entries."""
    per_lane = {lane: subject.entries(5, lane, named=f"{lane}-") for lane in LANES}
    await subject.publish([entry for entries in per_lane.values() for entry in entries])
    for lane, entries in per_lane.items():
        await subject.holds(5, lane)
        async with subject.consumer(lane) as consumer:
            assert subject.arrived(await consumer.finish(5), entries)
        await subject.holds(0, lane)


async def a_full_lane_holds_up_no_other(subject: BrokerSubject) -> None:
    """Nobody consumes the bulk lane: entries of the other lanes pass."""
    await subject.publish(subject.entries(MANY, Lane.BULK))
    for lane in LANES:
        if lane is Lane.BULK:
            continue
        async with subject.consumer(lane) as consumer:
            await subject.publish(subject.entries(1, lane, named=lane))
            assert sealed(await consumer.finish(1)) == [f"{lane}0".encode()]


async def tenants_take_turns(subject: BrokerSubject) -> None:
    """One tenant's backlog delays another's entry by a batch or two, not by its length."""
    await subject.publish(subject.entries(MANY))
    await subject.publish(subject.entries(1, tenant=OTHER, named="other"))
    async with subject.consumer(limit=50) as consumer:
        taken = sealed(await consumer.take(150))
    assert b"other0" in taken, "another tenant's entry is not among the first 150 of a lane with 3,001"


async def a_backlog_says_how_much_waits_and_since_when(subject: BrokerSubject) -> None:
    """The oldest is that of what is not acknowledged."""
    await subject.waits(0)
    published = subject.entries(4)
    await subject.publish(published)
    async with subject.consumer(limit=2) as consumer:
        batch = await consumer.batch()
        await subject.waits(4, published[0])
        await subject.acknowledge(batch)
        left = lacking(published, batch)
        await subject.waits(len(left), left[0])
        await consumer.finish(len(left))
        await subject.waits(0)


# ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────


async def a_long_backlog_is_delivered_to_its_end(subject: BrokerSubject) -> None:
    """However much lies in the lane, batch by batch and once."""
    published = subject.entries(MANY)
    for start in range(0, MANY, 500):
        await subject.publish(published[start : start + 500])
    await subject.holds(MANY)
    async with subject.consumer(limit=256) as consumer:
        assert subject.arrived(await consumer.finish(MANY), published)
    await subject.holds(0)


async def what_is_refused_is_not_published(subject: BrokerSubject) -> None:
    """Under a flood a call is either durable or refused with Busy; a refused one may be repeated."""
    calls = [subject.entries(200, Lane.BULK, named=f"{number}-") for number in range(300)]
    ended = await asyncio.gather(*map(subject.publish, calls), return_exceptions=True)
    accepted: list[bytes] = []
    for call, result in zip(calls, ended, strict=True):
        if isinstance(result, Busy):
            assert result.retry_after_s >= 1
        elif isinstance(result, BaseException):
            raise result
        else:
            accepted += sealed(call)
    await subject.holds(len(accepted), Lane.BULK)
    async with subject.consumer(Lane.BULK, limit=2_000) as consumer:
        assert sorted(sealed(await consumer.finish(len(accepted)))) == sorted(accepted)


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────


async def closing_ends_every_consumer(subject: BrokerSubject) -> None:
    """Nobody waits for entries that will not come; closing again changes nothing."""
    async with contextlib.AsyncExitStack() as consumers:
        waiting = [
            asyncio.create_task((await consumers.enter_async_context(subject.consumer(lane))).batch())
            for lane in LANES
        ]
        await asyncio.sleep(0)  # noqa: TID251 - lets them begin to wait
        await subject.broker.close()
        await subject.broker.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ended] == [StopAsyncIteration] * len(LANES), ended


async def what_was_left_at_closing_comes_after_the_next_start(subject: BrokerSubject) -> None:
    """Taken or not."""
    published = subject.entries(12)
    await subject.publish(published)
    async with subject.consumer(limit=4) as consumer:
        first = await consumer.batch()
        await subject.acknowledge(first)
        await consumer.batch()
        await subject.broker.close()
    await subject.reconnect()
    async with subject.consumer() as consumer:
        left = lacking(published, first)
        assert subject.arrived(await consumer.finish(len(left)), left)


async def a_restarted_server_has_everything(subject: BrokerSubject) -> None:
    """A consumer that waits meanwhile goes on by itself, and publishers as soon as they can."""
    first, later = subject.entries(5), subject.entries(5, named="later")
    async with subject.consumer() as consumer:
        await subject.publish(subject.entries(1, named="before"))
        await consumer.finish(1)
        await subject.publish(first)
        if not await subject.server.restart():
            return
        while True:
            try:
                await subject.publish(later)
                break
            except Unavailable:
                await subject.pause()
        found: set[bytes] = set()
        while found != {*sealed(first), *sealed(later)}:  # what was under way may come twice
            found.update(sealed(await consumer.finish(1)))


# ── several processes ─────────────────────────────────────────────────────────────────────────────────────


async def processes_share_a_lane(subject: BrokerSubject) -> None:
    """Each entry is planned by one of them, and what a dead one had comes to the others."""
    if isinstance(subject.broker, LogBroker):
        return  # The planner asks the ledger who plans a lane.
    published = subject.entries(200, user=None)
    other = await subject.connect()
    async with subject.consumer(limit=10, broker=other) as doomed:
        waiting = asyncio.create_task(doomed.batch())
        await asyncio.sleep(0)  # noqa: TID251 - lets it begin to wait
        await subject.publish(published)
        left = lacking(published, await waiting)
        async with subject.consumer(limit=10) as consumer:
            await subject.server.crash(other)
            found: set[bytes] = set()
            while found != set(sealed(published)):
                found.update(sealed(await consumer.finish(1)))
    assert len(left) < len(published)
    await subject.holds(0)


# ── what cannot be read ───────────────────────────────────────────────────────────────────────────────────


async def what_cannot_be_read_is_a_dead_letter(subject: BrokerSubject) -> None:
    """With its reason; those beside it are delivered, and it counts as done."""
    before, after = subject.entries(1, named="before"), subject.entries(1, named="after")
    await subject.publish(before)
    if not await subject.server.put(Lane.NORMAL, b"\xffno entry"):
        return
    await subject.publish(after)
    async with subject.consumer() as consumer:
        assert subject.arrived(await consumer.finish(2), [*before, *after])
        async with asyncio.timeout(PATIENCE_S):  # noqa: TID251 - a broker may live on another machine
            while not (dead := await subject.server.dead_letters(Lane.NORMAL)):
                await subject.pause()
        assert [raw for raw, _ in dead] == [b"\xffno entry"]
        assert all(reason for _, reason in dead)
        await subject.publish(subject.entries(1, named="last"))
        await consumer.finish(1)
    await subject.holds(0)


def lacking(published: Sequence[Entry], batch: Batch) -> list[Entry]:
    """Those that are not in the batch."""
    had = set(sealed(batch.entries))
    return [entry for entry in published if entry.sealed not in had]


def kept(entry: Entry) -> Entry:
    """What a broker must keep of an entry: its position is the broker's own, the opened event the process's."""
    return replace(entry, seq=0, event=None)


BROKER_CONTRACT: Final[Sequence[Check]] = (
    entries_arrive_unchanged,
    a_persons_entries_arrive_in_the_order_of_publication,
    a_waiting_consumer_gets_what_is_published_later,
    a_batch_has_at_least_one_entry_and_at_most_the_limit,
    publishers_at_once_lose_and_double_nothing,
    what_was_published_survives_a_crash,
    what_was_not_acknowledged_comes_again_after_a_crash,
    what_was_not_acknowledged_comes_to_the_next_consumer,
    what_is_published_while_a_consumer_begins_is_not_missed,
    the_next_batch_may_be_taken_before_the_last_is_acknowledged,
    an_entry_that_is_never_acknowledged_holds_up_no_other,
    lanes_do_not_mix,
    a_full_lane_holds_up_no_other,
    tenants_take_turns,
    a_long_backlog_is_delivered_to_its_end,
    what_is_refused_is_not_published,
    a_backlog_says_how_much_waits_and_since_when,
    what_cannot_be_read_is_a_dead_letter,
    processes_share_a_lane,
    a_restarted_server_has_everything,
    closing_ends_every_consumer,
    what_was_left_at_closing_comes_after_the_next_start,
)


# ── in the ledger's log ───────────────────────────────────────────────────────────────────────────────────


async def a_call_is_published_as_a_whole_or_not_at_all(subject: BrokerSubject) -> None:
    """Also when its caller gives up meanwhile."""
    calls = [subject.entries(3, named=f"{number}-") for number in range(20)]
    publishing = [asyncio.create_task(subject.publish(call)) for call in calls]
    await asyncio.sleep(0)  # noqa: TID251 - lets them begin
    for one in publishing[::2]:
        one.cancel()
    ended = await asyncio.gather(*publishing, return_exceptions=True)
    await subject.publish(subject.entries(1, named="last"))
    taken: list[bytes] = []
    async with subject.consumer() as consumer:
        while b"last0" not in taken:
            taken += sealed(await consumer.take(1))
    for call, result in zip(calls, ended, strict=True):
        found = [one for one in sealed(call) if one in taken]
        allowed = ([], sealed(call)) if isinstance(result, asyncio.CancelledError) else (sealed(call),)
        assert found in allowed, f"of one call only {found} was published"


async def a_repeat_of_a_claim_is_not_published(subject: BrokerSubject) -> None:
    """It gets the first one's answer, from this process and from the next."""
    first = await subject.claim_and_publish(subject.entries(2), subject.claim(b"k"))
    again = await subject.claim_and_publish(subject.entries(2, named="again"), subject.claim(b"k", b"second"))
    await subject.reconnect()
    later = await subject.claim_and_publish(subject.entries(1, named="later"), subject.claim(b"k", b"third"))
    await subject.claim_and_publish(subject.entries(1, named="other"), subject.claim(b"o"))
    assert [result.fresh for result in first if result is not None] == [True, True]
    assert [(r.fresh, r.answer) for r in (*again, *later) if r is not None] == [(False, b"first")] * 3
    async with subject.consumer() as consumer:
        assert sealed(await consumer.take(3)) == [b"e0", b"e1", b"other0"]


async def of_claims_at_once_one_is_published(subject: BrokerSubject) -> None:
    """However the calls interleave."""
    calls = [subject.entries(1, named=f"{number}-") for number in range(30)]
    claims = [subject.claim(b"k", b"%d" % number) for number in range(30)]
    results = await asyncio.gather(*map(subject.claim_and_publish, calls, claims))
    fresh = [result for (result,) in results if result is not None and result.fresh]
    assert len(fresh) == 1
    assert {result.answer for (result,) in results if result is not None} == {fresh[0].answer}
    await subject.holds(1)


LOG_BROKER_CONTRACT: Final[Sequence[Check]] = (
    *BROKER_CONTRACT,
    a_call_is_published_as_a_whole_or_not_at_all,
    a_repeat_of_a_claim_is_not_published,
    of_claims_at_once_one_is_published,
)
