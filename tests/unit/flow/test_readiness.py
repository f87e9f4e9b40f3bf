"""Readiness tells the truth: a broken loop, queue, store or integration is named, and named no longer once it works."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import structlog

from clarion.adapters.system import SystemClock
from clarion.errors import ConfigError, Unavailable
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.loops import STEADY_S, Loops
from clarion.flow.plan.planner import Planner
from clarion.flow.readiness import STUCK_S, Readiness
from clarion.flow.timers.claims import Claimer
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.outcome import Accepted, Misconfigured
from clarion.model.setup import Integration
from clarion.model.status import Status
from clarion.ports.broker import Backlog
from clarion.ports.mailbox import Fetched
from clarion.services.endpoint_monitor import EndpointMonitor
from clarion.services.mail_reader import MailReader
from clarion.testing.memory_broker import MemoryBroker, MemoryLanes
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow

EVERY = 20.0
NORMAL_SMS = f"loop dispatch-{Lane.NORMAL}-{Channel.SMS}"


async def trouble(clarion: Engine) -> dict[str, str]:
    """Parts that keep the process from being ready."""
    return {name: state for name, state in (await clarion.pipeline.health()).items() if state != "ok"}


def events(logs: Sequence[Any], event: str) -> set[str]:
    return {log["part"] for log in logs if log["event"] == event}


async def test_every_loop_queue_store_and_integration_is_named(store):
    """What is not named could fail unseen."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("hello"))
        parts = await clarion.pipeline.health()
        loops = clarion.pipeline.loops.states().keys()
        assert loops <= {task.get_name() for task in asyncio.all_tasks()}
        assert {f"loop {name}" for name in loops} <= parts.keys()
        assert {f"queue {lane}/{channel}" for lane in LANES for channel in Channel} <= parts.keys()
        assert {"engine", "store", "integration 1/main-sms", "integration 1/inbox"} <= parts.keys()
        assert await trouble(clarion) == {}
        assert await clarion.pipeline.warnings() == {}


async def test_a_store_that_is_away_makes_no_loop_fail(store, monkeypatch):
    """Its own part says so; when it is back, nothing has to be restarted, and what was accepted meanwhile goes out."""

    async def away(*_: Any, **__: Any) -> None:
        raise Unavailable("nobody answers")

    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        with monkeypatch.context() as cut:
            for part, name in (
                (clarion.ledger.log, "take"),
                (clarion.ledger.log, "position"),
                (clarion.ledger.log, "end"),
                (clarion.ledger.log, "read"),
                (clarion.ledger.messages, "due"),
                (clarion.ledger.continuations, "claim"),
                (clarion.ledger.leases, "beat"),
            ):
                cut.setattr(part, name, away)
            clarion.pipeline.lease.refused()
            await clarion.pass_time(5)
            loops = {n: s for n, s in clarion.pipeline.loops.states().items() if s != "ok"}
            assert loops == {}
        await clarion.trigger("hello", "ada")
        await clarion.pass_time(5)
        assert (await clarion.one()).status is Status.SENT
        assert await trouble(clarion) == {}


@pytest.mark.parametrize(
    ("loop", "type_", "method"),
    [
        (f"loop plan-{Lane.NORMAL}", Planner, "_draft"),
        *((f"loop wake-{lane}", Claimer, "_due") for lane in LANES),
        (NORMAL_SMS, Recheck, "batch"),
        ("loop watch-endpoints", EndpointMonitor, "sweep"),
        ("loop watch-parts", Readiness, "check"),
    ],
)
async def test_a_loop_that_keeps_failing_is_named_until_it_works(store, monkeypatch, loop, type_, method):
    """`/readyz`, the metric and the log say so; restarting it every second does not make it look well in between."""
    whole = getattr(type_, method)

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("+441632960001")

    with structlog.testing.capture_logs() as logs:
        async with engine(store, provider=RecordingProvider()) as clarion:
            await clarion.create_setup(workflow("hello"))
            await clarion.put_user("ada")
            monkeypatch.setattr(type_, method, broken)
            state = "ok"
            for _ in range(4):
                if state == "ok":
                    await clarion.trigger("hello", "ada")
                    await clarion.pass_time(EVERY)
                    state = (await clarion.pipeline.health())[loop]
            assert "ZeroDivisionError" in state
            assert "+44" not in state
            stats = await clarion.pipeline.stats()
            assert stats[f"part.{loop}"] == 2
            assert stats[f"loop_failures.{loop.removeprefix('loop ')}"] >= 1
            assert any(log["event"] == "loop_failed" and f"loop {log['loop']}" == loop for log in logs)
            if type_ is not Readiness:
                await clarion.pipeline.readiness.check()
            monkeypatch.setattr(type_, method, whole)
            await clarion.pass_time(STEADY_S + 61)
            assert loop not in await trouble(clarion)
            assert (await clarion.pipeline.stats())[f"part.{loop}"] == 0
    if type_ is not Readiness:
        assert loop in events(logs, "part_in_trouble") & events(logs, "part_recovered")


