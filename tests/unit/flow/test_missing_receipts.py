"""A message whose receipt is missed goes another way, and never once it is known to have arrived."""

from __future__ import annotations

from typing import Any

import pytest

from clarion.adapters.ledgers.memory import Tables
from clarion.model.channel import Channel
from clarion.model.message import Message, MessageFilter
from clarion.model.outcome import Gone, Outcome, Rejected, Unknown
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import (
    Category,
    Integration,
    IntegrationLimits,
    LadderChannel,
    SendLadder,
    Step,
)
from clarion.model.status import Reason, Status
from clarion.model.user import FrequencyCap, Preferences
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, workflow
from tests.several_providers import SeveralProviders

WITHIN_S = 30
SMS, PUSH = Channel.SMS, Channel.PUSH


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    """Both engines: what waits is a row that is due."""
    return Tables() if request.param == "memory" else tmp_path


def two() -> SeveralProviders:
    return SeveralProviders(a=RecordingProvider(batch=50), b=RecordingProvider(batch=50))


async def prepare(clarion: Engine, providers: SeveralProviders, **more: Any) -> None:
    """Both integrations miss receipts after half a minute."""
    await clarion.create_setup(workflow("hello", **more))
    await providers.create_integrations(clarion, receipt_within_s=WITHIN_S)
    await clarion.put_user("ada")


async def sent(clarion: Engine, **more: Any) -> Message:
    """A message that one of the providers took."""
    answer = await clarion.trigger("hello", "ada", **more)
    await clarion.until_idle()
    return await clarion.one(event_id=answer.event_id)


async def report(
    clarion: Engine,
    message: Message,
    integration: str | None,
    kind: ReceiptKind = ReceiptKind.DELIVERED,
    **more: Any,
) -> bool:
    """What a provider says about a message; whether it changed anything."""
    fields: dict[str, Any] = {"at": clarion.clock.now(), "integration": integration or ""} | more
    told = Receipt(tenant=message.tenant, message_id=message.id, kind=kind, **fields)
    (taken,) = await clarion.pipeline.receive([told])
    return bool(taken)


def taken(providers: SeveralProviders) -> int:
    """How often anybody's provider took a message."""
    return sum(len(one.effects) for one in providers.by_key.values())


def other(key: str | None) -> str:
    return "b" if key == "a" else "a"


async def test_a_missed_receipt_sends_a_message_through_another_integration(ledger):
    """Once, when the time is over; then it is sent, whether the second one reports or not."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        assert (message.status, message.reason) == (Status.DEFERRED, Reason.WAITING_FOR_RECEIPT)
        assert message.due_at == clarion.clock.now() + WITHIN_S * 1_000
        assert message.sent_at == clarion.clock.now()
        await clarion.pass_time(WITHIN_S - 2)
        assert taken(providers) == 1
        await clarion.pass_time(3)
        again = await clarion.one()
        assert (again.status, again.integration) == (Status.SENT, other(message.integration))
        assert (again.sent_at, again.attempt) == (message.sent_at, 2)
        await clarion.pass_time(10 * WITHIN_S)
        assert taken(providers) == 2


@pytest.mark.parametrize("kind", [ReceiptKind.DELIVERED, ReceiptKind.OPENED, ReceiptKind.COMPLAINED])
async def test_a_receipt_in_time_ends_the_wait(ledger, kind):
    """It arrived: nobody sends it again."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        assert await report(clarion, message, message.integration, kind)
        await clarion.pass_time(2 * WITHIN_S)
        assert (await clarion.one()).status is Status.DELIVERED
        assert taken(providers) == 1


@pytest.mark.parametrize(
    ("kind", "status"), [(ReceiptKind.FAILED, Status.UNDELIVERED), (ReceiptKind.BOUNCED, Status.BOUNCED)]
)
async def test_a_report_that_it_failed_ends_the_wait_too(ledger, kind, status):
    """What happens then is decided as for any message."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        assert await report(clarion, message, message.integration, kind, permanent=True)
        await clarion.pass_time(2 * WITHIN_S)
        assert (await clarion.one()).status is status
        assert taken(providers) == 1


async def test_a_late_receipt_of_the_first_counts_as_the_delivery(ledger):
    """Whichever provider says so; and the other's receipt changes nothing any more."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        await clarion.pass_time(WITHIN_S + 1)
        assert await report(clarion, message, message.integration)
        assert not await report(clarion, message, other(message.integration))
        assert (await clarion.one()).status is Status.DELIVERED


