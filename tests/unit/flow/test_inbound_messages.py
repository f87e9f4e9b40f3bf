"""What people write to us, on a whole engine: obeyed, kept, replied to once, and an event."""

import asyncio

import pytest
from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.content import WhatsAppContent
from clarion.model.ids import NO_USER, Instant, TenantId
from clarion.model.inbound import ANY_INBOUND, InboundFilter, InboundMessage, InboundVerdict, ReplyStatus
from clarion.model.outcome import Rejected, Retry, Unknown
from clarion.model.setup import EventMatch, Integration, Replies, SendAll, Step, Template
from clarion.model.status import Reason, Status
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.services.inbound_contents import opened
from clarion.services.inbound_messages import RECEIVED
from clarion.services.message_references import MessageReferences
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, sms_text, workflow

ADA = "+4915112345678"
STRANGER = "+15550100"
HEARD = Template(
    key="heard",
    channels={Channel.IN_APP: {"en": {"title": "{{ data.verdict }} on {{ data.channel }}"}}},
    example_data={},
)
LISTENER = workflow(
    "heard",
    steps=(Step(key="tell", template="heard", to=SendAll(channels=(Channel.IN_APP,))),),
    on=EventMatch(type=RECEIVED),
)


def written(text, number=1, sender=ADA, **more):
    """A message as the provider passes it on."""
    return InboundMessage(provider_id=f"p{number}", sender=sender, recipient="+2", text=text, **more)


async def take(clarion, *messages):
    """They come in through the integration for text messages."""
    integration = clarion.ledger.setup.integrations.all(clarion.tenant)["main-sms"]
    await clarion.services.inbound_messages.take(clarion.tenant, integration, messages)


async def suppressed(clarion):
    """Why each suppressed address is."""
    found = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
    return [one.reason for one in found]


async def kept(clarion, **where):
    """What is kept, oldest first."""
    found = await clarion.ledger.inbound.page(clarion.tenant, InboundFilter(**where), None, 50)
    return [*reversed(found)]


@pytest.fixture
async def clarion(store):
    """An engine with ada, who gets text messages."""
    async with engine(store) as one:
        await one.create_setup(workflow("text"), LISTENER)
        await one.ledger.setup.templates.put(one.tenant, HEARD)
        await one.put_user("ada")
        yield one


async def replies(clarion):
    """The texts that went out by themselves."""
    await clarion.until_idle()
    return [sms_text(one) for one in clarion.provider.effects if not one.message.workflow]


def suppression(clarion, reason):
    """That of Ada's number."""
    hashed = clarion.services.suppressions.hash_of(clarion.tenant, Channel.SMS, ADA)
    at = clarion.clock.now()
    return Suppression(tenant=clarion.tenant, channel=Channel.SMS, hash=hashed, reason=reason, at=at)


async def test_an_opt_out_is_effective_when_it_is_taken(clarion):
    """What is triggered afterwards is not sent; there is one confirmation, to the address that wrote."""
    await take(clarion, written("Please stop!"))
    assert await suppressed(clarion) == ["opted_out"]
    await clarion.trigger("text", "ada")
    assert await replies(clarion) == [
        "acme: You are unsubscribed and will get no more messages here. Reply START to get them again."
    ]
    message = await clarion.one(workflow="text")
    assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.SUPPRESSED_ADDRESS)
    (reply,) = clarion.provider.effects
    assert (reply.contact.address, reply.message.channel) == (ADA, Channel.SMS)
    assert clarion.services.stats()["messages_received.opt_out"] == 1
    assert clarion.services.stats()["replies.sent"] == 1


async def test_an_opt_out_is_of_its_channel(clarion):
    """STOP over WhatsApp ends WhatsApp messages to the number, and is confirmed there; text messages go on."""
    whatsapp = Integration(key="main-whatsapp", channel=Channel.WHATSAPP, provider="recording")
    await clarion.ledger.setup.integrations.put(clarion.tenant, whatsapp)
    await clarion.services.inbound_messages.take(clarion.tenant, whatsapp, [written("Stop")])
    (suppression,) = await clarion.ledger.suppressions.page(clarion.tenant, SuppressionFilter(), None, 10)
    assert (suppression.channel, suppression.reason) == (Channel.WHATSAPP, "opted_out")
    await clarion.trigger("text", "ada")
    await clarion.until_idle()
    assert (await clarion.one(workflow="text")).status is Status.SENT
    (reply,) = [one for one in clarion.provider.effects if not one.message.workflow]
    assert isinstance(reply.content, WhatsAppContent)
    assert reply.content.text.startswith("acme: You are unsubscribed")


