"""Plivo: the request for a message, its settings, and the signatures of its callbacks."""

import json
from urllib.parse import urlencode

import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.http import HttpRequest
from clarion.adapters.providers.plivo import ERRORS, PlivoConfig, PlivoMessages, plugin, verify
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
from tests.vendors.plivo import INBOUND, VENDORS, account, failed

RANDOM = SystemRandom()
URL = "https://notify.example/v1/callbacks/texts/token"
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    callback_url=lambda tenant, key: URL,
    allowed_networks=("127.0.0.0/8",),
)
POWERPACK = "86bbb125-97bb-4d72-89fd-81d5c515b015"
assert plugin.callbacks is not None
CALLBACKS = plugin.callbacks


def document_of(sender):
    """The JSON of one message."""
    config = {**account("https://api.plivo.com"), "sender": sender}
    integration = Integration(key="texts", channel=Channel.SMS, provider="plivo", config=config)
    (outgoing,) = ProviderSubject(plugin=plugin, tools=TOOLS).messages(1)
    request = PlivoMessages(integration, msgspec.convert(config, PlivoConfig), TOOLS).build(outgoing)
    assert isinstance(request, HttpRequest)
    assert request.url == "https://api.plivo.com/v1/Account/MA000000000000000000/Message/"
    return json.loads(request.body)


@pytest.mark.parametrize(
    ("sender", "field"), [("+15005550006", "src"), ("Example", "src"), (POWERPACK, "powerpack_uuid")]
)
def test_a_message_is_reported_about_at_a_url_with_its_reference(sender, field):
    """From a number, a name or a powerpack."""
    assert document_of(sender) == {
        field: sender,
        "dst": "+4915550000001",
        "text": "words-that-must-not-show",
        "type": "sms",
        "url": f"{URL}?ref=ab12",
        "method": "POST",
    }


@pytest.mark.parametrize(("status", "fault"), [(200, None), (401, ConfigError), (500, Unavailable)])
async def test_a_ping_asks_for_the_account(status, fault):
    """And says what to do when it does not work."""
    async with scripted_server(otherwise=Answer.json(status, {})) as server:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["number"], url=server.url)
        async with subject.opened() as provider:
            if fault is None:
                await provider.ping()
            else:
                with pytest.raises(fault):
                    await provider.ping()
        assert [one.path for one in server.requests] == ["/v1/Account/MA000000000000000000/"]


@pytest.mark.parametrize(
    "changes",
    [{"sender": ""}, {"sender": "a name that is long"}, {"auth_id": "AC123"}, {"auth_token": "a b"}],
)
def test_settings_that_cannot_work_are_refused(changes):
    """When they are stored."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin.example, **changes}, PlivoConfig)


SIGNED = [
    (
        f"{URL}?ref=ab12",
        [("MessageUUID", "m-1"), ("Status", "delivered"), ("To", "4915550000001")],
        "4bpL/E4w+HFNaaB/JTYmwYmxB74JtEDe19LEOA7kaPw=",
    ),
    (URL, [("Status", "sent"), ("From", "1500 + é")], "T5Aa/3gtKHJXK3IpC4i/mIt08RQlZHVUYiUxQ1QIUK0="),
    (
        "https://notify.example/x?b=2&a=1&a=0&c=",
        [("z", "2"), ("z", "1"), ("A", "")],
        "mOp1fd21++WUa2zF5BpOgClvwGC/0jLFyTss1FQphhQ=",
    ),
    ("https://notify.example/x?b=2", [], "bgRt+v39RKp9qo1ymEpfVvuWHx4Xj5zLqWxorAfNs/g="),
    ("https://notify.example/x", [], "Neybv2eGhnAvyy1DIobnqb/jYhndmlZQcv43e4NrZ00="),
]
"""Signatures of PyPI `plivo` 4.63.0, `plivo.utils.signature_v3`, with the nonce `12345` and the token `secret`."""


@pytest.mark.parametrize(("url", "fields", "signature"), SIGNED)
@pytest.mark.parametrize("header", ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"])
def test_a_signature_of_plivos_sdk_is_right(url, fields, signature, header):
    """Of the account or the main account, one of several, and of nothing else."""
    config = msgspec.convert({**plugin.example, "auth_token": "secret"}, PlivoConfig)
    tools = CallbackTools(now=Instant(0))
    request = CallbackRequest(
        url=url,
        body=urlencode(fields).encode(),
        headers={header: f"AAAA,{signature}", "x-plivo-signature-v3-nonce": "12345"},
    )
    verify(request, config, tools)
    for changed in (
        replace(request, body=request.body + b"&x=1"),
        replace(request, url=f"{url}x"),
        replace(request, headers={**request.headers, "x-plivo-signature-v3-nonce": "1"}),
        replace(request, headers={header: signature}),
    ):
        with pytest.raises(CallbackForged):
            verify(changed, config, tools)


def read(recorded):
    """What a callback says."""
    config = msgspec.convert(account("https://api.plivo.com"), PlivoConfig)
    return CALLBACKS.read(recorded.request(OURS), config, CallbackTools(now=Instant(0)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [("200", Reason.OPTED_OUT), ("40", Reason.MISCONFIGURED), ("9999", Reason.PROVIDER_ERROR)],
)
def test_a_report_says_why(code, reason):
    """In reasons of ours; a code that is not known is not repeated."""
    (receipt,) = read(failed(code)).receipts
    assert receipt.reason is reason
    assert receipt.detail == ERRORS.said(code)


def test_the_message_of_a_person_is_passed_on_and_not_answered():
    """With numbers as contacts have them."""
    callback = read(INBOUND)
    (message,) = callback.messages
    assert (message.sender, message.recipient) == ("+4915550000001", "+15005550006")
    assert callback.answer.body == b"<Response/>"
