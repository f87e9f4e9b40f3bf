"""Several workers on one ledger: killed, stopped and continued, they lose nothing and take nothing from each other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger, Tables
from clarion.flow.lease import BEAT_S
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.outcome import Accepted
from clarion.model.setup import Category, Integration, IntegrationLimits, UnknownPolicy
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression
from clarion.model.user import Preferences
from clarion.model.worker import LEASE_MS
from clarion.ports.http import HttpCaller, nobody_calls
from clarion.testing.ports import ManualClock
from clarion.testing.providers import HANG, RecordingProvider
from tests.engine import Engine, Store, workflow
from tests.unit.flow.test_fetch import PRICE, SHOP, TOKEN, Shop, said
from tests.unit.flow.test_runs import send

LEASE_S = LEASE_MS / 1_000
STEP_S = 0.5
PEOPLE = ("ada", "bob", "eve")


class Frozen:
    """A part of the ledger as one process sees it that can be stopped: whatever it asks waits until it goes on."""

    def __init__(self, part: Any, going: asyncio.Event) -> None:
        self._part = part
        self._going = going

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def asked(*values: Any, **named: Any) -> Any:
            await self._going.wait()
            answer = await found(*values, **named)
            await self._going.wait()
            return answer

        return asked


class OneProcess:
    """The ledger as one process sees it, which can be stopped."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.going = asyncio.Event()
        self.going.set()
        for name in ("leases", "messages", "plans", "log", "users", "runs"):
            setattr(self, name, Frozen(getattr(ledger, name), self.going))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path: Path) -> Store:
    """Where two processes meet: their own ledgers on the same tables, or one ledger that both use."""
    return Tables() if request.param == "memory" else tmp_path


def stop(engine: Engine) -> None:
    """SIGSTOP."""
    store: Any = engine.ledger.store
    store.going.clear()


def go_on(engine: Engine) -> None:
    """SIGCONT."""
    store: Any = engine.ledger.store
    store.going.set()


@asynccontextmanager
async def two(
    store: Store, batch: int = 50, http: Sequence[HttpCaller] = (nobody_calls, nobody_calls), **first: Any
) -> AsyncIterator[tuple[Engine, Engine]]:
    """Two engines on one ledger, of which the first plans and may die; the second provider accepts everything."""
    clock = ManualClock()
    one = Engine(store, clock, RecordingProvider(batch=batch, **first), 1)
    other = Engine(store, clock, RecordingProvider(batch=batch), 2)
    one.http, other.http = http
    shared = other.opened()
    ledger: Any = shared
    if isinstance(store, Tables):
        ledger = MemoryLedger(tables=store, vault=one.vault, clock=clock, random=one.random)
    await one.work_on(OneProcess(ledger))
    for lane in LANES:
        assert await ledger.log.take(lane, one.pipeline.lease.worker)
    await other.work_on(shared)
    try:
        await other.create_setup(workflow("hello"), workflow("again", "twice"), categories=(TWICE,))
        for name in PEOPLE:
            await other.put_user(name)
        await one.ledger.setup.catch_up()
        yield one, other
    finally:
        go_on(one)
        await one.leave()
        await other.stop()


TWICE = Category(key="twice", on_unknown=UnknownPolicy.SEND_AGAIN)


async def pass_time(seconds: float, *live: Engine) -> None:
    """Step by step, each of the living renewing its lease at each, so that it keeps it however slow the machine is."""
    for _ in range(round(seconds / STEP_S)):
        live[0].clock.advance(STEP_S)
        await asyncio.sleep(0.005)
        for one in live:
            one.pipeline.lease.refused()
            await one.pipeline.lease.lasting()


async def until(engine: Engine, status: Status, number: int) -> bool:
    """Time goes on until so many messages are there; everybody else may be dead."""
    for _ in range(600):
        found = await engine.messages()
        if [m.status for m in found.values()].count(status) == number:
            return True
        await pass_time(STEP_S, engine)
    return False


def sent(*engines: Engine) -> Counter[bytes]:
    """How often each message really went out."""
    return Counter(effect.message.id for engine in engines for effect in engine.provider.effects)


async def under_way(engine: Engine) -> None:
    """A call of the engine has begun."""
    async with asyncio.timeout(30):
        while not engine.provider.under_way:  # noqa: ASYNC110 - the provider has no event for it
            await asyncio.sleep(0.005)


async def test_a_second_worker_takes_nothing_from_a_live_one(store):
    """However long its calls take."""
    async with two(store, otherwise=HANG) as (one, other):
        await one.trigger("hello", *PEOPLE)
        await under_way(one)
        await pass_time(1.8 * LEASE_S, one, other)
        assert other.provider.effects == []
        assert {m.status for m in (await other.messages()).values()} == {Status.SENDING}
        assert (await one.pipeline.stats())["leases_lost"] == 0


