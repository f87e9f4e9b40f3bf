"""An email through SendGrid, from its trigger to what SendGrid reports about it."""

import json

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Integration, Scope, SendAll, Step, Workflow
from clarion.model.status import Status
from clarion.plugins import providers
from clarion.ports.callback import CallbackRequest
from clarion.testing.scripted_server import scripted_server
from tests.unit.api.conftest import ACME, PUBLIC_URL
from tests.vendors.sendgrid import EVENT, KEY, SENT, STRANGER, VENDORS, signed

ADDRESS = "ada@contact.example"
POLICY = (
    "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level."
)


@pytest.fixture
async def service():
    """A SendGrid that takes everything."""
    async with scripted_server(otherwise=SENT) as server:
        yield server


@pytest.fixture
async def clarion(clarion, service):
    """Clarion, with SendGrid for email."""
    clarion.providers["sendgrid"] = providers()["sendgrid"]
    setup = clarion.ledger.setup
    await setup.integrations.delete(ACME, "main-email")
    await setup.integrations.put(
        ACME,
        Integration(
            key="mail",
            channel=Channel.EMAIL,
            provider="sendgrid",
            config=dict(VENDORS["v3"].config(service.url)),
        ),
    )
    step = Step(key="note", template="paid", to=SendAll(channels=(Channel.EMAIL,)))
    await setup.workflows.put(ACME, Workflow(key="mail", category="orders", steps=(step,)))
    return clarion


async def trigger(clarion, admin, *statuses):
    """The newest email to ada, once its status is one of these."""
    await admin.ok("PUT", "/v1/users/ada", {"email": ADDRESS})
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", "/v1/workflows/mail/trigger", {"recipients": ["ada"], "data": {"id": "C-1"}})
    for _ in range(500):
        items = (await admin.ok("GET", "/v1/messages?channel=email"))["items"]
        if items and items[0]["status"] in statuses:
            return items[0]
        await clarion.clock.sleep(0.01)
    raise AssertionError("the message did not end so")


async def report(clarion, admin, service, *events, key=KEY):
    """The answer to a request with these events about the first email."""
    sent = json.loads(service.requests[0].body)["personalizations"][0]
    about = {**EVENT, **sent["custom_args"], "email": ADDRESS}
    url = (await admin.ok("GET", "/v1/integrations/mail"))["callback_url"]
    body = json.dumps([{**about, **event} for event in events]).encode()
    now = Instant(clarion.clock.now())
    request = signed(
        key, CallbackRequest(url=url, headers={"content-type": "application/json"}, body=body), now
    )
    path = request.url.removeprefix(PUBLIC_URL)
    return await clarion.bearer("")("POST", path, content=request.body, headers=dict(request.headers))


async def stored(admin, message):
    """Its status and reason now."""
    shown = await admin.ok("GET", f"/v1/messages/{message['id']}")
    return shown["status"], shown.get("reason") or ""


async def test_an_email_is_sent_and_reported_as_delivered(clarion, admin, service):
    """In any order, any number of times, many events a request."""
    message = await trigger(clarion, admin, Status.SENT)
    events = [{"event": "open"}, {"event": "delivered"}, {"event": "deferred"}, {"event": "processed"}]
    for _ in range(2):
        assert (await report(clarion, admin, service, *events)).status_code == 200
    assert await stored(admin, message) == ("delivered", "")


async def test_an_address_that_bounces_is_suppressed(clarion, admin, service):
    """The next email is not sent."""
    message = await trigger(clarion, admin, Status.SENT)
    bounced = {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user"}
    assert (await report(clarion, admin, service, bounced)).status_code == 200
    assert await stored(admin, message) == ("bounced", "address_gone")
    await trigger(clarion, admin, Status.SUPPRESSED)
    assert len(service.requests) == 1


async def test_a_policy_of_the_receivers_suppresses_nobody(clarion, admin, service):
    """Outlook wants the sender authenticated: the next email goes to the same address."""
    message = await trigger(clarion, admin, Status.SENT)
    refused = {"event": "bounce", "type": "bounce", "status": "5.7.515", "reason": POLICY}
    assert (await report(clarion, admin, service, refused)).status_code == 200
    assert await stored(admin, message) == ("undelivered", "blocked")
    assert (await admin.ok("GET", "/v1/suppressions"))["items"] == []
    await trigger(clarion, admin, Status.SENT)
    assert len(service.requests) == 2


async def test_a_complaint_suppresses_the_address(clarion, admin, service):
    """Also after the email was delivered."""
    await trigger(clarion, admin, Status.SENT)
    await report(clarion, admin, service, {"event": "delivered"}, {"event": "spamreport"})
    (suppression,) = (await admin.ok("GET", "/v1/suppressions"))["items"]
    assert suppression["reason"] == "complaint"


async def test_a_forged_event_changes_nothing(clarion, admin, service):
    """Whoever signed it has another key."""
    message = await trigger(clarion, admin, Status.SENT)
    answer = await report(clarion, admin, service, {"event": "spamreport"}, key=STRANGER)
    assert answer.status_code in {401, 403}
    assert await stored(admin, message) == ("sent", "")
    assert (await admin.ok("GET", "/v1/suppressions"))["items"] == []
