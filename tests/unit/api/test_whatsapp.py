"""WhatsApp over HTTP: Meta's handshake, reports, decisions about templates, and the list of them."""

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.message import MessageFilter
from clarion.model.setup import Integration, Scope, SendAll, Step, Template, Workflow
from clarion.model.status import Status
from clarion.plugins import providers
from clarion.services.message_references import MessageReferences
from clarion.testing.scripted_server import Answer, scripted_server
from tests.unit.api.conftest import ACME, PUBLIC_URL
from tests.vendors.whatsapp_cloud import APP_SECRET, SENT, account, decided, handshake, sign, status, written

NUMBER = "+4915550000001"
FILTER = MessageFilter(channels=frozenset({Channel.WHATSAPP}))
TEMPLATES = "/v1/integrations/wa/whatsapp-templates"


def meta(request):
    """Lists one template, and takes every message."""
    if request.method == "POST":
        return SENT
    one = {"name": "paid", "language": "en", "status": "APPROVED", "category": "UTILITY", "components": []}
    return Answer.json(200, {"data": [one], "paging": {}})


@pytest.fixture
async def clarion(clarion):
    """Clarion, with WhatsApp."""
    clarion.providers["whatsapp_cloud"] = providers()["whatsapp_cloud"]
    setup = clarion.ledger.setup
    step = Step(key="note", template="wa", to=SendAll(channels=(Channel.WHATSAPP,)))
    await setup.workflows.put(ACME, Workflow(key="wa", category="orders", steps=(step,)))
    content = {"text": "Paid", "template": "paid"}
    await setup.templates.put(ACME, Template(key="wa", channels={Channel.WHATSAPP: {"en": content}}))
    async with scripted_server(otherwise=meta) as server:
        integration = Integration(
            key="wa", channel=Channel.WHATSAPP, provider="whatsapp_cloud", config=account(server.url)
        )
        await setup.integrations.put(ACME, integration)
        await clarion.services.whatsapp.sync(ACME, integration)
        clarion.meta = server
        yield clarion


async def call(clarion, admin, recorded, reference=""):
    """What Meta is answered."""
    url = (await admin.ok("GET", "/v1/integrations/wa"))["callback_url"]
    request = sign(recorded.request(reference), Instant(0))
    path = url.removeprefix(PUBLIC_URL)
    query = request.url.partition("?")[2]
    return await clarion.bearer("")(
        request.method,
        f"{path}?{query}" if query else path,
        content=request.body,
        headers=dict(request.headers),
    )


async def trigger(clarion, admin, *statuses):
    """A message to ada, once it ended so."""
    contact = {"channel": "whatsapp", "address": NUMBER}
    await admin.ok("PUT", "/v1/users/ada", {"contacts": [contact]})
    sender = await clarion.client(Scope.SEND)
    await sender.ok("POST", "/v1/workflows/wa/trigger", {"recipients": ["ada"], "data": {"id": "C-1"}})
    for _ in range(500):
        items = (await admin.ok("GET", "/v1/messages?channel=whatsapp"))["items"]
        if items and items[0]["status"] in statuses:
            return items[0]
        await clarion.clock.sleep(0.01)
    raise AssertionError("the message did not end so")


async def test_the_handshake_is_answered(clarion, admin):
    """With the challenge alone; not without the words that both know."""
    answer = await call(clarion, admin, handshake())
    assert (answer.status_code, answer.text) == (200, "1158201444")
    url = (await admin.ok("GET", "/v1/integrations/wa"))["callback_url"].removeprefix(PUBLIC_URL)
    guessed = await clarion.bearer("")("GET", f"{url}?hub.verify_token={APP_SECRET}&hub.challenge=1")
    assert guessed.status_code == 403


async def test_a_message_is_sent_and_reported_as_delivered_and_read(clarion, admin):
    """By the reference that travels with it."""
    message = await trigger(clarion, admin, Status.SENT)
    stored = (await clarion.ledger.records.page(ACME, FILTER, None, 1))[0][0]
    reference = MessageReferences(clarion.vault).of(stored)
    assert reference.encode() in clarion.meta.requests[-1].body
    for said in ("sent", "delivered", "read", "delivered"):
        assert (await call(clarion, admin, status(said), reference)).status_code == 200
    shown = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert shown["status"] == "delivered"
    assert shown["seen_at"] is not None


async def test_a_paused_template_stops_messages_at_once(clarion, admin):
    """And the API shows its state."""
    shown = await admin.ok("GET", TEMPLATES)
    assert [(one["name"], one["approval"], one["header"]) for one in shown["templates"]] == [
        ("paid", "approved", None)
    ]
    assert shown["synced_at"] is not None
    assert (await call(clarion, admin, decided("PAUSED", "paid", "en"))).status_code == 200
    assert (await admin.ok("GET", TEMPLATES))["templates"][0]["approval"] == "paused"
    message = await trigger(clarion, admin, Status.SUPPRESSED)
    shown = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert shown["reason"] == "template_not_approved"
    assert shown["timeline"][-1]["detail"] == "the template `paid` in `en` is paused at WhatsApp"


async def test_what_a_person_writes_opens_the_window(clarion, admin):
    """Before Meta is answered: the next message is the text."""
    recorded = written(type="text", text={"body": "Hello"}, timestamp=str(clarion.clock.now() // 1000))
    assert (await call(clarion, admin, recorded)).status_code == 200
    await trigger(clarion, admin, Status.SENT)
    assert b'"body":"Paid"' in clarion.meta.requests[-1].body


async def test_an_integration_without_a_list_has_none(clarion, admin):
    """Such as one that was just created."""
    await clarion.ledger.setup.integrations.put(
        ACME, Integration(key="kept", channel=Channel.WHATSAPP, provider="capture")
    )
    assert await admin.ok("GET", "/v1/integrations/kept/whatsapp-templates") == {
        "synced_at": None,
        "templates": [],
    }
