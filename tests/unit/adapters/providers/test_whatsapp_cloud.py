"""WhatsApp (Meta's Cloud API): requests, templates, callbacks, beside a client that others wrote."""

import json
from pathlib import Path

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from pywa.client import WhatsApp
from pywa.types.message_status import MessageStatus
from pywa.types.templates import (
    BodyText,
    CopyCodeButton,
    HeaderImage,
    QuickReplyButton,
    TemplateLanguage,
    TemplateStatusUpdate,
    URLButton,
)
from pywa.utils import webhook_updates_validator

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.whatsapp_cloud import (
    ERRORS,
    WhatsAppCloudConfig,
    WhatsAppCloudMessages,
    plugin,
    template_of,
    verify,
)
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.outcome import Rejected
from clarion.model.status import Reason
from clarion.model.whatsapp import Approval, TemplateChange, WhatsAppTemplate
from clarion.ports.callback import CallbackTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.whatsapp_cloud import (
    ACCOUNT,
    APP_SECRET,
    NUMBER,
    SENT,
    VENDORS,
    VERIFY_TOKEN,
    account,
    decided,
    error,
    failed,
    handshake,
    sign,
    status,
    written,
)

RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    allowed_networks=("127.0.0.0/8",),
)
PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "send-whatsapp.md"
NOW = Instant(1_760_000_000_000)
CONFIG = msgspec.convert(account("https://graph.facebook.com/v26.0"), WhatsAppCloudConfig)
CALLBACK_TOOLS = CallbackTools(now=NOW)
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks

LISTED = {
    "name": "order_shipped",
    "language": "en_US",
    "status": "APPROVED",
    "category": "UTILITY",
    "id": "1689556908129832",
    "components": [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Hi {{1}}, {{2}} is on its way. {{1}}!", "example": {}},
        {"type": "FOOTER", "text": "Northwind"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "PHONE_NUMBER", "text": "Call", "phone_number": "+15550051310"},
                {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"},
                {"type": "URL", "text": "Shop", "url": "https://x.example/"},
                {"type": "QUICK_REPLY", "text": "Thanks"},
                {"type": "COPY_CODE", "text": "Copy"},
            ],
        },
    ],
}
SHIPPED = WhatsAppTemplate(
    name="order_shipped",
    language="en_US",
    approval=Approval.APPROVED,
    category="utility",
    header="image",
    parameters=("1", "2"),
    buttons=("", "url", "", "quick_reply", "copy_code"),
)
CONTENT = WhatsAppContent(
    template="order_shipped",
    language="en_US",
    header="https://x.example/a.png",
    parameters=("Ada", "A-1042"),
    buttons=("A-1042", "yes", "HELLO"),
)


def built(content, template=None):
    """The request for one message, or why there is none."""
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1, content=content)
    return WhatsAppCloudMessages(CONFIG, TOOLS).build(replace(outgoing, whatsapp_template=template))


def document_of(content, template=None):
    """The JSON of one message."""
    request = built(content, template)
    assert isinstance(request, HttpRequest)
    assert request.url == f"https://graph.facebook.com/v26.0/{NUMBER}/messages"
    return json.loads(request.body)


@pytest.fixture
def pywa_says():
    """A client that others wrote, and what it sends."""
    sent = []

    def answer(request):
        sent.append(json.loads(request.content))
        return httpx.Response(SENT.status, content=SENT.body)

    session = httpx.Client(transport=httpx.MockTransport(answer))
    return WhatsApp(phone_id=NUMBER, token="T", session=session), sent


def plain(value):
    """As Meta reads it: names of types in any case, an index as a number or a text."""
    if isinstance(value, dict):
        return {
            name: str(one).lower() if name in ("type", "sub_type", "index") else plain(one)
            for name, one in value.items()
        }
    return [plain(one) for one in value] if isinstance(value, list) else value


def test_a_text_is_what_another_client_sends(pywa_says):
    """With a preview of its link, and with our reference."""
    client, sent = pywa_says
    client.send_message("4915550000001", "Look: https://x.example", preview_url=True, tracker="ab12")
    assert document_of(WhatsAppContent(text="Look: https://x.example")) == sent[0]
    assert document_of(WhatsAppContent(text="Hi"))["text"] == {"body": "Hi", "preview_url": False}


