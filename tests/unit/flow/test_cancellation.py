"""Canceling a message or an event while it is on its way: never both canceled and sent."""

import asyncio

import pytest

from clarion.flow import lanes
from clarion.model.channel import Channel
from clarion.model.ids import EventId, Instant
from clarion.model.message import MessageFilter
from clarion.model.outcome import Accepted, Retry
from clarion.model.setup import SendAll, Step
from clarion.model.status import Reason, Status
from clarion.model.submission import Recipient
from clarion.model.user import UserPut
from clarion.testing.providers import RecordingProvider
from tests.engine import engine, workflow

CANCELED = (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def until(true) -> None:
    """Let the loop turn until something is so."""
    for _ in range(5_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never came")


async def test_a_scheduled_event_is_canceled_whole(store):
    """All its messages, for everybody; nothing of them goes when the time comes. Twice is as good as once."""
    async with engine(store) as clarion:
        both = SendAll(channels=(Channel.SMS, Channel.EMAIL))
        steps = (Step(key="note", template="note", to=both),)
        await clarion.create_setup(workflow("hello", steps=steps))
        for name in ("ada", "bob"):
            await clarion.put_user(name)
        accepted = await clarion.trigger("hello", "ada", "bob", delay_s=3_600)
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 4
        assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 0
        await clarion.pass_time(4_000)
        found = (await clarion.messages(event_id=accepted.event_id)).values()
        assert {(m.status, m.reason) for m in found} == {CANCELED}
        assert len(clarion.provider.effects) == 2


async def test_an_event_that_nobody_was_told_of_is_not_known(store):
    """Well-formed, and no event."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        assert await clarion.services.cancellations.event(clarion.tenant, EventId(bytes(16))) is None


async def test_an_event_is_canceled_before_it_is_planned(store):
    """Right after the 202, and the fan-out to a topic's later pages too: everybody has a canceled message."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        users = await clarion.ledger.users.put(clarion.tenant, [UserPut(id=f"u{n}") for n in range(1_203)])
        await clarion.ledger.topics.subscribe(clarion.tenant, "all", [user.no for user in users])
        accepted = await clarion.trigger("hello", Recipient(topic="all"), delay_s=60)
        await clarion.services.cancellations.event(clarion.tenant, accepted.event_id)
        await clarion.pass_time(100)
        found = (await clarion.messages(event_id=accepted.event_id)).values()
        assert len(found) == len(users)
        assert not [m for m in found if m.status in (Status.QUEUED, Status.DEFERRED, Status.SENT)]
        assert clarion.provider.effects == []


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_is_being_called_is_not_canceled(store, idempotent):
    """Its call may arrive any moment: it is recorded as sent, whoever asked for what meanwhile."""
    provider = RecordingProvider(batch=50, idempotent=idempotent)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        provider.proceed.clear()
        accepted = await clarion.trigger("hello", "ada")
        await until(lambda: provider.under_way)
        assert await clarion.services.cancellations.message(await clarion.one()) is Status.SENDING
        assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 0
        provider.proceed.set()
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT
        assert len(provider.effects) == 1


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("whole_event", [True, False])
async def test_what_waits_in_memory_is_not_sent_once_it_is_canceled(
    store, monkeypatch, idempotent, whole_event
):
    """It is held, queued and about to go; the cancellation was answered first."""
    provider = RecordingProvider(batch=1, idempotent=idempotent)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        in_flight: list[tuple[lanes.LaneQueue, lanes.InFlight]] = []
        put = lanes.LaneQueue.put
        monkeypatch.setattr(lanes.LaneQueue, "put", lambda self, one: in_flight.append((self, one)))
        accepted = await clarion.trigger("hello", "ada")
        await until(lambda: in_flight)
        if whole_event:
            assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 1
        else:
            assert await clarion.services.cancellations.message(await clarion.one()) is Status.CANCELED
        monkeypatch.undo()
        for queue, one in in_flight:
            put(queue, one)
        await clarion.pass_time(200)
        assert provider.effects == []
        message = await clarion.one()
        assert (message.status, message.reason) == CANCELED


async def test_a_cancellation_that_came_too_late_stops_no_retry(store):
    """What was sent and failed is sent again when a person asks for it, also right after somebody canceled it."""
    provider = RecordingProvider(batch=50, otherwise=Retry(), idempotent=True)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("hello", "ada")
        for _ in range(60):
            await clarion.pass_time(900)
        dead = await clarion.one()
        assert dead.status is Status.DEAD_LETTERED
        assert await clarion.services.cancellations.message(dead) is Status.DEAD_LETTERED
        assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 0
        provider.otherwise = Accepted()
        clarion.clock.advance(1)
        now = Instant(clarion.clock.now())
        assert await clarion.ledger.records.requeue(
            clarion.tenant, MessageFilter(), [dead.id], now, 1, {}
        ) == {dead.id}
        await clarion.pass_time(1)
        assert (await clarion.one()).status is Status.SENT


async def test_what_has_begun_is_begun_until_its_outcome_is_stored(store, monkeypatch):
    """The call is over and the ledger still knows nothing: a cancellation in between changes nothing either."""
    provider = RecordingProvider(batch=50, idempotent=True)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        settle, stored = clarion.ledger.messages.settle, asyncio.Event()

        async def late(worker, settlements):
            await stored.wait()
            return await settle(worker, settlements)

        monkeypatch.setattr(clarion.ledger.messages, "settle", late)
        accepted = await clarion.trigger("hello", "ada")
        await until(lambda: clarion.provider.effects)
        assert await clarion.services.cancellations.event(clarion.tenant, accepted.event_id) == 0
        stored.set()
        await clarion.until_idle()
        assert (await clarion.one()).status is Status.SENT
        assert clarion.pipeline.guard._begun == {}
