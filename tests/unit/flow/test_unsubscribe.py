"""Mails say how to leave, and who left gets nothing more, whatever is queued."""

import pytest

from clarion.model.channel import Channel
from clarion.model.consent import ConsentSource
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Category, Integration, IntegrationLimits
from clarion.model.status import Reason, Status
from clarion.services.unsubscribe import PATH
from tests.engine import engine, workflow

EMAIL = Channel.EMAIL


@pytest.mark.parametrize(
    ("category", "channel", "offered"),
    [
        (Category(key="news"), EMAIL, True),
        (Category(key="alarm", critical=True), EMAIL, False),
        (Category(key="news"), Channel.SMS, False),
    ],
)
async def test_a_mail_says_how_to_leave_its_category(store, category, channel, offered):
    """Where it can be left; the address leads to that person and category, and hides both."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", category.key, channel), categories=(category,))
        ada = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        url = clarion.provider.effects[0].unsubscribe_url
        assert bool(url) is offered
        if offered:
            assert url.startswith(f"https://notify.example{PATH}")
            choice = await clarion.services.unsubscribe.read(url.rpartition("/")[2])
            assert (choice.user.no, choice.category.key, choice.tenant.id) == (ada.no, "news", clarion.tenant)
            assert choice.subscribed


async def test_what_is_queued_is_not_sent_after_leaving(store):
    """The mail was planned, due and in memory when the person left: it is suppressed, and says why."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", "news", EMAIL))
        await clarion.put_user("ada")
        unsubscribing = clarion.services.unsubscribe
        clarion.provider.proceed.clear()
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        (first,) = clarion.provider.calls[0]
        choice = await unsubscribing.read(first.unsubscribe_url.rpartition("/")[2])
        second = await clarion.trigger("hello", "ada")
        await unsubscribing.leave(choice, ConsentSource.UNSUBSCRIBE_LINK)
        clarion.provider.proceed.set()
        await clarion.until_idle()
        message = await clarion.one(event_id=second.event_id)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        assert len(clarion.provider.calls) == 1


async def test_other_categories_go_on(store):
    """Leaving one leaves the others alone."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", "news", EMAIL), workflow("bill", "bills", EMAIL))
        ada = await clarion.put_user("ada")
        unsubscribing = clarion.services.unsubscribe
        await unsubscribing.leave(
            await unsubscribing.read(unsubscribing.token(clarion.tenant, ada.no, "news")),
            ConsentSource.UNSUBSCRIBE_LINK,
        )
        for key in ("hello", "bill"):
            await clarion.trigger(key, "ada")
        await clarion.until_idle()
        assert (await clarion.one(workflow="hello")).status is Status.SUPPRESSED
        assert (await clarion.one(workflow="bill")).status is Status.SENT


def left(message) -> Receipt:
    """A provider says that the person of this message has left."""
    return Receipt(
        tenant=message.tenant, message_id=message.id, kind=ReceiptKind.UNSUBSCRIBED, at=message.created_at
    )


async def test_who_leaves_through_a_provider_is_opted_out(store):
    """Of that category on that channel, before the provider is answered; what was queued is not sent."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("mail", "news", EMAIL),
            workflow("text", "news", Channel.SMS),
            workflow("bill", "bills", EMAIL),
        )
        one_at_a_time = Integration(
            key="main-email",
            channel=EMAIL,
            provider="recording",
            limits=IntegrationLimits(concurrency=1),
        )
        await clarion.ledger.setup.integrations.put(clarion.tenant, one_at_a_time)
        await clarion.put_user("ada")
        clarion.provider.proceed.clear()
        first = await clarion.trigger("mail", "ada")
        await clarion.until_idle()
        queued = await clarion.trigger("mail", "ada")
        await clarion.until_idle()
        assert await clarion.pipeline.receive([left(await clarion.one(event_id=first.event_id))]) == [True]
        clarion.provider.proceed.set()
        await clarion.until_idle()
        message = await clarion.one(event_id=queued.event_id)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        for key in ("text", "bill"):
            await clarion.trigger(key, "ada")
        await clarion.until_idle()
        assert (await clarion.one(workflow="text")).status is Status.SENT
        assert (await clarion.one(workflow="bill")).status is Status.SENT


async def test_leaving_on_a_phone_leaves_the_mails_alone(store):
    """The channel that was left is the one the message went by."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("text", "news", Channel.SMS), workflow("mail", "news", EMAIL))
        await clarion.put_user("ada")
        answer = await clarion.trigger("text", "ada")
        await clarion.until_idle()
        await clarion.pipeline.receive([left(await clarion.one(event_id=answer.event_id))])
        later = [await clarion.trigger(key, "ada") for key in ("text", "mail")]
        await clarion.until_idle()
        text, mail = [await clarion.one(event_id=one.event_id) for one in later]
        assert (text.status, text.reason) == (Status.SUPPRESSED, Reason.OPTED_OUT)
        assert mail.status is Status.SENT


async def test_who_came_back_is_not_sent_away_by_a_repeated_report(store):
    """Providers deliver the same report more than once."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("mail", "news", EMAIL))
        await clarion.put_user("ada")
        answer = await clarion.trigger("mail", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=answer.event_id)
        unsubscribing = clarion.services.unsubscribe
        assert await clarion.pipeline.receive([left(message), left(message)]) == [True, False]
        choice = await unsubscribing.about(message)
        assert not choice.subscribed
        await unsubscribing.return_to(choice)
        assert await clarion.pipeline.receive([left(message)]) == [False]
        assert (await unsubscribing.about(message)).subscribed


async def test_what_is_critical_cannot_be_left(store):
    """The report is noted; the person still hears of what must reach them."""
    async with engine(store) as clarion:
        await clarion.create_setup(
            workflow("alarm", "alarm", EMAIL), categories=(Category(key="alarm", critical=True),)
        )
        await clarion.put_user("ada")
        answer = await clarion.trigger("alarm", "ada")
        await clarion.until_idle()
        await clarion.pipeline.receive([left(await clarion.one(event_id=answer.event_id))])
        again = await clarion.trigger("alarm", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=again.event_id)).status is Status.SENT