async def test_an_opt_out_passed_on_again_is_confirmed_once(clarion):
    """Nor is a second one confirmed, or one that comes in twice at the same time."""
    await asyncio.gather(*(take(clarion, written("STOP")) for _ in range(3)))
    await take(clarion, written("STOP", 2))
    assert len(await replies(clarion)) == 1
    assert len(await kept(clarion)) == 2


async def test_start_lifts_what_stop_made(clarion):
    """And no other suppression."""
    await take(clarion, written("STOP"))
    await clarion.pass_time(1)
    await take(clarion, written("START", 2))
    assert await suppressed(clarion) == []
    await clarion.trigger("text", "ada")
    await clarion.until_idle()
    assert (await clarion.one(workflow="text")).status is Status.SENT
    by_caller = suppression(clarion, "by_caller")
    await clarion.services.suppressions.add([by_caller])
    await take(clarion, written("STOP", 3), written("START", 4))
    assert await suppressed(clarion) == ["by_caller"]
    assert [text.split(":")[1][:9] for text in await replies(clarion)] == [" You are ", " You will"]


async def test_who_lost_the_number_at_the_provider_may_come_back(clarion):
    """A provider's report of an opt-out says the same as a STOP that came in."""
    told = suppression(clarion, Reason.OPTED_OUT.value)
    await clarion.services.suppressions.add([told])
    await clarion.pass_time(1)
    await take(clarion, written("START"))
    assert await suppressed(clarion) == []


async def test_help_is_answered_with_the_text_of_the_tenant(clarion):
    """In the language of the person where there is one; also to somebody nobody knows, who gets no second one at once."""
    tenant = clarion.ledger.setup.tenants.all()[clarion.tenant]
    own = Replies(help={"de": "Hilfe: 0800 1", "en": "Call 0800 1"}, opted_out={"en": ""})
    await clarion.ledger.setup.tenants.put(replace(tenant, replies=own))
    await take(clarion, written("HELP"), written("hilfe", 2, STRANGER), written("info", 3, STRANGER))
    assert await replies(clarion) == ["Call 0800 1", "Call 0800 1"]
    await take(clarion, written("STOP", 4))
    assert len(await replies(clarion)) == 2, "an empty text is not sent"
    assert await suppressed(clarion) == ["opted_out"]


async def test_a_reply_the_provider_gave_itself_is_not_given_twice(clarion):
    """It says that it answered."""
    await take(clarion, written("STOP", answered=True))
    assert await replies(clarion) == []
    assert await suppressed(clarion) == ["opted_out"]


async def test_free_text_waits_for_a_person(clarion):
    """Nothing is suppressed until a person says so, and then nothing is replied."""
    await take(clarion, written("please don't stop"), written("Where is my order?", 2))
    assert await suppressed(clarion) == []
    waiting = await kept(clarion, needs_review=True)
    assert [one.verdict for one in waiting] == [InboundVerdict.UNCLEAR, InboundVerdict.OTHER]
    inbound = clarion.services.inbound_messages
    assert await inbound.review(clarion.tenant, waiting[0].seq, InboundVerdict.OPT_OUT) is not None
    assert await suppressed(clarion) == ["opted_out"]
    assert await kept(clarion, needs_review=True) == waiting[1:]
    assert await replies(clarion) == []
    assert await inbound.review(TenantId(9), waiting[1].seq, InboundVerdict.OPT_OUT) is None


async def test_a_message_becomes_an_event_that_workflows_hear(clarion):
    """Once, however often the provider passes it on; the text is not in it."""
    for _ in range(2):
        await take(clarion, written("Where is my order?"), written("STOP", 2))
    await clarion.until_idle()
    heard = (await clarion.messages(workflow="heard")).values()
    assert len(heard) == 2
    contents = [await clarion.services.message_contents.render(one) for one in heard]
    assert {content.title for content in contents} == {"other on sms", "opt_out on sms"}
    accepted = clarion.pipeline.intake.accepted
    await clarion.pass_time(25 * 3600)
    await take(clarion, written("Where is my order?"))
    assert clarion.pipeline.intake.accepted == accepted, "later than its key is remembered"


