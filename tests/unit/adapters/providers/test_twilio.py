"""Twilio: the request for a message, its answers, and the signatures of its reports."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import msgspec
import pytest
from msgspec.structs import replace
from twilio.request_validator import RequestValidator

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.twilio import (
    TEXT_CHARS,
    VARIABLES_CHARS,
    TwilioConfig,
    TwilioMessages,
    plugin,
)
from clarion.adapters.providers.twilio.error_codes import CODES
from clarion.adapters.providers.twilio.signature import check_signature
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent, WhatsAppContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Gone, Rejected
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject, RecordedCallback
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.twilio import checked, twilio
from tests.vendors.twilio import (
    ACCOUNT,
    FORM,
    INBOUND,
    SENDER,
    SID,
    VENDORS,
    error,
    failed,
    service,
    signed,
    status,
)

RANDOM = SystemRandom()
CONTENT = "HX0123456789abcdef0123456789abcdef"
URL = "https://notify.example/v1/callbacks/texts/token"
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    callback_url=lambda tenant, key: URL,
)
PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "send-texts-with-twilio.md"


def subject(way="number", tools=TOOLS, url=""):
    """Twilio, used in one of its ways."""
    return ProviderSubject(plugin=plugin, tools=tools, vendor=VENDORS[way], url=url)


async def fields_of(*messages, way="number", tools=TOOLS):
    """The fields of what was sent."""
    async with twilio() as fake:
        led = subject(way, tools, fake.server.url)
        async with led.opened() as provider:
            outcomes = await provider.send(messages or led.messages(1))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
        return fake.messages


async def test_a_message_goes_to_its_number_and_is_reported_about():
    """Its reference travels in the callback URL, and comes back with every report."""
    (sent,) = await fields_of()
    assert sent == {
        "To": "+4915550000001",
        "From": SENDER,
        "Body": "words-that-must-not-show",
        "StatusCallback": f"{URL}?ref=ab12",
    }


async def test_a_messaging_service_chooses_the_number():
    """Its SID stands instead of a sender."""
    (sent,) = await fields_of(way="messaging service")
    assert "From" not in sent
    assert sent["MessagingServiceSid"] == service("")["sender"]


async def test_without_a_public_url_no_reports_are_asked_for():
    """Twilio could not reach us, and would refuse the message."""
    (sent,) = await fields_of(tools=replace(TOOLS, callback_url=lambda tenant, key: ""))
    assert "StatusCallback" not in sent


@pytest.mark.parametrize(
    ("left_s", "validity"), [(None, None), (90, "90"), (0.2, "1"), (-5, "1"), (36_000, None), (90_000, None)]
)
async def test_what_expires_does_not_wait_longer_at_twilio(left_s, validity, monkeypatch):
    """Within the bounds that Twilio takes; what lives longer has no bound of its own."""
    now = Instant(1_767_614_400_000)
    monkeypatch.setattr(SystemClock, "now", lambda self: now)
    expires = None if left_s is None else Instant(now + int(left_s * 1000))
    (outgoing,) = subject().messages(1)
    (sent,) = await fields_of(replace(outgoing, message=replace(outgoing.message, expires_at=expires)))
    assert sent.get("ValidityPeriod") == validity


async def test_a_number_is_written_as_twilio_wants_it():
    """Whatever people write between the digits."""
    (outgoing,) = subject().messages(1)
    assert outgoing.contact is not None
    spaced = replace(outgoing, contact=replace(outgoing.contact, address="+49 (1555) 000-0001"))
    (sent,) = await fields_of(spaced)
    assert sent["To"] == "+4915550000001"


async def test_a_text_over_the_limit_is_refused_without_a_call():
    """Twilio would refuse it too."""
    async with twilio() as fake:
        led = subject(url=fake.server.url)
        async with led.opened() as provider:
            long = led.messages(1, Channel.SMS, SmsContent(text="x" * (TEXT_CHARS + 1)))
            (outcome,) = await provider.send(long)
        assert isinstance(outcome, Rejected)
        assert not fake.server.requests


async def test_who_answered_stop_is_suppressed_for_that_reason():
    """Another reason than a number that does not exist: START brings them back."""
    async with scripted_server(otherwise=error(400, 21610, "unsubscribed recipient")) as server:
        led = subject(url=server.url)
        async with led.opened() as provider:
            (outcome,) = await provider.send(led.messages(1))
    assert isinstance(outcome, Gone)
    assert outcome.reason is Reason.OPTED_OUT


@pytest.mark.parametrize(
    ("answer", "fault", "says"),
    [
        (Answer.json(200, {"status": "suspended"}), ConfigError, "suspended"),
        (error(401, 20003, "Authenticate"), ConfigError, "account_sid"),
        (Answer(status=500), Unavailable, "status.twilio.com"),
        (Answer.json(200, {"status": "active"}), None, ""),
    ],
)
async def test_a_ping_asks_for_the_account(answer, fault, says):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=answer) as server:
        async with subject(url=server.url).opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault, match=says):
                    await provider.ping()
        assert [one.path for one in server.requests] == [f"/2010-04-01/Accounts/{ACCOUNT}.json"]


@pytest.mark.parametrize(
    "sender", ["", "+0155", "+1 500", "12345678901", "a name that is long", "!", "123456789012"]
)
def test_a_sender_that_cannot_be_one_is_refused(sender):
    """With words for what would be right."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, "sender": sender}, TwilioConfig)


