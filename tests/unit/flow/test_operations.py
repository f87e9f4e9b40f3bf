"""Work on many messages: tenants take turns, and neither a crash nor a cancellation does anything twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from clarion.model.ids import TenantId, id_text
from clarion.model.message import MessageFilter
from clarion.model.operation import OperationKind, OperationStatus
from clarion.model.outcome import Accepted, Retry
from clarion.model.setup import EventMatch, Tenant
from clarion.model.status import Status
from clarion.services import operations
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow

RETRY, CANCEL = OperationKind.RETRY_MESSAGES, OperationKind.CANCEL_MESSAGES
EVERYTHING = MessageFilter()


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    """So that few messages make many."""
    monkeypatch.setattr(operations, "SLICE", 2)


async def dead_letters(clarion: Engine, count: int) -> None:
    """People, each with a message that failed for good."""
    await clarion.create_setup(workflow("hello"))
    for n in range(count):
        await clarion.put_user(f"p{n}")
    await clarion.trigger("hello", *(f"p{n}" for n in range(count)))
    for _ in range(60):
        await clarion.pass_time(900)
    assert {m.status for m in (await clarion.messages()).values()} == {Status.DEAD_LETTERED}


async def by_hand(clarion: Engine) -> Any:
    """The operations of the house, whose loop is stopped: a test says when a round is."""
    await clarion.pipeline.loops.stop("operations")
    return clarion.services.operations


async def state_of(clarion: Engine, operation: Any) -> tuple[OperationStatus, int, int, int | None]:
    """Where it is, and how far."""
    found = await clarion.ledger.operations.get(operation.tenant, operation.id)
    assert found is not None
    return found.status, found.done, found.failed, found.total


async def eventually(true: Callable[[], Any]) -> None:
    """Let the loop turn until something is so."""
    for _ in range(20_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never came")


async def until(clarion: Engine, operation: Any, status: OperationStatus) -> None:
    """Let the loop of the process work until the operation is there."""
    for _ in range(20_000):
        if (await state_of(clarion, operation))[0] is status:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never came")


async def test_everything_that_failed_is_sent_again(store):
    """Slice by slice until nothing is left, by the loop of the process, which is among its parts."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await dead_letters(clarion, 5)
        provider.otherwise = Accepted()
        asked = await clarion.services.operations.start(clarion.tenant, RETRY, EVERYTHING)
        assert asked.status is OperationStatus.QUEUED
        await until(clarion, asked, OperationStatus.SUCCEEDED)
        assert await state_of(clarion, asked) == (OperationStatus.SUCCEEDED, 5, 0, 5)
        await clarion.pass_time(1)
        assert {m.status for m in (await clarion.messages()).values()} == {Status.SENT}
        assert (await clarion.pipeline.health())["loop operations"] == "ok"
        assert clarion.services.stats()["operation_items.done"] == 5


async def test_a_crash_in_the_middle_does_nothing_twice(store):
    """The next process goes on where the operation was: what failed once more meanwhile is not sent a third time."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await dead_letters(clarion, 5)
        work = await by_hand(clarion)
        asked = await work.start(clarion.tenant, RETRY, EVERYTHING)
        await work.round()
        assert await state_of(clarion, asked) == (OperationStatus.RUNNING, 2, 0, 5)
        for _ in range(60):
            await clarion.pass_time(900)
        again = [m for m in (await clarion.messages()).values() if m.status is Status.DEAD_LETTERED]
        assert len(again) == 5
        await clarion.crash()
        await clarion.open()
        await until(clarion, asked, OperationStatus.SUCCEEDED)
        assert await state_of(clarion, asked) == (OperationStatus.SUCCEEDED, 5, 0, 5)
        retried = [
            sum(c.reason == "retried" for c in await clarion.ledger.records.changes(clarion.tenant, m.id))
            for m in (await clarion.messages()).values()
        ]
        assert retried == [1] * 5


async def test_a_cancellation_in_the_middle_keeps_what_is_done(store):
    """And nothing more happens to the rest."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await dead_letters(clarion, 5)
        work = await by_hand(clarion)
        asked = await work.start(clarion.tenant, RETRY, EVERYTHING)
        await work.round()
        canceled = await work.cancel(clarion.tenant, asked.id)
        assert (canceled.status, canceled.done) == (OperationStatus.CANCELED, 2)
        while (await work.round())[0]:
            pass
        dead = [m for m in (await clarion.messages()).values() if m.status is Status.DEAD_LETTERED]
        assert len(dead) == 3


