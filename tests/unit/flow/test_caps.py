"""Frequency caps count what is sent, when it is sent, however long it waited and for whatever."""

from __future__ import annotations

import pytest

from clarion.model.channel import Channel
from clarion.model.outcome import Accepted, Misconfigured, Rejected, Retry
from clarion.model.setup import Category, Template
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap
from clarion.testing.providers import Answer, RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

NEWS = Category(key="news", caps=(FrequencyCap(limit=1, window_s=3_600),))
THROTTLED = (Status.THROTTLED, Reason.FREQUENCY_CAP)
SENT = (Status.SENT, None)


async def outcomes(clarion: Engine) -> list[tuple[Status, Reason | None]]:
    """In the order the messages came in."""
    found = sorted((await clarion.messages()).values(), key=lambda m: m.id)
    return [(m.status, m.reason) for m in found]


@pytest.mark.parametrize(
    "answer", [Retry(), Retry(after_s=90), Misconfigured()], ids=["retry", "later", "repair"]
)
async def test_a_message_that_waited_goes_only_if_there_is_still_room(store, answer: Answer):
    """While the first waits the second is sent; then the first is over the cap, and says so."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"), categories=(NEWS,))
        await clarion.put_user("ada")
        provider.otherwise = answer
        await clarion.trigger("w", "ada")
        await clarion.pass_time(0.1)
        provider.otherwise = Accepted()
        assert [status for status, _ in await outcomes(clarion)] == [Status.DEFERRED]
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        for _ in range(10):
            await clarion.pass_time(60)
        assert sorted(status for status, _ in await outcomes(clarion)) == sorted(
            [Status.SENT, Status.THROTTLED]
        )
        assert len(provider.effects) == 1


async def test_messages_that_wait_for_an_integration_are_counted_when_they_go(store):
    """Planned hours apart, they come back together: one goes, the other is over the cap."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"), categories=(NEWS,))
        await clarion.put_user("ada")
        main = clarion.ledger.setup.integrations.all(clarion.tenant)["main-sms"]
        await clarion.ledger.setup.integrations.delete(clarion.tenant, "main-sms")
        for _ in range(2):
            await clarion.trigger("w", "ada")
            await clarion.pass_time(7_200)
        await clarion.ledger.setup.integrations.put(clarion.tenant, main)
        for _ in range(10):
            await clarion.pass_time(600)
        assert sorted(status for status, _ in await outcomes(clarion)) == sorted(
            [Status.SENT, Status.THROTTLED]
        )


@pytest.mark.parametrize(
    ("text", "answer", "status"),
    [("{{ 1 / 0 }}", Accepted(), Status.FAILED), ("x", Rejected(), Status.REJECTED)],
    ids=["template error", "rejected"],
)
async def test_what_was_never_sent_does_not_count(store, text, answer: Answer, status):
    """The next one has the room."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"), categories=(NEWS,))
        await clarion.put_user("ada")
        await clarion.ledger.setup.templates.put(
            clarion.tenant, Template(key="note", channels={Channel.SMS: {"en": {"text": text}}})
        )
        provider.otherwise = answer
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        await clarion.ledger.setup.templates.put(
            clarion.tenant, Template(key="note", channels={Channel.SMS: {"en": {"text": "y"}}})
        )
        provider.otherwise = Accepted()
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert [found for found, _ in await outcomes(clarion)] == [status, Status.SENT]
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert (await outcomes(clarion))[-1] == THROTTLED
        assert [sms_text(one) for one in provider.effects][-1] == "y"


async def test_a_message_behind_another_of_its_thread_is_counted_when_its_turn_comes(store):
    """Not while it waits: what is sent in the meantime has the room."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(
            workflow("chat", "calm", thread=""), workflow("w", "calm"),
            categories=(Category(key="calm", caps=(FrequencyCap(limit=2, window_s=3_600),)),),
        )  # fmt: skip
        await clarion.put_user("ada")
        provider.script["+4915112345678"] = Retry()
        await clarion.trigger("chat", "ada")
        await clarion.trigger("chat", "ada")
        await clarion.pass_time(1)
        provider.script.clear()
        await clarion.trigger("w", "ada")
        for _ in range(20):
            await clarion.pass_time(30)
        found = await outcomes(clarion)
        assert sorted(found, key=str) == sorted([SENT, SENT, THROTTLED], key=str)
        assert len(provider.effects) == 2


async def test_what_was_counted_when_the_process_died_still_holds_its_place(store):
    """It is on its way until somebody knows what became of it."""
    provider = RecordingProvider(batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("w"), categories=(NEWS,))
        await clarion.put_user("ada")
        await clarion.pipeline.loops.stop("dispatch-")
        await clarion.trigger("w", "ada")
        while not await clarion.messages():
            await clarion.clock.sleep(0)
        await clarion.crash()
        clarion.clock.advance(7_200)
        await clarion.open()
        await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert sorted(await outcomes(clarion), key=str) == sorted([SENT, THROTTLED], key=str)