@pytest.mark.parametrize("sender", ["+15005550006", "72345", "Shop 24", "MG12", "MG" + "a" * 32])
def test_numbers_names_and_services_can_send(sender):
    """In the forms that Twilio takes."""
    assert msgspec.convert({**plugin.example, "sender": sender}, TwilioConfig).sender == sender


def test_half_an_api_key_is_refused():
    """Both of its parts or neither."""
    with pytest.raises(msgspec.ValidationError, match="together"):
        msgspec.convert({**plugin.example, "api_key_secret": "x"}, TwilioConfig)


# ── signatures ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_signature_of_twilios_documentation_is_right():
    """https://www.twilio.com/docs/usage/security#validating-requests, and the SDK's own test."""
    request = CallbackRequest(
        url="https://mycompany.com/myapp.php?foo=1&bar=2",
        headers={"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        body=b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212",
    )
    check_signature(request, "12345")
    with pytest.raises(CallbackForged):
        check_signature(replace(request, body=request.body.replace(b"1234&", b"1235&")), "12345")


@pytest.mark.parametrize("spelling", ["https://notify.example:443/x?ref=1", "https://notify.example/x?ref=1"])
@pytest.mark.parametrize("told", ["https://notify.example/x?ref=1", "https://notify.example:443/x?ref=1"])
def test_a_port_may_be_signed_or_not(spelling, told):
    """Twilio adds it, or leaves it out."""
    signature = RequestValidator("secret").compute_signature(spelling, {})
    check_signature(CallbackRequest(url=told, headers={"x-twilio-signature": signature}), "secret")


def test_repeated_fields_are_signed_as_the_sdk_does():
    """Each value once, in order."""
    request = CallbackRequest(url=URL, body=b"MessageSid=SM1&Sid=b&Sid=a&Sid=b&MessageStatus=sent")
    check_signature(signed("secret", request), "secret")


def test_a_body_that_is_no_form_is_signed_through_its_digest():
    """A signature over the URL alone says nothing about a body."""
    request = CallbackRequest(url=URL, headers={"content-type": "application/json"}, body=b'{"a": 1}')
    good = signed("secret", request)
    check_signature(good, "secret")
    with pytest.raises(CallbackForged, match="digest"):
        check_signature(replace(good, body=b'{"a": 2}'), "secret")
    without = RequestValidator("secret").compute_signature(URL, {})
    with pytest.raises(CallbackForged):
        check_signature(replace(request, headers={"x-twilio-signature": without}), "secret")


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────


def read(recorded):
    """What a report says."""
    config = msgspec.convert(VENDORS["number"].config("https://api.twilio.com"), TwilioConfig)
    assert plugin.callbacks is not None
    return plugin.callbacks.read(recorded.request(OURS), config, CallbackTools(now=Instant(0)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (21610, Reason.OPTED_OUT),
        (30001, Reason.RATE_LIMITED),
        (30034, Reason.MISCONFIGURED),
        (30036, Reason.EXPIRED),
        (30008, Reason.PROVIDER_ERROR),
        (30005, None),
    ],
)
def test_a_report_says_why(code, reason):
    """In reasons of ours, and with Twilio's code."""
    (receipt,) = read(failed(code, ReceiptKind.FAILED)).receipts
    assert receipt.reason is reason
    assert receipt.detail == f"Twilio {code}: {CODES[code].words}"
    assert receipt.address == "+4915550000001"


def test_the_message_of_a_person_is_passed_on_and_not_answered():
    """With what was sent along; the TwiML that Twilio is answered says nothing to them."""
    callback = read(INBOUND)
    (message,) = callback.messages
    assert (message.sender, message.recipient) == ("+4915550000001", SENDER)
    assert message.text == "words-that-must-not-show grüße"
    assert message.media == ("https://api.twilio.com/media/1",)
    assert callback.answer.body == b"<Response/>"
    assert callback.answer.media_type == "text/xml"


def test_the_page_explains_every_code():
    """In the same words as the timeline of a message."""
    page = PAGE.read_text(encoding="utf-8")
    missing = [code for code, known in CODES.items() if f"| {code} | {known.words} |" not in page]
    assert missing == []


# ── Twilio's own description ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", VENDORS)
async def test_twilios_description_takes_what_we_send(way):
    """Prism answers as Twilio does what fits the description, and refuses the rest: media from a number, a template
    through a service."""
    rich = SmsContent(
        text="Hi",
        media=("https://x.example/a.png", "https://x.example/b.png"),
        rcs_template=CONTENT,
        rcs_parameters=("1",),
    )
    async with checked() as url:
        led = subject(way, url=url)
        async with led.opened(timeout_s=60) as provider:
            (outgoing,) = led.messages(1)
            soon = Instant(TOOLS.clock.now() + 90_000)
            expiring = replace(outgoing, message=replace(outgoing.message, expires_at=soon))
            outcomes = await provider.send([expiring, *led.messages(1, Channel.SMS, rich)])
    for outcome in outcomes:
        assert isinstance(outcome, Accepted), outcome
        assert (outcome.provider_id or "").startswith("SM")


async def test_our_fake_is_as_twilio_describes_itself():
    """Prism stands between both, and refuses what either says wrongly."""
    async with twilio() as fake, checked(fake.server.url) as url:
        led = subject(url=url)
        async with led.opened(timeout_s=60) as provider:
            (outcome,) = await provider.send(led.messages(1))
        assert isinstance(outcome, Accepted), outcome
        assert len(fake.messages) == 1


def built(channel, content, sender):
    """The fields of one message, in order, or why there is none."""
    config = msgspec.convert({**plugin.example, "sender": sender}, TwilioConfig)
    integration = Integration(key="it", channel=channel, provider="twilio")
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1, channel, content)
    request = TwilioMessages(integration, config, TOOLS).build(outgoing)
    return parse_qsl(request.body.decode()) if isinstance(request, HttpRequest) else request