async def test_a_loop_that_ends_is_named(monkeypatch):
    """Loops run until they are stopped; one that ends works no more."""

    async def ends() -> None:
        return

    worker = Loops(ManualClock())
    worker.start("short", ends)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert worker.states() == {"short": "it has ended: restart the process"}
    await worker.stop()
    assert worker.states() == {"short": "ok"}


async def test_a_queue_that_nobody_takes_from_is_named_until_it_moves(store, monkeypatch):
    """A message that waits in memory while nothing is taken for a minute is no short delay."""
    gate = asyncio.Event()
    whole = Recheck.batch

    async def at(self: Recheck, batch: Any) -> Any:
        await gate.wait()
        return await whole(self, batch)

    monkeypatch.setattr(Recheck, "batch", at)
    name = f"queue {Lane.NORMAL}/{Channel.SMS}"
    with structlog.testing.capture_logs() as logs:
        async with engine(store, provider=RecordingProvider()) as clarion:
            await clarion.create_setup(workflow("hello"))
            await clarion.put_user("ada")
            for _ in range(2):  # One in the hands of the loop, one behind it.
                await clarion.trigger("hello", "ada")
                await clarion.until_idle()
            await clarion.pass_time(STUCK_S / 2)
            assert (await clarion.pipeline.health())[name] == "ok"
            await clarion.pass_time(STUCK_S)
            assert (await clarion.pipeline.health())[name].startswith(
                "1 messages wait, and none was taken for "
            )
            assert (await clarion.pipeline.stats())[f"part.{name}"] == 2
            gate.set()
            await clarion.pass_time(10)
            assert await trouble(clarion) == {}
    assert name in events(logs, "part_in_trouble") & events(logs, "part_recovered")


async def test_a_store_that_cannot_write_is_named(store, monkeypatch):
    """In its own words."""

    async def said() -> str:
        return "the disk is full"

    async with engine(store, provider=RecordingProvider()) as clarion:
        with monkeypatch.context() as sick:
            sick.setattr(clarion.ledger, "health", said)
            assert await trouble(clarion) == {"store": "the disk is full"}
            assert (await clarion.pipeline.stats())["part.store"] == 2
        assert await trouble(clarion) == {}


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_broker_that_is_away_is_a_warning_until_it_is_back(tmp_path, hangs):
    """Whoever is refused can be told why; inboxes and messages that were planned before do not need it. One in the ledger is no
    part of its own."""

    class Elsewhere(MemoryBroker):
        away = False

        async def backlog(self, lane: Lane) -> Backlog:
            if self.away and hangs:
                await asyncio.Event().wait()
            if self.away:
                raise Unavailable("Kafka at kafka.example:9092 does not answer")
            return await super().backlog(lane)

    broker, clock = Elsewhere(MemoryLanes()), SystemClock()
    clarion = Engine(tmp_path, clock, RecordingProvider(), 1)  # type: ignore[arg-type]
    await clarion.work_on(clarion.opened(), broker)
    try:
        assert (await clarion.pipeline.health())["broker"] == "ok"
        broker.away = True
        await clarion.pipeline.readiness.check()
        said = (await clarion.pipeline.warnings())["broker"]
        assert said.startswith("no event is accepted or planned until it is back: ")
        assert said.endswith("does not answer within 2 s" if hangs else "kafka.example:9092 does not answer")
        assert await trouble(clarion) == {}
        broker.away = False
        await clarion.pipeline.readiness.check()
        assert await clarion.pipeline.warnings() == {}
    finally:
        await clarion.stop()
    async with engine(tmp_path, provider=RecordingProvider()) as alone:
        assert "broker" not in await alone.pipeline.health()


