"""Processes with roles on one store: each does its part, what nobody does is said, and what only one may do moves on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from clarion.adapters.ledgers.memory import MemoryLedger, Tables
from clarion.errors import Unavailable
from clarion.flow.lease import BEAT_S
from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.message import MessageFilter
from clarion.model.operation import OperationKind, OperationStatus
from clarion.model.status import Status
from clarion.model.worker import LEASE_MS, Process, Role
from clarion.services.whatsapp import WhatsAppService
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, workflow

LEASE_S = LEASE_MS / 1_000


class Cluster:
    """Processes on the same tables and the same clock."""

    def __init__(self) -> None:
        self.tables, self.clock = Tables(), ManualClock()
        self.engines: list[Engine] = []

    async def start(self, node: str, *roles: Role, **pinned: Any) -> Engine:
        """Another process."""
        process = Process(node=node, version="2.0", roles=roles, **pinned)
        number = len(self.engines) + 1
        one = Engine(self.tables, self.clock, RecordingProvider(batch=50), number, process)
        self.engines.append(one)
        tools: Any = {"vault": one.vault, "clock": self.clock, "random": one.random}
        await one.work_on(MemoryLedger(tables=self.tables, **tools))
        return one

    async def pass_time(self, seconds: float) -> None:
        """In steps that are shorter than a beat."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            for one in self.engines:
                await one.until_idle()

    async def until(self, true: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it becomes true within a minute of the clock."""
        for _ in range(60):
            if await true():
                return True
            await self.pass_time(1)
        return False

    async def leave(self, one: Engine) -> None:
        """It stops as on SIGTERM."""
        self.engines.remove(one)
        await one.leave()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """Without processes."""
    found = Cluster()
    yield found
    for one in list(found.engines):
        await found.leave(one)


async def set_up(one: Engine, *workflows: Any) -> None:
    """Two people, and what they are sent."""
    await one.create_setup(*(workflows or (workflow("hello"),)))
    for name in ("ada", "bob"):
        await one.put_user(name)


def effects(one: Engine) -> int:
    """How many messages it sent."""
    return len(one.provider.effects)


async def sent(one: Engine, number: int) -> bool:
    """Whether so many messages are sent."""
    found = (await one.messages()).values()
    return len(found) == number and all(m.status is Status.SENT for m in found)


async def test_one_process_accepts_and_another_sends(cluster):
    """The one with the role `api` plans nothing; what it accepted waits for a worker."""
    api = await cluster.start("api", Role.API)
    await set_up(api)
    await api.trigger("hello", "ada", "bob")
    await cluster.pass_time(5)
    assert await api.messages() == {}
    assert not any(name.startswith(("plan", "dispatch", "wake")) for name in api.pipeline.loops.states())
    worker = await cluster.start("worker", Role.WORKER)
    assert await cluster.until(lambda: sent(worker, 2))
    assert (effects(api), effects(worker)) == (0, 2)


async def test_lanes_and_channels_are_pinned_to_workers(cluster):
    """Each plans its own lanes; a message goes out through a worker of its lane that has its channel."""
    fast = await cluster.start("fast", Role.WORKER, lanes=(Lane.CRITICAL, Lane.HIGH))
    texts = await cluster.start("texts", Role.WORKER, lanes=(Lane.NORMAL, Lane.BULK), channels=(Channel.SMS,))
    rest = await cluster.start(
        "rest",
        Role.WORKER,
        lanes=(Lane.NORMAL, Lane.BULK),
        channels=tuple(one for one in CHANNELS if one is not Channel.SMS),
    )
    await set_up(
        fast,
        workflow("hello"),
        workflow("mail", channel=Channel.EMAIL),
        workflow("alarm", lane=Lane.CRITICAL),
    )
    for key in ("hello", "mail", "alarm"):
        await fast.trigger(key, "ada", "bob")
    assert await cluster.until(lambda: sent(rest, 6))
    assert {
        one.process.node: {(e.message.lane, e.message.channel) for e in one.provider.effects}
        for one in (fast, texts, rest)
    } == {
        "fast": {(Lane.CRITICAL, Channel.SMS)},
        "texts": {(Lane.NORMAL, Channel.SMS)},
        "rest": {(Lane.NORMAL, Channel.EMAIL)},
    }
    plans = {one.process.node: one.plans for one in await fast.ledger.leases.workers()}
    assert plans["fast"] == (Lane.CRITICAL, Lane.HIGH)
    assert set(plans["texts"] + plans["rest"]) == {Lane.NORMAL, Lane.BULK}


async def test_what_no_process_does_is_a_warning_until_one_does(cluster):
    """Lanes, channels and timers, each with what to start; the process stays ready."""
    one = await cluster.start("one", Role.API, Role.WORKER, lanes=(Lane.HIGH, Lane.NORMAL, Lane.CRITICAL))
    warned = await one.pipeline.warnings()
    assert set(warned) == {"lane bulk", "timers"}
    assert "role `worker`" in warned["lane bulk"]
    bulk = await cluster.start("two", Role.WORKER, Role.TIMERS, channels=(Channel.EMAIL,))
    await cluster.pass_time(BEAT_S + 1)
    warned = await one.pipeline.warnings()
    assert set(warned) == {"lane bulk"}
    assert "in_app, sms, push" in warned["lane bulk"]
    assert (await one.pipeline.health())["engine"] == "ok"
    await cluster.leave(bulk)
    await cluster.pass_time(BEAT_S + 1)
    assert set(await one.pipeline.warnings()) == {"lane bulk", "timers"}


async def test_only_one_process_takes_timers_and_another_follows_when_it_dies(cluster, monkeypatch):
    """The oldest. A killed one is followed when its lease is over, one that stops at once."""
    did: list[str] = []

    async def noted(service: Any) -> None:
        did.append(next(e.process.node for e in cluster.engines if e.services.whatsapp is service))

    monkeypatch.setattr(WhatsAppService, "sweep", noted)
    monkeypatch.setattr("clarion.services.whatsapp.LOOK_EVERY_S", 1.0)
    first = await cluster.start("first", Role.TIMERS)
    await cluster.start("second", Role.API, Role.TIMERS)
    await cluster.start("third", Role.TIMERS)
    await cluster.pass_time(10)
    assert set(did) == {"first"}
    did.clear()
    await first.kill()
    await cluster.pass_time(LEASE_S - 2 * BEAT_S)
    assert did == []
    await cluster.pass_time(4 * BEAT_S)
    assert set(did) == {"second"}
    second = cluster.engines[1]
    await cluster.leave(second)
    did.clear()
    await cluster.pass_time(BEAT_S + 2)
    assert set(did) == {"third"}
    cluster.engines.remove(first)


async def test_who_cannot_reach_the_store_does_not_go_on_with_timers(cluster, monkeypatch):
    """It cannot hear that another one took over, so it stops by its own clock when its lease is over."""
    did: list[str] = []

    async def noted(service: Any) -> None:
        did.append(next(e.process.node for e in cluster.engines if e.services.whatsapp is service))

    async def away(*_: Any) -> None:
        raise Unavailable("nobody answers")

    monkeypatch.setattr(WhatsAppService, "sweep", noted)
    monkeypatch.setattr("clarion.services.whatsapp.LOOK_EVERY_S", 1.0)
    first = await cluster.start("first", Role.TIMERS)
    await cluster.start("second", Role.TIMERS)
    with monkeypatch.context() as cut:
        for name in ("beat", "workers", "reap"):
            cut.setattr(first.ledger.leases, name, away)
        await cluster.pass_time(LEASE_S + 3 * BEAT_S)
        did.clear()
        await cluster.pass_time(5)
        assert set(did) == {"second"}
    await cluster.pass_time(2 * BEAT_S)
    did.clear()
    await cluster.pass_time(5)
    assert set(did) == {"second"}, "the first is the youngest now"


async def test_an_operation_that_one_process_took_is_done_by_the_one_with_timers(cluster):
    """It looks for those it was not told of."""
    api = await cluster.start("api", Role.API)
    await set_up(api)
    await cluster.start("timers", Role.TIMERS)
    asked = await api.services.operations.start(api.tenant, OperationKind.RETRY_MESSAGES, MessageFilter())

    async def done() -> bool:
        found = await api.ledger.operations.get(api.tenant, asked.id)
        return found is not None and found.status is OperationStatus.SUCCEEDED

    assert await cluster.until(done)


async def test_a_process_that_is_asked_to_drain_hears_of_it(cluster):
    """With its next beat; the others do not."""
    one = await cluster.start("one", Role.API)
    other = await cluster.start("other", Role.WORKER)
    await one.services.cluster.drain("other")
    await cluster.pass_time(BEAT_S + 1)
    assert (one.pipeline.lease.drain_asked.is_set(), other.pipeline.lease.drain_asked.is_set()) == (
        False,
        True,
    )


async def test_who_stops_leaves_everything_to_others_at_once(cluster):
    """Its lanes and what it holds are free when it is gone, not when its lease would be over."""
    first = await cluster.start("first", Role.WORKER)
    await set_up(first)
    second = await cluster.start("second", Role.WORKER)
    assert {one.process.node for one in await first.ledger.leases.workers() if one.plans} == {"first"}
    await first.pipeline.loops.stop("dispatch-")
    await first.trigger("hello", "ada", "bob")
    await cluster.pass_time(BEAT_S + 1)
    assert [one.held for one in await first.ledger.leases.workers()] == [2, 0]
    began = cluster.clock.now()
    await cluster.leave(first)
    assert [one.process.node for one in await second.ledger.leases.workers()] == ["second"]
    assert await cluster.until(lambda: sent(second, 2))
    assert cluster.clock.now() - began < LEASE_MS / 2
    assert [one.plans for one in await second.ledger.leases.workers()] == [LANES]