def test_media_make_an_mms():
    """Each link is a field of its own, beside the text."""
    content = SmsContent(text="Hi", media=("https://x.example/a.png?b=1&c=2", "https://x.example/b.png"))
    fields = built(Channel.SMS, content, SENDER)
    assert [value for name, value in fields if name == "MediaUrl"] == list(content.media)
    assert ("Body", "Hi") in fields


def test_through_a_service_the_template_for_rcs_is_sent_instead_of_the_text():
    """The service falls back to the SMS of the template; a number cannot, so it sends the text with its media."""
    content = SmsContent(
        text="Hi", media=("https://x.example/a.png",), rcs_template=CONTENT, rcs_parameters=("Ada", "1")
    )
    fields = dict(built(Channel.SMS, content, service("")["sender"]))
    assert fields["To"] == "+4915550000001"
    assert fields["ContentSid"] == CONTENT
    assert json.loads(fields["ContentVariables"]) == {"1": "Ada", "2": "1"}
    assert not {"Body", "MediaUrl", "From"} & set(fields)
    fields = dict(built(Channel.SMS, content, SENDER))
    assert (fields["Body"], fields["MediaUrl"]) == ("Hi", content.media[0])
    assert not {"ContentSid", "ContentVariables"} & set(fields)


@pytest.mark.parametrize(
    "content",
    [
        SmsContent(text="Hi", rcs_template="order_shipped"),
        SmsContent(text="Hi", rcs_template=CONTENT, rcs_parameters=("x" * VARIABLES_CHARS,)),
    ],
)
def test_a_template_for_rcs_that_twilio_would_refuse_is_not_sent(content):
    """A name that is no SID, and more than it takes."""
    assert isinstance(built(Channel.SMS, content, service("")["sender"]), Rejected)


def test_reports_and_answers_over_rcs_name_the_number():
    """Without the channel that Twilio writes before it: that number is suppressed, and that person has answered."""
    (receipt,) = read(status("read", To="rcs:+4915550000001", From="rcs:shop", ChannelPrefix="rcs")).receipts
    assert (receipt.kind, receipt.address) == (ReceiptKind.OPENED, "+4915550000001")
    fields = {"MessageSid": SID, "From": "rcs:+4915550000001", "To": "rcs:shop", "Body": "STOP"}
    answer = RecordedCallback(content_type=FORM, body=urlencode(fields).encode())
    (message,) = read(answer).messages
    assert (message.sender, message.recipient) == ("+4915550000001", "shop")


def whatsapp_of(content, sender="+15005550006"):
    """The fields of one WhatsApp message, or why there is none."""
    fields = built(Channel.WHATSAPP, content, sender)
    return dict(fields) if isinstance(fields, list) else fields


def test_whatsapp_goes_from_number_to_number_or_through_a_service():
    """Both numbers are marked; a service knows its own."""
    fields = whatsapp_of(WhatsAppContent(text="Hi"))
    assert (fields["To"], fields["From"], fields["Body"]) == (
        "whatsapp:+4915550000001",
        "whatsapp:+15005550006",
        "Hi",
    )
    service = "MG0123456789abcdef0123456789abcdef"
    fields = whatsapp_of(WhatsAppContent(text="Hi"), service)
    assert fields["MessagingServiceSid"] == service
    assert "From" not in fields


def test_a_whatsapp_template_is_a_content_sid_with_its_variables():
    """Numbered from 1, buttons behind the body; anything but a SID is refused."""
    fields = whatsapp_of(WhatsAppContent(template=CONTENT, parameters=("Ada", "A-1"), buttons=("x",)))
    assert fields["ContentSid"] == CONTENT
    assert json.loads(fields["ContentVariables"]) == {"1": "Ada", "2": "A-1", "3": "x"}
    assert "Body" not in fields
    assert isinstance(whatsapp_of(WhatsAppContent(template="order_shipped")), Rejected)