async def test_who_wrote_is_kept_and_what_they_wrote_is_sealed(clarion):
    """Under their own key; a stranger's under that of the tenant. What was answered is known by its reference."""
    answered = await clarion.trigger("text", "ada")
    await clarion.until_idle()
    message = await clarion.one(event_id=answered.event_id)
    reference = MessageReferences(clarion.vault).of(message)
    await take(
        clarion,
        written("It's me", reference=reference, media=("https://x.example/1",)),
        written("hello", 2, STRANGER, reference="nonsense"),
    )
    mine, stranger = await kept(clarion)
    (ada,) = (await clarion.ledger.users.find(clarion.tenant, ["ada"])).values()
    assert (mine.user, mine.message_id) == (ada.no, message.id)
    assert (stranger.user, stranger.message_id) == (NO_USER, None)
    content = opened(clarion.vault, mine, ada)
    assert content is not None
    assert (content.text, content.sender, content.media) == ("It's me", ADA, ("https://x.example/1",))
    assert b"It's me" not in mine.sealed
    assert opened(clarion.vault, mine, None) is None
    theirs = opened(clarion.vault, stranger, None)
    assert theirs is not None
    assert theirs.text == "hello"


async def test_a_time_in_the_future_is_now(clarion):
    """A provider's clock may be wrong; a time in the past counts."""
    now = clarion.clock.now()
    await take(clarion, written("a", 1, at=Instant(now + 90_000)), written("b", 2, at=Instant(now - 90_000)))
    assert [one.at for one in await kept(clarion)] == [now, now - 90_000]


async def test_an_opt_out_told_late_is_obeyed_and_not_confirmed(clarion):
    """After five minutes nobody expects it."""
    await take(clarion, written("STOP", at=Instant(clarion.clock.now() - 301_000)))
    assert await suppressed(clarion) == ["opted_out"]
    assert await replies(clarion) == []
    assert [one.reply for one in await kept(clarion)] == [ReplyStatus.FAILED]


async def test_a_reply_that_certainly_did_not_go_out_is_tried_again(store):
    """As soon as the provider can be asked again, within five minutes."""
    provider = RecordingProvider({ADA: Retry()}, batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup()
        await take(clarion, written("STOP"))
        assert await replies(clarion) == []
        provider.script.clear()
        await clarion.pass_time(40)
        assert len(await replies(clarion)) == 1
        assert [one.reply for one in await kept(clarion)] == [ReplyStatus.SENT]


@pytest.mark.parametrize("outcome", [Unknown(), Rejected(), RuntimeError("broken")])
async def test_a_reply_that_may_have_gone_out_is_never_repeated(store, outcome):
    """One confirmation is allowed, so none is risked twice."""
    provider = RecordingProvider({ADA: outcome}, batch=50)
    async with engine(store, provider=provider) as clarion:
        await clarion.create_setup()
        await take(clarion, written("STOP"))
        await clarion.pass_time(120)
        assert len(provider.calls) == 1
        assert [one.reply for one in await kept(clarion)] == [ReplyStatus.FAILED]


async def test_a_crash_while_a_reply_is_sent_repeats_nothing(store):
    """The next process leaves it; one that was not begun is sent by it."""
    silent = RecordingProvider(batch=50)
    silent.proceed.clear()
    clarion = await Engine(store, ManualClock(), silent, 1).open()
    await clarion.create_setup()
    await take(clarion, written("STOP"))
    await clarion.until_idle()
    await take(clarion, written("STOP", 2, STRANGER))
    await clarion.crash()
    async with engine(store, clock=clarion.clock, seed=2) as clarion:
        assert len(await replies(clarion)) == 1
        assert [one.reply for one in await kept(clarion)] == [ReplyStatus.SENDING, ReplyStatus.SENT]


async def test_an_integration_that_is_gone_replies_nothing(clarion):
    """The opt-out stands all the same."""
    integration = clarion.ledger.setup.integrations.all(clarion.tenant)["main-sms"]
    await clarion.ledger.setup.integrations.put(clarion.tenant, replace(integration, enabled=False))
    await take(clarion, written("STOP"))
    assert await replies(clarion) == []
    assert [one.reply for one in await kept(clarion)] == [ReplyStatus.FAILED]
    assert await suppressed(clarion) == ["opted_out"]


async def test_erasure_takes_what_a_person_wrote(clarion):
    """With everything else about them."""
    await take(clarion, written("my secret"))
    await clarion.ledger.users.delete(clarion.tenant, "ada")
    assert await clarion.ledger.inbound.page(clarion.tenant, ANY_INBOUND, None, 10) == []