async def test_a_receipt_that_comes_right_before_the_second_call_stops_it(ledger):
    """Claimed is not sent: what is known when the call would begin counts."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        limits = IntegrationLimits(concurrency=1, timeout_s=60)
        await providers.create_integrations(clarion, receipt_within_s=WITHIN_S, limits=limits)
        message = await sent(clarion)
        second = providers.by_key[other(message.integration)]
        second.proceed.clear()
        for number in range(50):
            await clarion.put_user(f"user{number}")
            await clarion.trigger("hello", f"user{number}")
            await clarion.until_idle()
            if second.under_way:
                break
        clarion.clock.advance(WITHIN_S + 1)
        await clarion.until_idle()
        assert await report(clarion, message, message.integration)
        second.proceed.set()
        await clarion.pass_time(5)
        assert message.id not in {one.message.id for one in second.effects}
        assert (await clarion.messages())[message.id].status is Status.DELIVERED


async def test_the_wait_survives_a_crash(ledger):
    """Another process sends it again, once."""
    providers, clock = two(), ManualClock()
    async with engine(ledger, provider=providers, clock=clock) as clarion:
        await prepare(clarion, providers)
        await sent(clarion)
        await clarion.crash()
        async with engine(ledger, provider=providers, clock=clock) as again:
            await again.pass_time(WITHIN_S + 1)
            assert (await again.one()).status is Status.SENT
            assert taken(providers) == 2


async def test_without_another_integration_it_is_sent(store):
    """Nobody else could take it, so nothing is waited for."""
    providers = SeveralProviders(a=RecordingProvider(batch=50))
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        assert (await sent(clarion)).status is Status.SENT


async def test_when_the_others_are_gone_meanwhile_it_stays_sent(store):
    """Whoever took it is not given it a second time."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        await clarion.ledger.setup.integrations.delete(clarion.tenant, other(message.integration))
        await clarion.pass_time(WITHIN_S + 1)
        assert (await clarion.one()).status is Status.SENT
        assert taken(providers) == 1


