"""Bird (MessageBird): the request for a message, its settings, and the tokens of its reports."""

import json

import jwt
import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.messagebird import (
    ERRORS,
    LONGEST_VALIDITY_S,
    MessageBirdConfig,
    MessageBirdMessages,
    plugin,
    verify,
)
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
from tests.vendors.messagebird import VENDORS, account, failed, signed

RANDOM = SystemRandom()
URL = "https://notify.example/v1/callbacks/texts/token"
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    callback_url=lambda tenant, key: URL,
    allowed_networks=("127.0.0.0/8",),
)
NOW = Instant(1_700_000_000_000)
CONFIG = msgspec.convert({**plugin.example, "signing_key": "k" * 40}, MessageBirdConfig)
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks


def document_of(config, expires_in_ms=None):
    """The JSON of one message."""
    integration = Integration(key="texts", channel=Channel.SMS, provider="messagebird", config=config)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    if expires_in_ms is not None:
        expires_at = Instant(TOOLS.clock.now() + expires_in_ms)
        outgoing = replace(outgoing, message=replace(outgoing.message, expires_at=expires_at))
    request = MessageBirdMessages(integration, msgspec.convert(config, MessageBirdConfig), TOOLS).build(
        outgoing
    )
    assert isinstance(request, HttpRequest)
    return json.loads(request.body)


def test_a_message_asks_for_reports_about_its_reference():
    """Numbers are written without a plus."""
    assert document_of({**account("https://rest.messagebird.com"), "sender": "+15005550006"}) == {
        "originator": "15005550006",
        "recipients": ["4915550000001"],
        "body": "words-that-must-not-show",
        "datacoding": "auto",
        "reference": "ab12",
        "reportUrl": URL,
    }


def test_without_a_signing_key_no_reports_are_asked_for():
    """Nobody could tell that they are Bird's."""
    assert "reportUrl" not in document_of(plugin.example)
    config = msgspec.convert(plugin.example, MessageBirdConfig)
    with pytest.raises(CallbackForged, match="signing_key"):
        verify(CallbackRequest(method="GET", url=URL), config, CallbackTools(now=NOW))


@pytest.mark.parametrize(
    ("left_ms", "validity"), [(-5_000, (1,)), (90_500, (89, 90)), (LONGEST_VALIDITY_S * 2_000, (None,))]
)
def test_a_message_that_expires_has_a_validity(left_ms, validity):
    """Unless Bird gives up earlier by itself."""
    assert document_of(plugin.example, left_ms).get("validity") in validity


@pytest.mark.parametrize(
    ("status", "fault"), [(200, None), (401, ConfigError), (404, ConfigError), (500, Unavailable)]
)
async def test_a_ping_asks_for_the_balance(status, fault):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=Answer.json(status, {})) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["account"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        assert [one.path for one in server.requests] == ["/balance"]


def test_a_token_of_another_issuer_or_request_is_refused():
    """The URL, the body, the issuer and the time are all proven."""
    tools = CallbackTools(now=NOW)
    right = signed(CONFIG.signing_key, CallbackRequest(method="GET", url=f"{URL}?reference=ab12"), NOW)
    verify(right, CONFIG, tools)
    stranger = jwt.encode({"iss": "somebody", "nbf": NOW // 1000}, CONFIG.signing_key, algorithm="HS256")
    for wrong in (
        replace(right, url=f"{URL}?reference=ab13"),
        replace(right, body=b"x"),
        replace(right, headers={"messagebird-signature-jwt": stranger}),
        replace(right, headers={}),
    ):
        with pytest.raises(CallbackForged):
            verify(wrong, CONFIG, tools)
    with pytest.raises(CallbackForged):
        verify(right, CONFIG, CallbackTools(now=Instant(NOW + 3_600_000)))


@pytest.mark.parametrize(
    ("status", "code", "says", "reason"),
    [
        ("expired", "", "expired", Reason.EXPIRED),
        ("delivery_failed", "9999", "delivery_failed", Reason.PROVIDER_ERROR),
        ("delivery_failed", "27", "27", None),
    ],
)
def test_a_report_says_why(status, code, says, reason):
    """By its code, or by its status where the code is not known."""
    request = failed(status, code).request(OURS)
    (receipt,) = CALLBACKS.read(request, CONFIG, CallbackTools(now=NOW)).receipts
    assert receipt.reason is reason
    assert receipt.detail == ERRORS.said(says)
    assert receipt.at is not None