def test_a_template_is_what_another_client_sends(pywa_says):
    """Its header, its body and its buttons, each at its place; buttons that take nothing are passed over."""
    client, sent = pywa_says
    client.send_template(
        "4915550000001",
        name="order_shipped",
        language=TemplateLanguage.ENGLISH_US,
        tracker="ab12",
        params=[
            HeaderImage.params(image="https://x.example/a.png"),
            BodyText.params("Ada", "A-1042"),  # type: ignore[arg-type]
            URLButton.params(url_variable="A-1042", index=1),
            QuickReplyButton.params(callback_data="yes", index=3),
            CopyCodeButton.params(coupon_code="HELLO", index=4),
        ],
    )
    assert plain(document_of(CONTENT, SHIPPED)) == plain(sent[0])


def test_named_parameters_are_sent_by_name(pywa_says):
    """In the order in which the body names them."""
    client, sent = pywa_says
    client.send_template(
        "4915550000001",
        name="hello",
        language=TemplateLanguage.ENGLISH_US,
        tracker="ab12",
        params=[BodyText.params(first="Ada", order="A-1")],
    )
    named = template_of(
        {**LISTED, "name": "hello", "components": [{"type": "BODY", "text": "Hi {{first}}: {{order}}"}]}
    )
    content = WhatsAppContent(template="hello", language="en_US", parameters=("Ada", "A-1"))
    assert plain(document_of(content, named)) == plain(sent[0])


def test_of_an_unknown_template_what_is_usual_is_sent():
    """An image for a link in the header, links for buttons; nothing where nothing is given."""
    components = document_of(CONTENT)["template"]["components"]
    assert components[0]["parameters"][0]["image"] == {"link": "https://x.example/a.png"}
    assert [(one["sub_type"], one["index"]) for one in components[2:]] == [
        ("url", "0"),
        ("url", "1"),
        ("url", "2"),
    ]
    assert document_of(replace(CONTENT, header="Hello"))["template"]["components"][0]["parameters"] == [
        {"type": "text", "text": "Hello"}
    ]
    assert document_of(WhatsAppContent(template="x", language="en"))["template"]["components"] == []


def test_what_is_too_long_is_not_sent():
    """WhatsApp would refuse it."""
    for content in (WhatsAppContent(text="x" * 4097), replace(CONTENT, parameters=("x" * 1025,))):
        assert isinstance(built(content), Rejected)


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────────


def page(*listed, after=""):
    paging = {"cursors": {"before": "x", "after": after}, **({"next": "https://..."} if after else {})}
    return Answer.json(200, {"data": list(listed), "paging": paging})


