"""A text message through Twilio, from its trigger to the report that it arrived."""

import pytest

from clarion.cli.integration_test import steps
from clarion.model.channel import Channel
from clarion.model.setup import Integration, Scope, SendAll, Step, Workflow
from clarion.model.status import Reason, Status
from clarion.plugins import providers
from tests.twilio import twilio
from tests.unit.api.conftest import ACME, PUBLIC_URL
from tests.vendors.twilio import account

TOKEN = "another-token-of-the-account"
NUMBER = "+4915112345678"


@pytest.fixture
async def fake():
    """A Twilio that takes messages."""
    async with twilio() as fake:
        yield fake


@pytest.fixture
async def clarion(clarion, fake):
    """Clarion, with Twilio for text messages."""
    clarion.providers["twilio"] = providers()["twilio"]
    setup = clarion.ledger.setup
    config = {**account(fake.server.url), "auth_token": TOKEN}
    await setup.integrations.delete(ACME, "main-sms")
    await setup.integrations.put(
        ACME, Integration(key="texts", channel=Channel.SMS, provider="twilio", config=config)
    )
    step = Step(key="note", template="paid", to=SendAll(channels=(Channel.SMS,)))
    await setup.workflows.put(ACME, Workflow(key="text", category="orders", steps=(step,)))
    return clarion


async def ended(clarion, admin, *statuses):
    """The newest message, once its status is one of these."""
    for _ in range(500):
        items = (await admin.ok("GET", "/v1/messages?channel=sms"))["items"]
        if items and items[0]["status"] in statuses:
            return items[0]
        await clarion.clock.sleep(0.01)
    raise AssertionError("the message did not end so")


async def trigger(clarion, admin):
    """A message to ada that Twilio took."""
    await admin.ok("PUT", "/v1/users/ada", {"phone": NUMBER})
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", "/v1/workflows/text/trigger", {"recipients": ["ada"], "data": {"id": "C-1"}})
    return await ended(clarion, admin, Status.SENT)


async def reported(clarion, fake, state, **more):
    """The answer to a report of Twilio's about the first message."""
    request = fake.report(0, TOKEN, state, **more)
    assert request.url.startswith(f"{PUBLIC_URL}/v1/callbacks/texts/")
    path = request.url.removeprefix(PUBLIC_URL)
    return await clarion.bearer("")("POST", path, content=request.body, headers=dict(request.headers))


async def test_a_message_is_sent_and_reported_as_delivered(clarion, admin, fake):
    """Its explanation and its timeline tell so."""
    message = await trigger(clarion, admin)
    assert [(one["To"], one["Body"]) for one in fake.messages] == [(NUMBER, "Paid C-1")]
    for state in ("queued", "sent", "delivered", "sent", "delivered"):
        assert (await reported(clarion, fake, state)).status_code == 204
    shown = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert shown["status"] == "delivered"
    assert shown["delivered_at"] is not None
    told = [(line["status"], line["outcome"]) for line in shown["timeline"]]
    assert told[-1] == ("delivered", "delivered")
    assert told.count(("delivered", "delivered")) == 1


async def test_a_test_of_the_integration_is_followed_to_its_receipt(clarion, admin, fake):
    """The command line makes these lines of the timeline."""
    sent = await admin.ok("POST", "/v1/integrations/texts/test", {"to": NUMBER})
    await ended(clarion, admin, Status.SENT)
    assert sent["callback_url"].startswith(f"{PUBLIC_URL}/v1/callbacks/texts/")
    assert (await reported(clarion, fake, "delivered")).status_code == 204
    shown = await admin.ok("GET", f"/v1/messages/{sent['message_id']}")
    before, told = None, []
    for change in shown["timeline"]:
        told += steps(change, before)
        before = change["status"]
    assert [name for _, name, _ in told] == ["planned", "called", "outcome", "receipt"]
    assert (fake.messages[0]["To"], told[1][2], told[-1][2]) == (NUMBER, "attempt 1", "delivered")


async def test_a_number_that_does_not_exist_is_suppressed(clarion, admin, fake):
    """Twilio finds out only after it took the message; the next one is not sent."""
    message = await trigger(clarion, admin)
    assert (await reported(clarion, fake, "undelivered", ErrorCode="30005")).status_code == 204
    stored = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert (stored["status"], stored["reason"]) == ("bounced", "address_gone")
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", "/v1/workflows/text/trigger", {"recipients": ["ada"], "data": {"id": "C-2"}})
    second = await ended(clarion, admin, Status.SUPPRESSED)
    assert second["reason"] == Reason.SUPPRESSED_ADDRESS
    assert len(fake.messages) == 1


async def test_an_unregistered_sender_fails_its_message_and_spares_the_number(clarion, admin, fake):
    """30034 is about the sender: the timeline says so."""
    message = await trigger(clarion, admin)
    await reported(clarion, fake, "undelivered", ErrorCode="30034")
    shown = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert (shown["status"], shown["reason"]) == ("undelivered", "misconfigured")
    assert shown["timeline"][-1]["detail"] == (
        "Twilio 30034: the sender is not registered for A2P 10DLC: add it to a campaign"
    )
    assert (await admin.ok("GET", "/v1/suppressions"))["items"] == []


async def test_a_number_that_twilio_refuses_at_once_is_suppressed(clarion, admin, fake):
    """21211 comes with the answer."""
    fake.refuses[NUMBER] = 21211
    await admin.ok("PUT", "/v1/users/ada", {"phone": NUMBER})
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", "/v1/workflows/text/trigger", {"recipients": ["ada"], "data": {"id": "C-1"}})
    message = await ended(clarion, admin, Status.BOUNCED)
    assert message["reason"] == "address_gone"


async def test_the_message_of_a_person_is_taken_once_it_is_signed(clarion, admin, fake):
    """Twilio gets a TwiML answer that says nothing to them."""
    await trigger(clarion, admin)
    request = fake.report(0, TOKEN, "", Body="STOP")
    path = request.url.removeprefix(PUBLIC_URL)
    answer = await clarion.bearer("")("POST", path, content=request.body, headers=dict(request.headers))
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert answer.headers["content-type"] == "text/xml"
    assert clarion.services.stats()["messages_received.opt_out"] == 1
