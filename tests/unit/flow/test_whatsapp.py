"""WhatsApp on a whole engine: what may be sent is known before it is sent, else the next channel of the ladder starts."""

import json

import pytest

from clarion.model.channel import Channel
from clarion.model.inbound import InboundMessage
from clarion.model.setup import Integration, LadderChannel, SendLadder, Step, Template
from clarion.model.status import Reason, Status
from clarion.model.user import Contact, Profile, UserPut
from clarion.model.whatsapp import Approval, TemplateChange
from clarion.services.whatsapp import LOOK_EVERY_S, SYNC_EVERY_MS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.engine import engine, workflow
from tests.vendors.whatsapp_cloud import SENT, account

NUMBER = "+4915112345678"
DAY_S = 86_400
RUNGS = (LadderChannel(channel=Channel.WHATSAPP, wait_s=600), LadderChannel(channel=Channel.SMS))
SHIPPED = workflow("shipped", steps=(Step(key="tell", template="shipped", to=SendLadder(channels=RUNGS)),))
CONTENT = {"text": "On its way: {{ text }}", "template": "order_shipped", "parameters": "[{{ text|tojson }}]"}


class Meta:
    """A Meta that lists one template and takes every message."""

    def __init__(self):
        self.status = "APPROVED"
        self.listed = 0
        self.sent = []

    def answer(self, request):
        if request.method == "POST":
            self.sent.append(json.loads(request.body))
            return SENT
        self.listed += 1
        body = {"type": "BODY", "text": "Your parcel {{1}} is on its way"}
        one = {"name": "order_shipped", "language": "en", "status": self.status, "components": [body]}
        return Answer.json(200, {"data": [one], "paging": {}})


@pytest.fixture
def meta():
    return Meta()


@pytest.fixture
async def shop(store, meta):
    """An engine whose parcels are announced on WhatsApp, else by a text."""
    async with scripted_server(otherwise=meta.answer) as server, engine(store) as one:
        await one.create_setup(SHIPPED)
        await put_content(one, CONTENT)
        integration = Integration(
            key="wa", channel=Channel.WHATSAPP, provider="whatsapp_cloud", config=account(server.url)
        )
        await one.ledger.setup.integrations.put(one.tenant, integration)
        contacts = tuple(Contact(channel=rung.channel, address=NUMBER) for rung in RUNGS)
        await one.ledger.users.put(
            one.tenant, [UserPut(id="ada", profile=Profile(contacts=contacts, locale="en"))]
        )
        await one.pass_time(LOOK_EVERY_S)
        yield one


async def put_content(one, content):
    template = Template(
        key="shipped", channels={Channel.WHATSAPP: {"en": content}, Channel.SMS: {"en": {"text": "By text"}}}
    )
    await one.ledger.setup.templates.put(one.tenant, template)


async def write(one, sender=NUMBER):
    """The person writes to us."""
    message = InboundMessage(provider_id="1", sender=sender, recipient="+15550783881", text="Hi")
    await one.services.whatsapp.hear(one.tenant, integration_of(one), [message])


def integration_of(one):
    return one.ledger.setup.integrations.all(one.tenant)["wa"]


async def announced(one):
    """What became of WhatsApp and of the text."""
    await one.trigger("shipped", "ada")
    await one.pass_time(1)
    found = [await one.one(channel=channel) for channel in (Channel.WHATSAPP, Channel.SMS)]
    return [(message.status, message.reason) for message in found]


async def details(one):
    """What the timeline of the WhatsApp message says."""
    message = await one.one(channel=Channel.WHATSAPP)
    return [change.detail for change in await one.ledger.records.changes(one.tenant, message.id)]


async def test_an_approved_template_is_sent(shop, meta):
    """To whoever has not written; in the language of the content."""
    assert (await announced(shop))[0] == (Status.SENT, None)
    (sent,) = meta.sent
    assert sent["template"]["name"] == "order_shipped"
    assert sent["template"]["language"] == {"code": "en"}
    assert sent["template"]["components"][0]["parameters"] == [{"type": "text", "text": "hello"}]


async def test_whoever_wrote_within_a_day_gets_the_text(shop, meta):
    """However they are written to us."""
    await write(shop)
    await shop.pass_time(DAY_S - 60)
    assert (await announced(shop))[0] == (Status.SENT, None)
    (sent,) = meta.sent
    assert sent["text"]["body"] == "On its way: hello"


async def test_a_text_after_the_window_goes_by_the_next_channel(shop, meta):
    """Nothing is sent to WhatsApp, and the timeline says when the window closed."""
    await put_content(shop, {"text": "Hello"})
    await write(shop)
    await shop.pass_time(DAY_S + 60)
    assert await announced(shop) == [(Status.SUPPRESSED, Reason.WINDOW_CLOSED), (Status.SENT, None)]
    assert meta.sent == []
    assert (await details(shop))[-1].startswith("24 hours after the person wrote ended at ")


async def test_what_somebody_else_wrote_opens_no_window(shop, meta):
    """Nor what somebody wrote to another integration."""
    await put_content(shop, {"text": "Hello"})
    await write(shop, "+4915112345679")
    other = Integration(key="other", channel=Channel.WHATSAPP, provider="capture", enabled=False)
    message = InboundMessage(provider_id="1", sender=NUMBER, recipient="", text="Hi")
    await shop.services.whatsapp.hear(shop.tenant, other, [message])
    assert (await announced(shop))[0] == (Status.SUPPRESSED, Reason.WINDOW_CLOSED)


async def test_a_template_that_was_paused_goes_by_the_next_channel(shop, meta):
    """As soon as it is reported, long before the next list."""
    change = TemplateChange(name="order_shipped", language="en", approval=Approval.PAUSED)
    await shop.services.whatsapp.change(shop.tenant, integration_of(shop), [change])
    assert await announced(shop) == [
        (Status.SUPPRESSED, Reason.TEMPLATE_NOT_APPROVED),
        (Status.SENT, None),
    ]
    assert meta.sent == []
    assert (await details(shop))[-1] == "the template `order_shipped` in `en` is paused at WhatsApp"


async def test_the_list_is_brought_up_to_date_now_and_then(shop, meta):
    """Not before its time."""
    meta.status = "REJECTED"
    assert meta.listed == 1
    await shop.pass_time(SYNC_EVERY_MS / 1000 - 3 * LOOK_EVERY_S)
    assert meta.listed == 1
    await shop.pass_time(4 * LOOK_EVERY_S)
    assert meta.listed == 2
    assert (await announced(shop))[0] == (Status.SUPPRESSED, Reason.TEMPLATE_NOT_APPROVED)


async def test_a_new_template_is_known_once_it_is_reported(shop):
    """What it takes is learned with the next list."""
    change = TemplateChange(name="fresh", language="en", approval=Approval.APPROVED)
    await shop.services.whatsapp.change(shop.tenant, integration_of(shop), [change])
    await put_content(shop, {"template": "fresh"})
    assert (await announced(shop))[0] == (Status.SENT, None)


async def test_templates_of_an_integration_that_is_gone_are_forgotten(shop):
    """One of the same name may be of another account."""
    await shop.ledger.setup.integrations.delete(shop.tenant, "wa")
    await shop.pass_time(2 * LOOK_EVERY_S)
    assert shop.ledger.setup.whatsapp_templates.all(shop.tenant) == {}