async def test_an_integration_with_an_open_circuit_is_a_warning_until_it_works(store):
    """Others may take over, and its messages wait: no reason to take the whole process out of service."""
    provider = RecordingProvider(otherwise=Misconfigured(detail="no such key"))
    name = "integration 1/main-sms"
    with structlog.testing.capture_logs() as logs:
        async with engine(store, provider=provider) as clarion:
            await clarion.create_setup(workflow("hello"))
            await clarion.put_user("ada")
            await clarion.trigger("hello", "ada")
            await clarion.until_idle()
            assert await trouble(clarion) == {}
            assert (await clarion.pipeline.warnings())[name].startswith("its circuit is open")
            assert name not in (await clarion.pipeline.health())
            assert (await clarion.pipeline.stats())[f"part.{name}"] == 1
            await clarion.pipeline.readiness.check()
            provider.otherwise = Accepted()
            for _ in range(4):
                await clarion.trigger("hello", "ada")
                await clarion.pass_time(60)
            assert await clarion.pipeline.warnings() == {}
            assert (await clarion.pipeline.health())[name] == "ok"
    assert name in events(logs, "part_in_trouble") & events(logs, "part_recovered")


@pytest.mark.parametrize("fault", [ConfigError("token: s3cret is wrong"), KeyError("s3cret")])
async def test_an_integration_that_cannot_be_opened_is_a_warning_until_it_can(store, fault):
    """Its settings may have been right for an older release. It is tried again now and then, not for every message."""
    provider = RecordingProvider()
    opened: list[int] = []

    def plugin(name: str = "recording", channels: Any = tuple(Channel)) -> Any:
        def start(*_: Any) -> Any:
            opened.append(1)
            if broken:
                raise fault
            return provider

        return msgspec.structs.replace(RecordingProvider().plugin(name, channels), open=start)

    broken = True
    provider.plugin = plugin  # type: ignore[method-assign]
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        for _ in range(5):
            await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        said = (await clarion.pipeline.warnings())["integration 1/main-sms"]
        assert "s3cret" not in said
        assert len(opened) == 1
        broken = False
        await clarion.pass_time(180)
        assert await clarion.pipeline.warnings() == {}
        assert {m.status for m in (await clarion.messages()).values()} == {Status.SENT}


async def test_a_channel_without_integration_is_a_warning_until_it_has_one(store):
    """How many workflows are concerned, without naming them to whoever asks."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.ledger.setup.integrations.delete(clarion.tenant, "main-sms")
        assert await trouble(clarion) == {}
        said = (await clarion.pipeline.warnings())["tenant 1"]
        assert said == "no integration serves sms, which 1 workflows use: `clarion check` names them"
        texts = Integration(key="texts", channel=Channel.SMS, provider="recording")
        await clarion.ledger.setup.integrations.put(clarion.tenant, texts)
        assert await clarion.pipeline.warnings() == {}


async def test_a_mailbox_that_cannot_be_read_is_a_warning_until_it_can():
    """Returned mail waits there, and nothing is lost."""

    class Mailbox:
        away = True

        async def fetch(self, limit: int) -> Sequence[Fetched]:
            if self.away:
                raise Unavailable("the IMAP server refuses the login")
            return []

        async def done(self, key: str) -> None: ...

        async def close(self) -> None: ...

    class Tenants:
        def all(self) -> Any:
            return {1: msgspec.defstruct("T", [("id", int), ("key", str)])(1, "acme")}

    box = Mailbox()
    reader = MailReader(None, box, Tenants(), ManualClock())  # type: ignore[arg-type]
    await reader.check()
    assert reader.trouble == "the IMAP server refuses the login"
    box.away = False
    await reader.check()
    assert reader.trouble == ""


async def test_a_process_that_drains_is_not_ready(store):
    """It takes nothing new."""
    async with engine(store, provider=RecordingProvider()) as clarion:
        await clarion.pipeline.drain(1)
        assert await trouble(clarion) == {"engine": "draining"}
