"""Small providers of email: each request carries everything that belongs to an email, and only the service can report."""

import email
import email.policy
import importlib
import json
from base64 import b64decode
from importlib.metadata import EntryPoint

import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.content.bounces import refused_email
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import Attachment, EmailContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.testing.ports import MONDAY_NOON, provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors import brevo, mailgun, mailjet, postmark, resend

RANDOM = SystemRandom()
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
)
UNSUBSCRIBE = "https://notify.example/u/abc"
FULL = EmailContent(
    subject="Grüße",
    text="Hello Ada",
    html='<p>Hello <img src="cid:logo"></p>',
    attachments=(
        Attachment(name="bill.pdf", type="application/pdf", content=b"%PDF"),
        Attachment(name="logo.png", type="image/png", content=b"png", inline_id="logo"),
    ),
)
ONE_CLICK = {
    "List-Unsubscribe": f"<{UNSUBSCRIBE}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
}
SERVICES = ("brevo", "mailgun", "mailjet", "postmark", "resend")


def plugin_of(name):
    """The plug-in of a service."""
    return EntryPoint(name, f"clarion.adapters.providers.{name}:plugin", "clarion.providers").load()


def vendor_of(name):
    """Its other side."""
    (vendor,) = importlib.import_module(f"tests.vendors.{name}").VENDORS.values()
    return vendor


def subject(name, url="", tools=TOOLS):
    """The service, led to this URL."""
    return ProviderSubject(plugin=plugin_of(name), tools=tools, vendor=vendor_of(name), url=url)


async def request_of(name, content=FULL, **settings):
    """The request for one email, and the email."""
    (outgoing,) = subject(name).messages(1, Channel.EMAIL, content)
    outgoing = replace(outgoing, unsubscribe_url=UNSUBSCRIBE)
    async with scripted_server(otherwise=vendor_of(name).accepted) as server:
        async with subject(name, server.url).opened(**settings) as provider:
            (outcome,) = await provider.send([outgoing])
        assert isinstance(outcome, Accepted), outcome
        (request,) = server.requests
    return request, outgoing


def contains(headers):
    """Whether the way out with one click is among the header fields."""
    return ONE_CLICK.items() <= headers.items()


async def test_resend_is_given_every_part_and_a_key_for_repeats():
    """It answers a repeated key as it did the first time."""
    request, outgoing = await request_of("resend", reply_to="help@shop.example")
    document = json.loads(request.body)
    assert request.path == "/emails"
    assert request.headers["idempotency-key"] == outgoing.message.id.hex()
    assert document["from"] == '"The Shop" <news@shop.example>'
    assert document["reply_to"] == "help@shop.example"
    assert document["to"] == ["ada@contact.example"]
    assert (document["subject"], document["text"], document["html"]) == ("Grüße", FULL.text, FULL.html)
    assert contains(document["headers"])
    assert document["tags"] == [{"name": "clarion", "value": "ab12"}]
    bill, logo = document["attachments"]
    assert (bill["filename"], b64decode(bill["content"])) == ("bill.pdf", b"%PDF")
    assert logo["content_id"] == "logo"


async def test_postmark_is_given_every_part():
    """In its message stream, with our reference among the metadata."""
    request, _ = await request_of("postmark", message_stream="broadcast")
    document = json.loads(request.body)
    assert request.path == "/email"
    assert document["MessageStream"] == "broadcast"
    assert document["From"] == '"The Shop" <news@shop.example>'
    assert (document["TextBody"], document["HtmlBody"]) == (FULL.text, FULL.html)
    assert contains({one["Name"]: one["Value"] for one in document["Headers"]})
    assert document["Metadata"] == {"clarion": "ab12"}
    assert document["Tag"] == "checks"
    bill, logo = document["Attachments"]
    assert (bill["Name"], b64decode(bill["Content"])) == ("bill.pdf", b"%PDF")
    assert logo["ContentID"] == "cid:logo"


