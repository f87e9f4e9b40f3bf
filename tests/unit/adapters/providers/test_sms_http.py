"""Gateways that are described by settings: requests, refused settings, answers, and reports."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.providers.sms_http import GatewayMessages, plugin
from clarion.adapters.providers.sms_http.places import at_pointer, matches
from clarion.adapters.providers.sms_http.settings import SmsHttpConfig
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import CallbackForged, CallbackUnreadable, ConfigError, Unavailable
from clarion.model.channel import Channel
from clarion.model.content import SmsContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Rejected
from clarion.model.receipt import ReceiptKind
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.callback import CallbackRequest, CallbackTools
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.scripted_server import Answer, scripted_server
from tests.vendors.sms_http import VENDORS, form_gateway, json_gateway, query_gateway

RANDOM = SystemRandom()
CALLBACKS = "https://notify.example/v1/callbacks/texts/token"
TOOLS = replace(
    provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM)),
    reference=lambda message: "ab12",
    callback_url=lambda tenant, key: CALLBACKS,
)
NO_CALLBACKS = replace(TOOLS, callback_url=lambda tenant, key: "")
URL = "https://gateway.example"
PAGE = Path(__file__).parents[4] / "docs" / "how-to" / "send-texts-with-any-gateway.md"
EXAMPLES = re.findall(r"```json\n(\{.*?\n\})\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def gateway(settings, tools=TOOLS):
    """The gateway that these settings describe."""
    config = msgspec.convert(settings, SmsHttpConfig)
    integration = Integration(key="texts", channel=Channel.SMS, provider="sms_http", config=settings)
    return GatewayMessages(integration, config, tools)


def request_of(settings, text="Hello", tools=TOOLS):
    """The request for one message."""
    (outgoing,) = ProviderSubject(plugin=plugin, tools=tools).messages(1)
    return gateway(settings, tools).build(replace(outgoing, content=SmsContent(text=text)))


def test_a_json_template_is_filled_in_its_strings_only():
    """What a text has in quotes, braces and line breaks stays a string; values that are no strings stay as they are."""
    text = '"}, {"to": "+1"} {from} \\ \n'
    request = request_of(json_gateway(URL), text)
    document = json.loads(request.body)
    assert document == {
        "messages": [
            {"from": "Example", "to": "+4915550000001", "text": text, "custom": "ab12", "report": CALLBACKS}
        ],
        "unicode": True,
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "ab12"


def test_a_form_is_encoded():
    """No text adds a field."""
    text = "a&phones=+1 é%\x00"
    request = request_of(form_gateway(URL), text)
    fields = parse_qs(request.body.decode(), strict_parsing=True)
    assert fields["mes"] == [text]
    assert fields["phones"] == ["4915550000001"]
    assert len(fields) == 7


def test_what_stands_in_the_url_is_encoded():
    """No text adds a parameter, a fragment or a path."""
    text = "a&to=+1#x /../?é"
    request = request_of(query_gateway(URL), text)
    parts = urlsplit(request.url)
    parameters = parse_qs(parts.query, strict_parsing=True)
    assert parts.path == "/http/send"
    assert parameters["text"] == [text]
    assert parameters["dlr"] == [f"{CALLBACKS}?ref=ab12&status=%d"]
    assert parameters["user"] == ["shop"]
    assert request.headers["authorization"].startswith("Basic ")
    assert request.body == b""
    assert not parts.fragment


@pytest.mark.parametrize("settings", [json_gateway(URL), form_gateway(URL), query_gateway(URL)])
def test_without_a_callback_url_its_fields_are_left_out(settings):
    """A gateway that is asked for reports at no URL would refuse the message."""
    request = request_of(settings, tools=NO_CALLBACKS)
    sent = request.url + request.body.decode()
    assert "report" not in sent
    assert "dlr" not in sent
    assert "callback" not in sent


def test_a_text_that_is_too_long_is_refused():
    """By the limit of the settings."""
    assert isinstance(request_of(query_gateway(URL), "x" * 481), Rejected)
    assert not isinstance(request_of(query_gateway(URL), "x" * 480), Rejected)


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"json": {"to": "{to}", "text": "{txt}"}}, "#/json/text", "did you mean {text}"),
        ({"json": {"a/b": ["{to}", "{text} }"]}}, "#/json/a~1b/1", "brace"),
        ({"json": {"to": "{to}"}}, "#/url", "{text}"),
        ({"json": {"text": "{text}"}}, "#/url", "{to}"),
        ({"form": {"to": "{to}"}}, "#/json", "not both"),
        ({"method": "GET"}, "#/json", "no body"),
        ({"url": f"{URL}/{{to}}/send"}, "#/url", "not allowed here"),
        ({"url": f"{URL}/send#x"}, "#/url", "fragment"),
        ({"headers": {"X-Text": "{text}"}}, "#/headers/X-Text", "not allowed here"),
        ({"headers": {"Host": "other.example"}}, "#/headers/Host", "leave it out"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "#/headers/X-A", "control characters"),
        ({"headers": {"Authorization": "Bearer abc"}}, "#/headers/Authorization", "{secret}"),
        ({"sender": ""}, "#/sender", "not set"),
        ({"answer": {"id": r"ID=\d+"}}, "#/answer/id", "one group"),
        ({"answer": {"error": "("}}, "#/answer/error", "no regular expression"),
        ({"answer": {"success": "["}}, "#/answer/success", "no regular expression"),
        (
            {"json": {"to": "{to}", "text": "{text}", "from": "{from}"}, "headers": {}},
            "#/report/reference",
            "{reference}",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_when_stored(changes, pointer, words):
    """With the place, and with what to write."""
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        gateway({**json_gateway(URL), **changes})
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"reference": "?ref"}, "#/report/reference"),
        ({"reference": "custom"}, "#/report/reference"),
        ({"status": ""}, "#/report/status"),
        ({"format": "form", "list": "", "reference": "/custom"}, "#/report/reference"),
        ({"format": "form"}, "#/report/list"),
        ({"format": "query", "list": ""}, "#/report/reference"),
        ({"verify": {"how": "hmac"}}, "#/report/verify/header"),
        ({"verify": {"how": "secret"}}, "#/report/verify/header"),
        ({"verify": {"how": "secret", "header": "X-A", "parameter": "a"}}, "#/report/verify/header"),
        ({"verify": {"how": "hmac", "header": "X-A", "over": "url"}}, "#/report/reference"),
    ],
)
def test_reports_that_would_prove_nothing_are_refused_when_stored(changes, pointer):
    """What the signature does not cover cannot say which message is meant."""
    settings = json_gateway(URL)
    with pytest.raises(ConfigError) as refused:
        gateway({**settings, "report": {**settings["report"], **changes}})
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("name", "without"), [("secret", "#/secret"), ("callback_secret", "#/callback_secret")]
)
def test_a_secret_that_is_needed_is_asked_for(name, without):
    """For the request, and for reports."""
    settings = json_gateway(URL)
    del settings[name]
    with pytest.raises(ConfigError) as refused:
        gateway(settings)
    assert refused.value.pointer == without


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://{to}/send"},
        {"headers": {"a b": "x"}},
        {"errors": {"7": "vanished"}},
        {"report": {"format": "json"}},
        {"user": "a\nb"},
        {"answer": {"success_at": "status"}},
    ],
)
def test_settings_of_the_wrong_form_are_refused(changes):
    """By their types."""
    with pytest.raises(msgspec.ValidationError):
        gateway({**json_gateway(URL), **changes})


def test_a_double_brace_is_a_brace():
    """So that a template may have any text."""
    request = request_of(
        {**json_gateway(URL), "json": {"to": "{to}", "text": "{{{text}}}", "ref": "{reference}"}}
    )
    assert json.loads(request.body)["text"] == "{Hello}"


def test_a_pattern_cannot_hold_up_the_engine():
    """One that would take years over a text finds nothing."""
    assert not matches(r"(a|aa)+$", "a" * 60 + "b")


def test_a_pointer_leads_through_objects_and_lists():
    """And says nothing where there is nothing."""
    document = {"a/b": [{"~": 1}]}
    assert at_pointer(document, "/a~1b/0/~0") == 1
    assert at_pointer(document, "/a~1b/1") is None
    assert at_pointer(document, "/a~1b/x") is None
    assert at_pointer(document, "/a~1b/0/~0/more") is None


async def test_a_ping_calls_what_the_settings_name():
    """With the headers that need no message; without a URL nothing is called."""
    async with scripted_server(otherwise=Answer.json(200, {})) as server:
        tools = replace(TOOLS, allowed_networks=("127.0.0.0/8",))
        for way in ("JSON", "form"):
            subject = ProviderSubject(plugin=plugin, tools=tools, vendor=VENDORS[way], url=server.url)
            async with subject.opened() as provider:
                await provider.ping()
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v2/account")
    assert "authorization" in request.headers
    assert "idempotency-key" not in request.headers


@pytest.mark.parametrize(("status", "fault"), [(401, ConfigError), (404, ConfigError), (500, Unavailable)])
async def test_a_ping_in_trouble_says_what_to_do(status, fault):
    """Credentials, the URL, or patience."""
    async with scripted_server(otherwise=Answer.text(status, "no")) as server:
        tools = replace(TOOLS, allowed_networks=("127.0.0.0/8",))
        subject = ProviderSubject(plugin=plugin, tools=tools, vendor=VENDORS["JSON"], url=server.url)
        async with subject.opened() as provider:
            with pytest.raises(fault):
                await provider.ping()


# ── reports ───────────────────────────────────────────────────────────────────────────────────────────────


def reported(settings, request):
    """What a report says, once it is verified."""
    config = msgspec.convert(settings, SmsHttpConfig)
    tools = CallbackTools(now=Instant(0))
    assert plugin.callbacks is not None
    plugin.callbacks.verify(request, config, tools)
    return plugin.callbacks.read(request, config, tools)


def test_a_secret_may_come_in_the_url():
    """As `{callback_url}?token={callback_secret}` has it."""
    settings = form_gateway(URL)
    settings["report"] |= {"verify": {"how": "secret", "parameter": "token"}, "reference": "?ref"}
    settings["form"]["callback"] = "{callback_url}?token={callback_secret}&ref={reference}"
    sent = parse_qs(request_of(settings).body.decode())["callback"][0]
    callback = reported(settings, CallbackRequest(url=sent, body=b"status=UNDELIV&err=9"))
    (receipt,) = callback.receipts
    assert (receipt.reference, receipt.kind) == ("ab12", ReceiptKind.FAILED)
    assert receipt.reason is Reason.RATE_LIMITED
    assert callback.answer.body == b"OK"
    with pytest.raises(CallbackForged):
        reported(settings, CallbackRequest(url=f"{CALLBACKS}?token=wrong&ref=ab12"))


def test_reports_of_a_gateway_without_any_are_refused():
    """Nothing proves them."""
    with pytest.raises(CallbackForged, match="report"):
        reported(plugin.example, CallbackRequest(url=CALLBACKS))


def test_a_report_without_a_known_status_is_kept_for_a_person():
    """The settings may be completed, and it is read again."""
    settings = form_gateway(URL)
    headers = {"x-token": settings["callback_secret"]}
    for body, words in ((b"id=ab12&status=NEW", "statuses"), (b"id=ab12", "missing")):
        with pytest.raises(CallbackUnreadable, match=words):
            reported(settings, CallbackRequest(url=CALLBACKS, headers=headers, body=body))


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("example", EXAMPLES)
async def test_the_worked_examples_send(example):
    """They are stored as they stand, and a gateway that answers as the page says takes their messages."""
    settings = json.loads(example)["config"]
    answer = Answer.json(200, {"results": [{"messageId": "m-1", "state": "QUEUED"}]})
    if settings["method"] == "GET":
        answer = Answer.text(200, "OK: 4711")
    async with scripted_server(otherwise=answer) as server:
        tools = replace(TOOLS, allowed_networks=("127.0.0.0/8",))
        there = settings["url"].replace("https://api.gateway.example", server.url)
        local = ProviderSubject(plugin=plugin, tools=tools, config={**settings, "url": there})
        async with local.opened() as provider:
            (outcome,) = await provider.send(local.messages(1))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id in ("m-1", "4711")


def test_the_page_has_two_worked_examples():
    """Else the tests of them would prove nothing."""
    assert len(EXAMPLES) == 2
