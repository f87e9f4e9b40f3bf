"""Sinch: the request for a message, its settings, and the signatures of its callbacks."""

import json

import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.sinch import (
    ERRORS,
    LONGEST_WAIT_MS,
    SinchConfig,
    SinchMessages,
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
from tests.vendors.sinch import INBOUND, VENDORS, failed, plan

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


def request_of(config, expires_in_ms=None):
    """The request for one message."""
    integration = Integration(key="texts", channel=Channel.SMS, provider="sinch", config=config)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    if expires_in_ms is not None:
        expires_at = Instant(TOOLS.clock.now() + expires_in_ms)
        outgoing = replace(outgoing, message=replace(outgoing.message, expires_at=expires_at))
    request = SinchMessages(integration, msgspec.convert(config, SinchConfig), TOOLS).build(outgoing)
    assert isinstance(request, HttpRequest)
    return request


def test_a_message_asks_for_a_final_report_about_its_reference():
    """From the region of the service plan."""
    config = {**plan("x"), "api_url": "https://eu.sms.api.sinch.com/"}
    request = request_of(config)
    assert request.url == "https://eu.sms.api.sinch.com/xms/v1/example-plan/batches"
    assert json.loads(request.body) == {
        "from": "+15005550006",
        "to": ["+4915550000001"],
        "body": "words-that-must-not-show",
        "client_reference": "ab12",
        "callback_url": URL,
        "delivery_report": "per_recipient_final",
    }


def test_without_a_callback_secret_no_reports_are_asked_for():
    """Nobody could tell that they are Sinch's."""
    config = {**plugin.example, "region": "eu"}
    request = request_of(config)
    assert request.url.startswith("https://eu.sms.api.sinch.com/")
    assert b"callback_url" not in request.body
    with pytest.raises(CallbackForged, match="callback_secret"):
        verify(CallbackRequest(url=URL), msgspec.convert(config, SinchConfig), CallbackTools(now=Instant(0)))


@pytest.mark.parametrize(("left_ms", "told"), [(60_000, True), (LONGEST_WAIT_MS + 60_000, False)])
def test_a_message_that_expires_says_when(left_ms, told):
    """Unless that is later than Sinch gives up by itself."""
    document = json.loads(request_of(plugin.example, left_ms).body)
    assert document.get("expire_at", "").endswith("Z") == told


@pytest.mark.parametrize(("status", "fault"), [(200, None), (401, ConfigError), (500, Unavailable)])
async def test_a_ping_asks_for_the_latest_batch(status, fault):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=Answer.json(status, {})) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["service plan"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        assert [one.path for one in server.requests] == ["/xms/v1/example-plan/batches?page_size=1"]


@pytest.mark.parametrize("changes", [{"sender": "!"}, {"region": "xx"}, {"service_plan_id": "a/b"}])
def test_settings_that_cannot_work_are_refused(changes):
    """When they are stored."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, **changes}, SinchConfig)


PUBLISHED = (
    '{"app_id":"","accepted_time":"2021-10-18T17:49:13.813615Z","project_id":"e2df3a34-a71b-4448-9db5-a8d2baad28e4",'
    '"contact_create_notification":{"contact":{"id":"01FJA8B466Y0R2GNXD78MD9SM1","channel_identities":[{"channel":"SMS",'
    '"identity":"48123456789","app_id":""}],"display_name":"New Test Contact","email":"new.contact@email.com",'
    '"external_id":"","metadata":"","language":"EN_US"}},"message_metadata":""}'
)
"""From the tests of Sinch's own .NET SDK, as is its signature."""


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (PUBLISHED, "6bpJoRmFoXVjfJIVglMoJzYXxnoxRujzR4k2GOXewOE="),
        ('{"type":"mo_text","body":"é"}', "SbLXbsMOpvJeN1grVWz5cAuAjkhVL8W4kR0gcLdzfsk="),
    ],
    ids=["published", "of its Python SDK 2.3.0"],
)
def test_a_signature_of_sinch_is_right(body, signature):
    """And of nothing else."""
    config = msgspec.convert({**plugin.example, "callback_secret": "foo_secret1234"}, SinchConfig)
    tools = CallbackTools(now=Instant(1_634_579_353_000))
    headers = {
        "x-sinch-webhook-signature": signature,
        "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
        "x-sinch-webhook-signature-timestamp": "1634579353",
    }
    request = CallbackRequest(url=URL, body=body.encode(), headers=headers)
    verify(request, config, tools)
    for changed in (
        replace(request, body=request.body + b" "),
        *(replace(request, headers={**headers, name: "1634579354"}) for name in headers),
    ):
        with pytest.raises(CallbackForged):
            verify(changed, config, tools)
    with pytest.raises(CallbackForged, match="too old"):
        verify(request, config, CallbackTools(now=Instant(1_734_579_353_000)))


def read(recorded):
    """What a callback says."""
    config = msgspec.convert(plan("https://us.sms.api.sinch.com"), SinchConfig)
    return CALLBACKS.read(recorded.request(OURS), config, CallbackTools(now=Instant(0)))


@pytest.mark.parametrize(
    ("status", "code", "says", "reason"),
    [
        ("Aborted", 412, "412", Reason.MISCONFIGURED),
        ("Expired", 9999, "EXPIRED", Reason.EXPIRED),
        ("Failed", 9999, "FAILED", Reason.PROVIDER_ERROR),
    ],
)
def test_a_report_says_why(status, code, says, reason):
    """By its code, or by its status where the code is not known."""
    (receipt,) = read(failed(status, code)).receipts
    assert receipt.reason is reason
    assert receipt.detail == ERRORS.said(says)


def test_the_message_of_a_person_is_passed_on():
    """With numbers as contacts have them."""
    (message,) = read(INBOUND).messages
    assert (message.sender, message.recipient) == ("+4915550000001", "+15005550006")
    assert message.at is not None