async def test_mailgun_is_given_the_email_that_we_build():
    """As a file of a form, whose other fields are the recipient, our reference and the category."""
    request, _ = await request_of("mailgun")
    assert request.path == "/v3/mg.shop.example/messages.mime"
    form = email.message_from_bytes(
        b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.body,
        policy=email.policy.HTTP,
    )
    parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
    assert parts.keys() == {"to", "v:clarion", "o:tag", "message"}
    assert parts["v:clarion"].get_payload() == "ab12"
    assert parts["to"].get_payload() == "ada@contact.example"
    (mail,) = parts["message"].iter_parts()
    assert mail["subject"] == "Grüße"
    assert contains({name: str(mail[name]) for name in ONE_CLICK})
    kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "image/png", "application/pdf"]


async def test_mailjet_is_given_every_part():
    """Inline images in a list of their own, and our reference as the custom id."""
    request, _ = await request_of("mailjet", reply_to="help@shop.example")
    (document,) = json.loads(request.body)["Messages"]
    assert request.path == "/v3.1/send"
    assert document["From"] == {"Email": "news@shop.example", "Name": "The Shop"}
    assert document["ReplyTo"] == {"Email": "help@shop.example"}
    assert (document["TextPart"], document["HTMLPart"]) == (FULL.text, FULL.html)
    assert contains(document["Headers"])
    assert document["CustomID"] == "ab12"
    (bill,), (logo,) = document["Attachments"], document["InlinedAttachments"]
    assert (bill["Filename"], b64decode(bill["Base64Content"])) == ("bill.pdf", b"%PDF")
    assert logo["ContentID"] == "logo"


async def test_a_mailjet_check_sends_to_nobody():
    """In sandbox mode, so that key and sender are checked as with any email."""
    async with scripted_server(otherwise=mailjet.SENT) as server:
        async with subject("mailjet", server.url).opened() as provider:
            await provider.ping()
        (request,) = server.requests
    assert json.loads(request.body)["SandboxMode"] is True


async def test_brevo_is_given_every_part():
    """With our reference in the header field that its webhooks repeat."""
    request, _ = await request_of("brevo", reply_to="help@shop.example")
    document = json.loads(request.body)
    assert request.path == "/v3/smtp/email"
    assert document["sender"] == {"email": "news@shop.example", "name": "The Shop"}
    assert document["replyTo"] == {"email": "help@shop.example"}
    assert (document["textContent"], document["htmlContent"]) == (FULL.text, FULL.html)
    assert contains(document["headers"])
    assert document["headers"]["X-Mailin-custom"] == "ab12"
    assert document["tags"] == ["checks"]
    bill, logo = document["attachment"]
    assert (bill["name"], b64decode(bill["content"])) == ("bill.pdf", b"%PDF")
    assert logo["name"] == "logo.png"


@pytest.mark.parametrize("name", SERVICES)
async def test_an_email_without_words_is_sent(name):
    """Some services want a body that is not empty."""
    await request_of(name, EmailContent(subject="x"))


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("answer", "fault"),
    [(Answer.json(200, {}), None), (Answer(status=401), ConfigError), (Answer(status=500), Unavailable)],
)
async def test_a_ping_says_what_to_do(name, answer, fault):
    """And sends nothing."""
    async with scripted_server(otherwise=answer) as server, subject(name, server.url).opened() as provider:
        if fault is None:
            await provider.ping()
        else:
            with pytest.raises(fault):
                await provider.ping()


async def test_a_resend_key_that_may_only_send_is_enough():
    """It may not ask for anything, and says so."""
    answer = resend.error(401, "restricted_api_key")
    async with (
        scripted_server(otherwise=answer) as server,
        subject("resend", server.url).opened() as provider,
    ):
        await provider.ping()


async def test_a_mailgun_domain_that_is_not_verified_is_told():
    """Its emails would be refused."""
    answer = Answer.json(200, {"domain": {"state": "unverified"}})
    async with (
        scripted_server(otherwise=answer) as server,
        subject("mailgun", server.url).opened() as provider,
    ):
        with pytest.raises(ConfigError, match="DNS"):
            await provider.ping()


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────