async def test_two_tenants_take_turns(store):
    """The long one of the first does not keep the second waiting, and each does its own only."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await dead_letters(clarion, 5)
        other = (await clarion.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))).id
        work = await by_hand(clarion)
        long = await work.start(clarion.tenant, RETRY, EVERYTHING)
        short = await work.start(other, RETRY, EVERYTHING)
        await work.round()
        await work.round()
        assert await state_of(clarion, short) == (OperationStatus.SUCCEEDED, 0, 0, 0)
        assert (await state_of(clarion, long))[:2] == (OperationStatus.RUNNING, 4)


async def test_one_that_breaks_does_not_keep_the_others_from_their_turn(store, monkeypatch):
    """What it could not do has failed, and can be tried again."""
    provider = RecordingProvider(batch=50, otherwise=Retry())
    async with engine(store, provider=provider) as clarion:
        await dead_letters(clarion, 3)
        work = await by_hand(clarion)
        asked = await work.start(clarion.tenant, RETRY, EVERYTHING)

        async def broken(*_: Any) -> None:
            raise ValueError("broken")

        whole = work._retries.versions
        monkeypatch.setattr(work._retries, "versions", broken)
        while (await work.round())[0]:
            pass
        assert await state_of(clarion, asked) == (OperationStatus.FAILED, 0, 3, 3)
        monkeypatch.setattr(work._retries, "versions", whole)
        await work.retry_failed(clarion.tenant, asked.id)
        while (await work.round())[0]:
            pass
        assert await state_of(clarion, asked) == (OperationStatus.SUCCEEDED, 3, 0, 3)


async def test_what_is_being_called_is_not_canceled(store):
    """It is among the errors; everything else is canceled and never sent."""
    provider = RecordingProvider(batch=50, idempotent=True)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        for name in ("ada", "bob", "eve"):
            await clarion.put_user(name)
        work = await by_hand(clarion)
        provider.proceed.clear()
        await clarion.trigger("hello", "ada")
        await eventually(lambda: provider.under_way)
        await clarion.trigger("hello", "bob", "eve", delay_s=3_600)
        await clarion.until_idle()
        asked = await work.start(clarion.tenant, CANCEL, EVERYTHING)
        while (await work.round())[0]:
            pass
        assert await state_of(clarion, asked) == (OperationStatus.PARTLY_FAILED, 2, 1, 3)
        provider.proceed.set()
        await clarion.pass_time(4_000)
        found = sorted(m.status for m in (await clarion.messages()).values())
        assert found == [Status.CANCELED, Status.CANCELED, Status.SENT]
        assert len(provider.effects) == 1


async def test_what_comes_later_is_not_touched(store):
    """An operation is about the messages that were there when it was asked for."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", delay_s=3_600)
        await clarion.until_idle()
        work = await by_hand(clarion)
        asked = await work.start(clarion.tenant, CANCEL, EVERYTHING)
        clarion.clock.advance(1)
        await clarion.trigger("hello", "ada", delay_s=3_600)
        await clarion.until_idle()
        while (await work.round())[0]:
            pass
        assert (await state_of(clarion, asked))[1] == 1
        found = sorted(m.status for m in (await clarion.messages()).values())
        assert found == [Status.CANCELED, Status.DEFERRED]


async def test_canceling_remembers_a_bounded_number_of_messages(store, monkeypatch):
    """While too many may still lie in memory the operation waits, and goes on when they cannot any more."""
    monkeypatch.setattr(operations, "MOST_STOPPED", 1)
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        for n in range(4):
            await clarion.put_user(f"p{n}")
        await clarion.trigger("hello", *(f"p{n}" for n in range(4)), delay_s=3_600)
        await clarion.until_idle()
        work = await by_hand(clarion)
        asked = await work.start(clarion.tenant, CANCEL, EVERYTHING)
        await work.round()
        assert await work.round() == (True, False)
        assert (await state_of(clarion, asked))[1] == 2
        clarion.clock.advance(600)
        await work.round()
        clarion.clock.advance(600)
        while (await work.round())[0]:
            pass
        assert await state_of(clarion, asked) == (OperationStatus.SUCCEEDED, 4, 0, 4)


async def test_the_end_of_an_operation_is_an_event(store):
    """Once, also when the process dies between telling it and noting it; what is canceled ends as well."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("told", on=EventMatch(type=operations.FINISHED)))
        work = await by_hand(clarion)
        heard: list[dict[str, Any]] = []
        submit = work._submit

        async def listening(tenant: TenantId, events: Any) -> Any:
            answers = await submit(tenant, events)
            heard.extend(
                msgspec.json.decode(event.data)
                for event, answer in zip(events, answers, strict=True)
                if not answer.repeated
            )
            return answers

        work._submit = listening
        asked = await work.start(clarion.tenant, RETRY, EVERYTHING)
        await work.round()
        found = await clarion.ledger.operations.get(clarion.tenant, asked.id)
        await work._close(found, OperationStatus.SUCCEEDED)
        assert (await state_of(clarion, asked))[0] is OperationStatus.SUCCEEDED
        await work._close(found, OperationStatus.SUCCEEDED)
        canceled = await work.start(clarion.tenant, CANCEL, EVERYTHING)
        await work.cancel(clarion.tenant, canceled.id)
        while (await work.round())[0]:
            pass
        assert [(one["operation_id"], one["status"]) for one in heard] == [
            (id_text(asked.id), "succeeded"),
            (id_text(canceled.id), "canceled"),
        ]
