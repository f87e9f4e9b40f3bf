"""Taking back what was sent: canceled when it waits, withdrawn or edited when it is out, and said when it cannot be."""

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.flow.dispatch.withdrawals import HELD_MS
from clarion.model.channel import Channel
from clarion.model.content import InAppContent, SmsContent
from clarion.model.ids import TenantId
from clarion.model.inbox import InboxChange
from clarion.model.outcome import Accepted, Gone, Misconfigured, Rejected, Retry
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.setup import Integration, IntegrationLimits
from clarion.model.status import Reason, Status
from clarion.ports.provider import TakesBack
from clarion.rules.withdrawals import in_words, result
from clarion.services.withdrawals import TakenBack
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

BOTH = TakesBack(edits=True, withdraws=True)


def chatty(**script: Any) -> RecordingProvider:
    """A provider that takes back what it sent, and calls every message `m-1`."""
    provider = RecordingProvider(otherwise=Accepted(provider_id="m-1"), batch=50, takes_back=BOTH)
    provider.script.update(script)
    return provider


async def withdrawn(clarion: Engine, **where) -> TakenBack:
    """What comes of taking back the only message, when nothing more happens."""
    (taken,) = await clarion.services.withdrawals.withdraw([await clarion.one(**where)])
    await clarion.until_idle()
    return taken


async def said(clarion: Engine, **where) -> str:
    """What the timeline of the only message says of its withdrawal."""
    change = result(await clarion.ledger.records.changes(clarion.tenant, (await clarion.one(**where)).id))
    return "" if change is None else in_words(change)


async def waiting(clarion: Engine) -> int:
    """How many withdrawals are not done."""
    return len(await clarion.ledger.withdrawals.waiting(list(await clarion.messages())))


async def test_what_is_not_sent_is_canceled(store):
    """Its reason says that it was withdrawn; nobody is called."""
    async with engine(store, provider=chatty()) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada", delay_s=60)
        await clarion.until_idle()
        assert await withdrawn(clarion) is TakenBack.CANCELED
        message = await clarion.one()
        assert (message.status, message.reason) == (Status.CANCELED, Reason.WITHDRAWN)
        await clarion.pass_time(100)
        assert (clarion.provider.effects, clarion.provider.withdrawn) == ([], [])
        assert await withdrawn(clarion) is TakenBack.CANCELED


async def test_what_is_out_is_withdrawn_by_its_provider(store):
    """Through the integration that sent it, under the provider's own id, once; its status says as before that it was sent."""
    async with engine(store, provider=chatty()) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert await withdrawn(clarion) is TakenBack.ASKED
        (sent,) = clarion.provider.withdrawn
        assert (sent.provider_id, sent.contact.address) == ("m-1", "+4915112345678")
        assert (await clarion.one()).status is Status.SENT
        assert await said(clarion) == "It was withdrawn."
        assert await waiting(clarion) == 0
        changes = await clarion.ledger.records.changes(clarion.tenant, sent.message.id)
        assert [one.outcome for one in changes if one.outcome] == ["accepted", "withdrawn"]


async def test_a_message_that_is_being_sent_is_taken_back_when_it_is_out(store):
    """It cannot be stopped any more, so it is withdrawn as soon as its provider has it."""
    provider = chatty()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        provider.proceed.clear()
        await clarion.trigger("hello", "ada")
        for _ in range(5_000):
            if provider.under_way:
                break
            await asyncio.sleep(0.001)
        (taken,) = await clarion.services.withdrawals.withdraw([await clarion.one()])
        assert taken is TakenBack.ASKED
        provider.proceed.set()
        await clarion.pass_time(5)
        assert len(provider.withdrawn) == 1
        assert await said(clarion) == "It was withdrawn."


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Rejected(detail="too old"), "It cannot be withdrawn or changed: too old."),
        (Gone(), "It cannot be withdrawn or changed: nothing that was sent can be reached any more."),
    ],
)
async def test_what_cannot_be_withdrawn_is_said_with_its_reason(store, answer, words):
    """In the words of the provider, and only once however often it is asked."""
    async with engine(store, provider=chatty(withdraw=answer)) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert await withdrawn(clarion) is TakenBack.ASKED
        assert await said(clarion) == words
        assert await waiting(clarion) == 0
        assert (await clarion.one()).status is Status.SENT