async def test_what_would_be_too_late_is_not_sent_again(store):
    """It expires before the receipt could be missed."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers, expires_after_s=WITHIN_S)
        assert (await sent(clarion)).status is Status.SENT


async def test_somebody_who_left_meanwhile_gets_nothing_more(store):
    """The message stays what it is: sent."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        await sent(clarion)
        await clarion.put_user("ada", Preferences(channels={SMS: False}))
        await clarion.pass_time(WITHIN_S + 1)
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.SENT, None)
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert changes[-1].detail == "not sent once more (opted_out)"
        assert taken(providers) == 1


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Rejected(), Status.SENT), (Unknown(), Status.SENT), (Gone(), Status.BOUNCED)],
)
async def test_what_the_second_provider_refuses_was_still_sent_by_the_first(store, outcome: Outcome, status):
    """Only an address that does not exist is another matter: a late receipt then changes nothing."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        providers.by_key[other(message.integration)].otherwise = outcome
        await clarion.pass_time(WITHIN_S + 1)
        assert (await clarion.one()).status is status
        assert await report(clarion, message, message.integration) is (status is Status.SENT)


async def test_a_message_that_waits_for_its_receipt_counts_for_caps(store):
    """It reached the provider; sending it once more does not count twice, and is not stopped by itself."""
    providers = two()
    async with engine(store, provider=providers) as clarion:
        await prepare(clarion, providers)
        cap = Category(key="news", caps=(FrequencyCap(limit=1, window_s=3_600),))
        await clarion.ledger.setup.categories.put(clarion.tenant, cap)
        first = await sent(clarion)
        assert (await sent(clarion)).reason is Reason.FREQUENCY_CAP
        await clarion.pass_time(WITHIN_S + 1)
        assert (await clarion.messages())[first.id].status is Status.SENT
        assert taken(providers) == 2


async def test_a_retry_by_hand_begins_anew(ledger):
    """What failed after a while is sent like a new message, and its receipt is waited for again."""
    providers = two()
    async with engine(ledger, provider=providers) as clarion:
        await prepare(clarion, providers)
        message = await sent(clarion)
        await report(clarion, message, message.integration, ReceiptKind.FAILED)
        await clarion.services.retries.retry(clarion.tenant, MessageFilter(), [message.id], 1, "live")
        await clarion.pass_time(1)
        again = await clarion.one()
        assert (again.status, again.reason, again.attempt) == (Status.DEFERRED, Reason.WAITING_FOR_RECEIPT, 1)


# -- from channel to channel ---------------------------------------------------------------------------------


def ladder():
    """A push, and a text unless it is delivered within half a minute."""
    rungs = (LadderChannel(channel=PUSH, wait_s=WITHIN_S), LadderChannel(channel=SMS))
    return workflow("climb", steps=(Step(key="note", template="note", to=SendLadder(channels=rungs)),))


async def climb(clarion: Engine) -> Message:
    """The push of a ladder, sent."""
    await clarion.create_setup(ladder())
    await clarion.put_user("ada")
    await clarion.trigger("climb", "ada")
    await clarion.until_idle()
    return await clarion.one(channel=PUSH)


async def test_a_push_without_a_receipt_is_followed_by_a_text(ledger):
    """After the wait of its rung; also when the process ended meanwhile."""
    provider, clock = RecordingProvider(batch=50), ManualClock()
    async with engine(ledger, provider=provider, clock=clock) as clarion:
        await climb(clarion)
        await clarion.pass_time(WITHIN_S - 2)
        assert (await clarion.one(channel=SMS)).reason is Reason.WAITING_FOR_EARLIER_CHANNEL
        await clarion.crash()
        async with engine(ledger, provider=provider, clock=clock) as again:
            await again.pass_time(3)
            assert (await again.one(channel=SMS)).status is Status.SENT


async def test_the_receipt_of_the_push_cancels_the_text(ledger):
    """In time: nobody pays for it."""
    async with engine(ledger) as clarion:
        push = await climb(clarion)
        assert await report(clarion, push, push.integration)
        text = await clarion.one(channel=SMS)
        assert (text.status, text.reason) == (Status.CANCELED, Reason.LADDER_SATISFIED)
        await clarion.pass_time(WITHIN_S + 1)
        assert len(clarion.provider.effects) == 1


async def test_a_receipt_stops_a_text_that_already_waits_for_its_provider(ledger):
    """It was due and claimed, but its call had not begun: one success is enough."""
    provider = RecordingProvider(batch=50)
    async with engine(ledger, provider=provider) as clarion:
        push = await climb(clarion)
        slow = Integration(
            key="main-sms",
            channel=SMS,
            provider="recording",
            limits=IntegrationLimits(concurrency=1, timeout_s=60),
        )
        await clarion.ledger.setup.integrations.put(clarion.tenant, slow)
        await clarion.ledger.setup.workflows.put(clarion.tenant, workflow("other"))
        await clarion.put_user("bob")
        provider.proceed.clear()
        await clarion.trigger("other", "bob")
        await clarion.until_idle()
        clarion.clock.advance(WITHIN_S + 0.5)
        await clarion.until_idle()
        (text,) = (await clarion.messages(channel=SMS, workflow="climb")).values()
        assert text.status is Status.QUEUED, "it is claimed, and waits for the only slot"
        assert await report(clarion, push, push.integration)
        provider.proceed.set()
        await clarion.pass_time(5)
        assert len([one for one in provider.effects if one.message.channel is SMS]) == 1, "that to bob"
        text = (await clarion.messages())[text.id]
        assert (text.status, text.reason) == (Status.CANCELED, Reason.LADDER_SATISFIED)


async def test_a_receipt_does_not_cancel_a_text_whose_call_has_begun(ledger):
    """What may have reached somebody is told as it is."""
    provider = RecordingProvider(batch=50, idempotent=True)
    async with engine(ledger, provider=provider) as clarion:
        push = await climb(clarion)
        provider.proceed.clear()
        clarion.clock.advance(WITHIN_S + 0.5)
        await clarion.until_idle()
        assert await report(clarion, push, push.integration)
        provider.proceed.set()
        await clarion.pass_time(1)
        assert (await clarion.one(channel=SMS)).status is Status.SENT