async def test_what_a_killed_worker_held_is_sent_by_another(store):
    """Everything that was planned goes out, once."""
    async with two(store) as (one, other):
        await one.pipeline.loops.stop("dispatch-")
        await one.trigger("hello", *PEOPLE)
        await until(one, Status.QUEUED, 3)
        await one.kill()
        assert await until(other, Status.SENT, 3)
        assert set(sent(other).values()) == {1}


async def test_processes_divide_the_calls_that_an_integration_may_have(store):
    """Three at once, two and one; when one of them is gone, the other has all three."""
    async with two(store, batch=1, otherwise=HANG) as (one, other):
        limited = Integration(
            key="main-sms",
            channel=Channel.SMS,
            provider="recording",
            limits=IntegrationLimits(concurrency=3, timeout_s=3_600),
        )
        await other.ledger.setup.integrations.put(other.tenant, limited)
        await one.ledger.setup.catch_up()
        other.provider.otherwise = HANG
        await pass_time(2 * BEAT_S, one, other)  # until each knows of the other
        for _ in range(4):
            await one.trigger("hello", *PEOPLE)

        async def all_at_work(first: int, second: int, *live: Engine) -> bool:
            for _ in range(200):
                if (one.provider.under_way, other.provider.under_way) == (first, second):
                    return True
                await pass_time(STEP_S, *live)
            return False

        assert await all_at_work(2, 1, one, other)
        await pass_time(5, one, other)
        assert (one.provider.under_way, other.provider.under_way) == (2, 1)
        await one.kill()
        assert await all_at_work(0, 3, other)


async def test_gateways_look_for_what_a_killed_worker_may_not_have_published(store):
    """Once it is given up; nobody looks as long as all live."""
    async with two(store) as (one, other):
        looked: list[str] = []
        other.fanout.subscribe(lambda changes: None, lambda: looked.append("missed"))
        await pass_time(2 * LEASE_S, one, other)
        assert looked == []
        await one.kill()
        await pass_time(2 * LEASE_S, other)
        assert looked == ["missed"]


async def test_what_a_killed_worker_was_sending_is_in_doubt(store):
    """As its category says: not sent again, or sent again once."""
    async with two(store, otherwise=HANG) as (one, other):
        await one.trigger("hello", "ada")
        await one.trigger("again", "bob")
        assert await until(other, Status.SENDING, 2)
        await one.kill()
        assert await until(other, Status.FAILED, 1)
        assert await until(other, Status.SENT, 1)
        doubtful = await other.one(workflow="hello")
        assert doubtful.reason is Reason.OUTCOME_UNKNOWN
        assert (await other.one(workflow="again")).unknowns == 1


@pytest.mark.parametrize("leave", ["preference", "suppression", "deletion"])
async def test_an_opt_out_in_one_process_stops_what_another_holds(store, leave):
    """It was acknowledged, so no attempt begins any more, whoever has the message in memory."""
    async with two(store) as (one, other):
        await one.pipeline.loops.stop("dispatch-")
        await one.trigger("hello", "ada", "bob")
        await until(one, Status.QUEUED, 2)
        (ada,) = (await other.ledger.users.find(other.tenant, ["ada"])).values()
        if leave == "preference":
            await other.put_user("ada", Preferences(channels={Channel.SMS: False}))
        elif leave == "deletion":
            await other.ledger.users.delete(other.tenant, "ada")
        else:
            (phone,) = ada.usable(Channel.SMS)
            gone = Suppression(
                tenant=ada.tenant,
                channel=Channel.SMS,
                hash=phone.hash,
                reason=Reason.ADDRESS_GONE.value,
                at=one.clock.now(),
            )
            await other.ledger.suppressions.add([gone])
        queue = one.pipeline.queues.of(Lane.NORMAL, Channel.SMS)
        one.pipeline.loops.start("dispatch", lambda: one.pipeline.dispatcher.run(queue))
        reached = set() if leave == "suppression" else {"bob"}  # they share a phone
        assert await until(one, Status.SENT, len(reached))
        assert await until(one, Status.QUEUED, 0)
        assert {effect.user.id for effect in one.provider.effects} == reached
        assert other.provider.effects == []


async def test_a_worker_that_leaves_is_followed_at_once(store):
    """Nobody waits for its lease to run out."""
    async with two(store) as (one, other):
        await one.pipeline.loops.stop("dispatch-")
        await one.trigger("hello", *PEOPLE)
        await until(one, Status.QUEUED, 3)
        await one.leave()
        began = one.clock.monotonic()
        assert await until(other, Status.SENT, 3)
        assert one.clock.monotonic() - began < LEASE_S - BEAT_S
        assert set(sent(one, other).values()) == {1}