async def test_a_provider_that_takes_nothing_back_is_not_called(store):
    """The explanation names it."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await withdrawn(clarion)
        assert clarion.provider.withdrawn == []
        assert await said(clarion) == (
            "It cannot be withdrawn or changed: Recording (tests) cannot withdraw what it has sent."
        )


@pytest.mark.parametrize("trouble", [Retry(), Misconfigured(), RuntimeError("broken")])
async def test_trouble_of_the_provider_is_tried_again(store, trouble):
    """Later, by the schedule of the lane, until the provider answers."""
    provider = chatty(withdraw=trouble)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await withdrawn(clarion)
        assert (len(provider.withdrawn), await waiting(clarion), await said(clarion)) == (1, 1, "")
        del provider.script["withdraw"]
        await clarion.pass_time(120)
        assert await said(clarion) == "It was withdrawn."
        assert await waiting(clarion) == 0


async def test_what_stays_in_trouble_is_given_up_and_says_so(store):
    """After as many calls as a message gets."""
    async with engine(store, provider=chatty(withdraw=Retry(detail="down"))) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await withdrawn(clarion)
        for _ in range(40):
            await clarion.pass_time(900)
        assert await said(clarion) == "It cannot be withdrawn or changed: given up, tried 10 times: down."
        assert await waiting(clarion) == 0


async def test_a_withdrawal_keeps_to_the_rate_limit(store):
    """Its calls come out of the same budget as those that send."""
    provider = chatty()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        limits = IntegrationLimits(per_second=1.0)
        one = Integration(key="main-sms", channel=Channel.SMS, provider="recording", limits=limits)
        await clarion.ledger.setup.integrations.put(clarion.tenant, one)
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        await clarion.services.withdrawals.withdraw([message])
        await clarion.until_idle()
        assert provider.withdrawn == []
        await clarion.pass_time(30)
        assert len(provider.withdrawn) == 1


async def test_a_crash_between_the_call_and_its_record_costs_one_more_call(store):
    """Nothing is stored of the first call: another process makes it again when its time is over, and says it once."""
    provider = chatty()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        end = clarion.pipeline.withdrawals._end

        async def dies(*given) -> None:
            raise RuntimeError("power cut")

        clarion.pipeline.withdrawals._end = dies
        await clarion.services.withdrawals.withdraw([message])
        await clarion.until_idle()
        assert (len(provider.withdrawn), await said(clarion)) == (1, "")
        clarion.pipeline.withdrawals._end = end
        await clarion.pass_time(HELD_MS / 1_000 + 5)
        assert (len(provider.withdrawn), await said(clarion)) == (2, "It was withdrawn.")
        changes = await clarion.ledger.records.changes(clarion.tenant, message.id)
        assert [one.outcome for one in changes].count("withdrawn") == 1


async def test_an_inbox_item_goes_from_every_device(store):
    """The change is published with exact counters; the message stays delivered, also when it was read already."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.IN_APP))
        ada = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        await clarion.inbox_actions.mark(clarion.tenant, ada.no, "read", [message.id])
        heard: list[InboxChange] = []
        clarion.fanout.subscribe(heard.extend)
        assert await withdrawn(clarion) is TakenBack.ASKED
        (change,) = heard
        assert [(one.message_id, one.sealed) for one in change.items] == [(message.id, b"")]
        _, counts = await clarion.ledger.inboxes.head(ada.no)
        assert (counts.total, counts.unread) == (0, 0)
        assert await said(clarion) == "It was withdrawn."
        assert (await clarion.one()).status is Status.DELIVERED


async def test_an_inbox_item_can_be_edited(store):
    """It says something else, in its place."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.IN_APP))
        ada = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        content = InAppContent(title="answered: yes")
        taken = await clarion.services.withdrawals.edit(await clarion.one(), ada, content)
        assert taken is TakenBack.ASKED
        await clarion.until_idle()
        (item,) = await clarion.ledger.inboxes.page(ada.no, None, 10)
        assert msgspec.json.decode(clarion.vault.open(ada.key, item.sealed))["title"] == "answered: yes"
        assert await said(clarion) == "It was changed after it was sent."


async def test_a_message_that_is_out_is_edited_by_its_provider(store):
    """The provider gets the new words and what it called the message; the latest edit is what stays."""
    provider = chatty()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        ada = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        for words in ("one", "two"):
            await clarion.services.withdrawals.edit(message, ada, SmsContent(text=words))
            await clarion.until_idle()
        assert [(sms_text(one), one.replaces) for one in provider.effects] == [
            ("hello", ""),
            ("one", "m-1"),
            ("two", "m-1"),
        ]


async def test_a_provider_that_cannot_edit_is_given_nothing_new(store):
    """An edit never becomes a second message."""
    provider = RecordingProvider(batch=50, takes_back=TakesBack(withdraws=True))
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        ada = await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await clarion.services.withdrawals.edit(await clarion.one(), ada, SmsContent(text="new"))
        await clarion.until_idle()
        assert len(provider.effects) == 1
        assert "cannot change what it has sent" in await said(clarion)


async def test_a_push_is_withdrawn_on_every_device(store):
    """Each is asked; one that is gone does not matter."""
    provider = chatty()
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello", channel=Channel.PUSH))
        await clarion.put_user("ada", devices=("phone", "tablet"))
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        await withdrawn(clarion)
        assert {one.contact and one.contact.address for one in provider.withdrawn} == {"phone", "tablet"}
        assert await said(clarion) == "It was withdrawn: the devices were asked to remove it."


async def test_a_deleted_user_ends_it(store):
    """Nobody is called for somebody who is not there any more."""
    provider = chatty(withdraw=Retry())
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        await withdrawn(clarion)
        await clarion.ledger.users.delete(clarion.tenant, "ada")
        await clarion.pass_time(100)
        assert len(provider.withdrawn) == 1
        assert await clarion.ledger.withdrawals.waiting([message.id]) == []


async def test_nothing_of_another_tenant_is_told(store):
    """A receipt about a message of somebody else's changes nothing."""
    async with engine(store, provider=chatty()) as clarion:
        await clarion.create_setup(workflow("hello"))
        await clarion.put_user("ada")
        await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one()
        foreign = Receipt(
            tenant=TenantId(9), message_id=message.id, kind=ReceiptKind.WITHDRAWN, at=clarion.clock.now()
        )
        assert await clarion.pipeline.receive([foreign]) == [False]
        assert await said(clarion) == ""
