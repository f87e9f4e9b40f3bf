"""Nobody is sent what they have not consented to, and a withdrawal holds for everything that was not sent yet."""

import pytest

from clarion.model.channel import Channel
from clarion.model.consent import EVERY_PURPOSE, ConsentAction, ConsentFilter, ConsentStatement
from clarion.model.ids import Instant, id_text
from clarion.model.inbound import InboundMessage
from clarion.model.setup import Category, ConsentRule, Step, StepType
from clarion.model.status import Reason, Status
from clarion.rules.explain import explanation
from clarion.services.consents import ConsentOrigin
from tests.engine import engine, workflow

GRANTED, WITHDRAWN = ConsentAction.GRANTED, ConsentAction.WITHDRAWN
NEWS = Category(key="news", consent=ConsentRule.REQUIRED)


async def say(clarion, user, action, purpose="news", channel=None):
    """Record it."""
    statement = ConsentStatement(purpose, channel, action)
    return await clarion.services.consents.record(user, [statement], ConsentOrigin(source="form"))


async def told(clarion, accepted):
    """How the only run of an event is explained."""
    (run,) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
    return explanation(run, "ada")


async def test_a_message_needs_the_consent_that_its_category_asks_for(store):
    """Without it nothing is sent, and the explanation says so; with it the explanation names the record."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"), categories=(NEWS,))
        ada = await clarion.put_user("ada")
        refused = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        message = await clarion.one(event_id=refused.event_id)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.NO_CONSENT)
        (channel,) = (await told(clarion, refused)).channels
        assert "never consented to 'news' (the category requires it)" in channel.text
        recorded = await say(clarion, ada, GRANTED, channel=Channel.SMS)
        accepted = await clarion.trigger("hello", "ada")
        await clarion.until_idle()
        assert (await clarion.one(event_id=accepted.event_id)).status is Status.SENT
        (channel,) = (await told(clarion, accepted)).channels
        (verdict,) = [one for one in channel.verdicts if one.rule == "consent"]
        assert (verdict.result, verdict.reason) == ("allow", "granted")
        assert verdict.inputs["consent_id"] == id_text(recorded.records[0].id)


@pytest.mark.parametrize("purpose", ["news", EVERY_PURPOSE])
@pytest.mark.parametrize("before", ["queued", "scheduled", "waiting"])
async def test_a_withdrawal_holds_for_what_is_on_its_way(store, before, purpose):
    """The message was planned while the consent held, or its run was: queued behind a call, scheduled for later, or behind a wait."""
    wait = Step(key="later", type=StepType.WAIT, for_s=60) if before == "waiting" else None
    hello = workflow("hello")
    if wait is not None:
        hello = workflow("hello", steps=(wait, *hello.steps))
    async with engine(store) as clarion:
        await clarion.create_setup(hello, categories=(NEWS,))
        ada, bob = await clarion.put_user("ada"), await clarion.put_user("bob")
        await say(clarion, ada, GRANTED)
        await say(clarion, bob, GRANTED)
        more = {"send_at": Instant(clarion.clock.now() + 60_000)} if before == "scheduled" else {}
        if before == "queued":
            clarion.provider.proceed.clear()
            await clarion.trigger("hello", "bob")
            await clarion.until_idle()
        accepted = await clarion.trigger("hello", "ada", **more)
        await say(clarion, ada, WITHDRAWN, purpose)
        clarion.provider.proceed.set()
        await clarion.until_idle()
        clarion.clock.advance(61)
        await clarion.until_idle()
        message = await clarion.one(event_id=accepted.event_id)
        assert (message.status, message.reason) == (Status.SUPPRESSED, Reason.NO_CONSENT)
        assert {one.message.user for one in clarion.provider.effects} <= {bob.no}


async def test_stop_and_start_are_recorded_once_each(store):
    """STOP withdraws every purpose on its channel, whatever was granted; START ends that, and grants nothing that was not."""
    async with engine(store) as clarion:
        await clarion.create_setup(workflow("hello"), categories=(NEWS,))
        ada = await clarion.put_user("ada")
        await say(clarion, ada, GRANTED)
        integration = clarion.ledger.setup.integrations.all(clarion.tenant)["main-sms"]

        async def write(text, number):
            message = InboundMessage(
                sender="+4915112345678", recipient="+491", text=text, provider_id=f"m{number}"
            )
            await clarion.services.inbound_messages.take(clarion.tenant, integration, [message])

        async def outcome():
            accepted = await clarion.trigger("hello", "ada")
            await clarion.until_idle()
            return (await clarion.one(event_id=accepted.event_id)).reason

        clarion.clock.advance(1)
        await write("STOP", 1)
        clarion.clock.advance(1)
        await write("STOP", 1)
        await write("START", 2)
        assert await outcome() is None
        found = await clarion.ledger.consents.page(clarion.tenant, ConsentFilter(source="reply"), None, 10)
        said = [(one.action, one.purpose, one.channel) for one in reversed(found)]
        assert said == [(WITHDRAWN, EVERY_PURPOSE, Channel.SMS), (GRANTED, EVERY_PURPOSE, Channel.SMS)]
        user = (await clarion.ledger.users.get([ada.no]))[ada.no]
        assert clarion.services.consents.proof(found[-1], user)["text"] == "STOP"
        await say(clarion, ada, WITHDRAWN)
        assert await outcome() is Reason.NO_CONSENT