async def test_all_pages_of_templates_are_listed():
    """With what each takes, and its state."""
    second = {**LISTED, "name": "sale", "status": "PAUSED", "components": [{"type": "BODY", "text": "Hi"}]}
    third = {**LISTED, "name": "new", "status": "WHATEVER", "components": None}
    async with scripted_server(page(LISTED, after="c2"), page(second, third)) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["number"], url=server.url)
        async with subject.opened() as provider:
            found = await provider.whatsapp_templates()  # type: ignore[attr-defined]
        assert [one.path.partition("?")[0] for one in server.requests] == [
            f"/{ACCOUNT}/message_templates"
        ] * 2
        assert "after=c2" in server.requests[1].path
    assert found[0] == SHIPPED
    assert [(one.name, one.approval) for one in found[1:]] == [
        ("sale", Approval.PAUSED),
        ("new", Approval.DISABLED),
    ]
    assert found[1].buttons == found[1].parameters == ()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (error(401, 190), ConfigError),
        (error(500, 2), Unavailable),
        (Answer.json(200, {}), Unavailable),
        (Answer(manner="drop"), Unavailable),
    ],
)
async def test_templates_that_cannot_be_listed_say_why(answer, fault):
    """What was listed before stays."""
    async with scripted_server(otherwise=answer) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["number"], url=server.url)
        async with subject.opened() as provider:
            with pytest.raises(fault):
                await provider.whatsapp_templates()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer.json(200, {"id": NUMBER}), None),
        (error(401, 190), ConfigError),
        (error(400, 100, 33), ConfigError),
        (Answer.text(404, "nothing"), ConfigError),
        (error(503, 2), Unavailable),
    ],
)
async def test_a_ping_asks_for_the_number(answer, fault):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=answer) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["number"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        assert [one.path for one in server.requests] == [f"/{NUMBER}?fields=id"]


# ── callbacks ─────────────────────────────────────────────────────────────────────────────────────────────


def read(recorded):
    """What one of Meta's requests says."""
    request = sign(recorded.request(OURS), NOW)
    verify(request, CONFIG, CALLBACK_TOOLS)
    return CALLBACKS.read(request, CONFIG, CALLBACK_TOOLS)


def test_the_handshake_is_answered_with_its_challenge():
    """Meta shows the words that were entered with the URL."""
    assert read(handshake()).answer.body == b"1158201444"
    with pytest.raises(CallbackForged, match="verify_token"):
        verify(handshake(**{"hub.verify_token": "guessed"}).request(OURS), CONFIG, CALLBACK_TOOLS)


def test_another_client_takes_the_same_signature():
    """And not one of another secret."""
    request = sign(status("read").request(OURS), NOW)
    given = request.headers["x-hub-signature-256"]
    assert webhook_updates_validator(APP_SECRET, request.body, given)
    assert not webhook_updates_validator(VERIFY_TOKEN, request.body, given)


@pytest.mark.parametrize("said", ["delivered", "read", "failed"])
def test_another_client_reads_the_same_status(said):
    """Id, reference and time."""
    recorded = status(said)
    update = json.loads(recorded.request(OURS).body)
    update["entry"][0]["changes"][0]["value"]["contacts"] = [{"wa_id": "4915550000001", "profile": {}}]
    theirs = MessageStatus.from_update(WhatsApp(phone_id=NUMBER, token="T"), update)
    (receipt,) = read(recorded).receipts
    assert (receipt.reference, receipt.provider_id) == (theirs.tracker, theirs.id)
    assert receipt.at == theirs.timestamp.timestamp() * 1000
    assert receipt.address == "+4915550000001"


@pytest.mark.parametrize(
    ("event", "approval"),
    [
        ("APPROVED", Approval.APPROVED),
        ("REINSTATED", Approval.APPROVED),
        ("PAUSED", Approval.PAUSED),
        ("REJECTED", Approval.REJECTED),
        ("PENDING_DELETION", Approval.DISABLED),
        ("LOCKED", None),
    ],
)
def test_a_decision_about_a_template_is_read(event, approval):
    """As another client reads it; being locked is no decision."""
    recorded = decided(event)
    update = json.loads(recorded.body)
    update["entry"][0]["changes"][0]["value"].pop("reason")
    theirs = TemplateStatusUpdate.from_update(WhatsApp(phone_id=NUMBER, token="T"), update)
    told = (
        []
        if approval is None
        else [TemplateChange(name=theirs.template_name, language=theirs.template_language, approval=approval)]
    )
    assert list(read(recorded).templates) == told
    assert theirs.new_status == event


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (131047, Reason.WINDOW_CLOSED),
        (132015, Reason.TEMPLATE_NOT_APPROVED),
        (131026, None),
        (132000, Reason.PROVIDER_REJECTED),
    ],
)
def test_a_failure_says_why(code, reason):
    """In words of ours."""
    (receipt,) = read(failed(code)).receipts
    assert receipt.reason is reason
    assert receipt.detail == f"WhatsApp {code}: {ERRORS.codes[str(code)].words}"


def test_a_person_has_a_number_and_words():
    """Whatever they sent."""
    (message,) = read(written(type="text", text={"body": "Hello"})).messages
    assert (message.sender, message.recipient, message.text) == ("+4915550000001", "+15550783881", "Hello")
    assert message.at == 1_750_263_773_000
    (message,) = read(written(type="sticker", sticker={"id": "1"})).messages
    assert message.text == ""


def test_the_page_explains_every_code():
    """In the same words as the timeline of a message."""
    said = PAGE.read_text(encoding="utf-8")
    assert [code for code, one in ERRORS.codes.items() if f"| {code} | {one.words} |" not in said] == []


def test_the_channel_takes_numbers():
    """In any spelling."""
    assert plugin.channels == {Channel.WHATSAPP}
    assert document_of(WhatsAppContent(text="Hi"))["to"] == "4915550000001"