def config_of(name, **changes):
    """The settings of a service."""
    return msgspec.convert(
        {**vendor_of(name).config("https://api.example"), **changes}, plugin_of(name).config
    )


def read(name, recorded):
    """What a report says."""
    callbacks = plugin_of(name).callbacks
    tools = CallbackTools(now=MONDAY_NOON, refused_email=refused_email)
    (receipt,) = callbacks.read(recorded.request(OURS), config_of(name), tools).receipts
    return receipt


def test_the_signature_that_svix_publishes_is_right():
    """https://docs.svix.com/receiving/verifying-payloads/how-manual, also the vector of Standard Webhooks."""
    request = CallbackRequest(
        url="https://notify.example/x",
        headers={
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,other v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        body=b'{"test": 2432232314}',
    )
    at = CallbackTools(now=Instant(1_614_265_330_000))
    callbacks = plugin_of("resend").callbacks
    assert callbacks.verify(request, config_of("resend"), at) is None
    with pytest.raises(CallbackForged):
        callbacks.verify(replace(request, body=b'{"test": 2432232315}'), config_of("resend"), at)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("resend", "webhook_secret"),
        ("mailgun", "webhook_key"),
        ("postmark", "webhook_password"),
        ("mailjet", "webhook_password"),
        ("brevo", "webhook_password"),
    ],
)
def test_without_a_secret_nothing_is_accepted(name, setting):
    """Nothing could be told from a forgery; the reason names what to set."""
    vendor = vendor_of(name)
    settings = {key: value for key, value in vendor.config("https://api.example").items() if key != setting}
    config = msgspec.convert(settings, plugin_of(name).config)
    request = vendor.callbacks.sign(vendor.callbacks.recorded[0].request(OURS), MONDAY_NOON)
    with pytest.raises(CallbackForged, match=setting):
        plugin_of(name).callbacks.verify(request, config, CallbackTools(now=MONDAY_NOON))


UNKNOWN_USER = "550 5.1.1 <ada@contact.example> no such user"


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("resend", resend.bounce("Permanent", UNKNOWN_USER)),
        ("postmark", postmark.bounce("HardBounce", details=f"smtp;{UNKNOWN_USER}")),
        ("mailgun", mailgun.failed("permanent", "bounce", message=UNKNOWN_USER)),
        ("mailjet", mailjet.event("bounce", hard_bounce=True, comment=UNKNOWN_USER)),
        ("brevo", brevo.event("hard_bounce", reason=UNKNOWN_USER)),
    ],
)
def test_a_receipt_says_when_who_and_why(name, recorded):
    """Without the address in its words."""
    receipt = read(name, recorded)
    assert (receipt.kind, receipt.permanent) == (ReceiptKind.BOUNCED, True)
    assert receipt.address == "ada@contact.example"
    assert receipt.at is not None
    assert abs(receipt.at - MONDAY_NOON) < 120_000
    assert receipt.provider_id
    assert "no such user" in receipt.detail
    assert "ada@" not in receipt.detail


@pytest.mark.parametrize(
    "said",
    [
        "550 5.7.26 Unauthenticated email from shop.example is not accepted due to domain's DMARC policy",
        "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level",
        "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address",
    ],
)
@pytest.mark.parametrize(
    ("name", "bounce"),
    [
        ("resend", lambda said: resend.bounce("Permanent", said)),
        ("postmark", lambda said: postmark.bounce("HardBounce", details=said)),
        ("mailjet", lambda said: mailjet.event("bounce", hard_bounce=True, comment=said)),
        ("brevo", lambda said: brevo.event("hard_bounce", reason=said)),
        ("mailgun", lambda said: mailgun.failed("permanent", "bounce", message=said)),
    ],
)
def test_a_policy_of_the_receivers_is_never_the_persons_fault(name, bounce, said):
    """Whatever the service calls it: the sender must mend it, and the address stays usable."""
    receipt = read(name, bounce(said))
    assert receipt.kind is ReceiptKind.BLOCKED
    assert not receipt.permanent
