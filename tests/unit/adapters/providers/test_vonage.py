"""Vonage: the request for a message, its settings, and the signatures of its reports."""

import json

import jwt
import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.vonage import ERRORS, LONGEST_TTL_S, VonageConfig, VonageMessages, plugin
from clarion.adapters.signed_jwt import MOST_CHARS, check_times, claims_of
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import CallbackForged, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.recorded_callbacks import OURS
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.vonage import INBOUND, SIGNS, VENDORS, account, failed, signed

RANDOM = SystemRandom()
URL = "https://notify.example/v1/callbacks/texts/token"
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    callback_url=lambda tenant, key: URL,
    allowed_networks=("127.0.0.0/8",),
)
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks
NOW = Instant(1_516_239_022_000)
KNOWN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
"""The example of https://jwt.io, signed with `your-256-bit-secret`."""


def document_of(expires_in_ms=None, **changes):
    """The JSON of one message."""
    config = {**account("https://api.nexmo.com"), **changes}
    integration = Integration(key="texts", channel=Channel.SMS, provider="vonage", config=config)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    if expires_in_ms is not None:
        expires_at = Instant(TOOLS.clock.now() + expires_in_ms)
        outgoing = replace(outgoing, message=replace(outgoing.message, expires_at=expires_at))
    request = VonageMessages(integration, msgspec.convert(config, VonageConfig), TOOLS).build(outgoing)
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


def test_a_message_asks_for_reports_about_its_reference():
    """Numbers are written without a plus."""
    document = document_of(sender="+15005550006")
    assert document == {
        "channel": "sms",
        "message_type": "text",
        "to": "4915550000001",
        "from": "15005550006",
        "text": "words-that-must-not-show",
        "client_ref": "ab12",
        "webhook_url": URL,
        "webhook_version": "v1",
    }


def test_without_a_signature_secret_no_reports_are_asked_for():
    """Nobody could tell that they are Vonage's."""
    config = account("https://api.nexmo.com")
    del config["signature_secret"]
    integration = Integration(key="texts", channel=Channel.SMS, provider="vonage", config=config)
    settings = msgspec.convert(config, VonageConfig)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    request = VonageMessages(integration, settings, TOOLS).build(outgoing)
    assert isinstance(request, HttpRequest)
    assert b"webhook_url" not in request.body
    with pytest.raises(CallbackForged, match="signature_secret"):
        CALLBACKS.verify(CallbackRequest(url=URL), settings, CallbackTools(now=NOW))


@pytest.mark.parametrize(("left_ms", "ttl"), [(1_000, 20), (90_500, (89, 90)), (LONGEST_TTL_S * 2_000, None)])
def test_a_message_that_expires_has_a_time_to_live(left_ms, ttl):
    """Within the bounds that Vonage takes."""
    found = document_of(left_ms).get("ttl")
    assert found in ttl if isinstance(ttl, tuple) else found == ttl


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer.text(422, "{}"), None),
        (Answer.text(401, "{}"), ConfigError),
        (Answer.text(404, "no"), ConfigError),
        (Answer.text(500, "no"), Unavailable),
    ],
)
async def test_a_ping_sends_nothing(answer, fault):
    """An empty message is refused; with wrong credentials it is refused otherwise."""
    async with scripted_server(otherwise=answer) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["account"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        assert [request.body for request in server.requests] == [b"{}"]


@pytest.mark.parametrize("sender", ["", "+0155", "a name that is long", "123456789012345678"])
def test_a_sender_that_cannot_be_one_is_refused(sender):
    """When it is stored."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, "sender": sender}, VonageConfig)


def test_a_token_of_others_is_read():
    """A published one, and one of PyJWT, which Vonage's SDK uses."""
    assert claims_of(KNOWN, "your-256-bit-secret")["name"] == "John Doe"
    key = "k" * 40
    assert claims_of(jwt.encode({"a": 1}, key, algorithm="HS256"), key) == {"a": 1}


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        KNOWN[:-1],
        KNOWN.replace("eyJzdWIi", "eyJzdWIj"),
        KNOWN.rpartition(".")[0] + ".",
        jwt.encode({"a": 1}, "", algorithm="none"),
        jwt.encode({"a": 1}, "your-256-bit-secret" * 4, algorithm="HS512"),
        "x" * (MOST_CHARS + 1),
        "é.é.é",
    ],
)
def test_any_other_token_is_refused(token):
    """Another algorithm, none, or a change."""
    with pytest.raises(CallbackForged):
        claims_of(token, "your-256-bit-secret")


@pytest.mark.parametrize(
    "claims", [{}, {"iat": "x"}, {"iat": 1_516_239_022 + 61}, {"iat": 1_516_239_022, "exp": 1}]
)
def test_a_token_of_another_time_is_refused(claims):
    """So is one without a time."""
    with pytest.raises(CallbackForged):
        check_times(claims, NOW, 60)


def read(recorded):
    """What a report says, once it is verified."""
    config = msgspec.convert(account("https://api.nexmo.com"), VonageConfig)
    tools = CallbackTools(now=NOW)
    request = signed(SIGNS, recorded.request(OURS), NOW)
    CALLBACKS.verify(request, config, tools)
    return CALLBACKS.read(request, config, tools)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("1240", Reason.OPTED_OUT), ("1120", Reason.MISCONFIGURED), ("9999", Reason.PROVIDER_ERROR)],
)
def test_a_report_says_why(code, reason):
    """In reasons of ours; a code that is not known is not repeated."""
    (receipt,) = read(failed(code)).receipts
    assert receipt.reason is reason
    assert receipt.detail == ERRORS.said(code)
    assert receipt.at is not None


def test_the_message_of_a_person_is_passed_on():
    """With numbers as contacts have them."""
    (message,) = read(INBOUND).messages
    assert (message.sender, message.recipient) == ("+4915550000001", "+15005550006")