async def test_a_worker_that_was_stopped_for_too_long_undoes_nothing(store):
    """What it held is sent by another; its late word is refused, it notices, and goes on as a new worker."""
    async with two(store, otherwise=HANG, idempotent=True) as (one, other):
        await one.trigger("hello", *PEOPLE)
        await under_way(one)
        first = one.pipeline.lease.worker
        stop(one)
        await pass_time(LEASE_S + 2 * BEAT_S, other)
        assert await until(other, Status.SENT, 3)
        before = await other.messages()
        one.provider.otherwise = Accepted(provider_id="p")
        go_on(one)
        await pass_time(60, other)
        assert (await one.pipeline.stats())["leases_lost"] == 1
        assert one.pipeline.lease.worker != first
        assert await other.messages() == before
        assert set(sent(other).values()) == {1}
        await one.trigger("hello", "ada")
        assert await until(other, Status.SENT, 4)
        assert {user.user.id for user in one.provider.effects} == {"ada"}


async def test_what_a_stopped_worker_had_not_begun_it_does_not_begin(store):
    """It was held in memory, and is somebody else's by now: no call of it starts."""
    async with two(store) as (one, other):
        await one.pipeline.loops.stop("dispatch-")
        await one.trigger("hello", *PEOPLE)
        await until(one, Status.QUEUED, 3)
        stop(one)
        assert await until(other, Status.SENT, 3)
        for queue in one.pipeline.queues:
            one.pipeline.loops.start(
                f"dispatch-{queue.lane}-{queue.channel}",
                lambda queue=queue: one.pipeline.dispatcher.run(queue),
            )
        go_on(one)
        await pass_time(10, other)
        assert one.provider.effects == []
        assert one.pipeline.queues.of(Lane.NORMAL, Channel.SMS).in_flight == 0


async def test_a_plan_of_a_worker_that_was_given_up_is_refused(store):
    """Nothing of it is stored: whoever took over the lane has planned the same, once."""
    async with two(store) as (one, other):
        await one.pipeline.loops.stop("plan-")
        await one.trigger("hello", *PEOPLE)
        plans: Any = one.ledger.plans
        commit = plans.commit
        asked: list[int] = []
        planning, stored = asyncio.Event(), asyncio.Event()

        async def slow(plan: Any) -> Any:
            asked.append(plan.worker)
            planning.set()
            await stored.wait()
            return await commit(plan)

        plans.commit = slow
        lease = one.pipeline.lease
        await one.pipeline.loops.stop("lease")
        one.pipeline.loops.start("plan", lambda: one.pipeline.planner.run(Lane.NORMAL))
        await planning.wait()
        await pass_time(LEASE_S + 2 * BEAT_S, other)
        one.pipeline.loops.start("lease", lease.run)
        stored.set()
        assert await until(other, Status.SENT, 3)
        assert len(asked) == 1
        assert other.pipeline.planner.planned == 3
        assert set(sent(one, other).values()) == {1}


async def test_what_nobody_planned_is_planned_by_who_takes_over_the_lane(store):
    """Once, in order, and with what others publish meanwhile; while the planner lives it plans for all."""
    async with two(store) as (one, other):
        await other.trigger("hello", "ada")
        assert await until(other, Status.SENT, 1)
        assert set(sent(one).values()) == {1}
        assert other.pipeline.planner.planned == 0
        await one.pipeline.loops.stop("plan-")
        await one.trigger("hello", "bob")
        await other.trigger("hello", "eve")
        await pass_time(3, one, other)
        assert len(await other.messages()) == 1
        await one.kill()
        assert await until(other, Status.SENT, 3)
        assert other.pipeline.planner.planned == 2
        assert [outgoing.user.id for outgoing in other.provider.effects] == ["bob", "eve"]


async def test_the_first_recorded_answer_of_a_service_counts(store):
    """A worker that slept over its lease brings another one, which is refused; both asked under the same key."""
    late, soon = Shop(said(200, {"total": 12})), Shop(said(200, {"total": 13}))
    late.hangs = asyncio.Event()
    async with two(store, http=(late, soon)) as (one, other):
        steps = (PRICE, send("right", when="steps.price.body.total == 13"), send("last"))
        setup = other.ledger.setup
        await setup.secrets.put(other.tenant, TOKEN)
        await setup.connections.put(other.tenant, SHOP)
        await setup.workflows.put(other.tenant, workflow("priced", steps=steps))
        await one.ledger.setup.catch_up()
        await other.pipeline.loops.stop("resume-")
        await one.trigger("priced", "ada")
        for _ in range(100):
            await pass_time(STEP_S, one, other)
            if late.asked:
                break
        stop(one)
        for lane in LANES:
            other.pipeline.loops.start(f"resume-{lane}", lambda lane=lane: other.pipeline.runs.run(lane))
        assert await until(other, Status.SENT, 2)
        before = await other.messages()
        late.hangs.set()
        go_on(one)
        await pass_time(30, other)
        assert await other.messages() == before
        assert {message.step for message in before.values()} == {"right", "last"}
        keys = {call.headers["idempotency-key"] for call in (*late.asked, *soon.asked)}
        assert (len(late.asked), len(soon.asked), len(keys)) == (1, 1, 1)
