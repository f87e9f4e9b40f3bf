"""Expo as a provider: what is asked of it, and what is not said by its status."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clarion.adapters.http import HttpReply, HttpRequest
from clarion.adapters.providers.expo import RECEIPTS, ExpoConfig, build, check_pong, plugin, read
from clarion.adapters.system import SystemClock
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, PushContent
from clarion.model.ids import Instant
from clarion.model.outcome import Accepted, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.receipt import ReceiptKind
from clarion.model.user import Contact
from clarion.ports.callback import ReportedReceipt
from clarion.testing.ports import MONDAY_NOON, ManualClock, SeededRandom, provider_tools
from clarion.testing.provider_contract import SECRET, WORDS, ProviderSubject
from clarion.testing.scripted_server import Answer, scripted_server
from tests import outgoing as made
from tests.needs import require, require_npm
from tests.vendors.expo import SENT, TOKEN, VENDORS, receipt, refused, ticket

SCRIPT = Path(__file__).parents[3] / "npm" / "expo-push.mjs"
RANDOM = SeededRandom(1)
TOOLS = provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM))
HELLO = PushContent(title="Hello", body="World", url="https://a.example/", data={"order": 7})


def push(content: PushContent = HELLO, address: str = f"expo:{TOKEN}", **more: Any) -> Outgoing:
    return made.outgoing(content, channel=Channel.PUSH, address=address, **more)


def asked(outgoing: Outgoing, **settings: Any) -> HttpRequest | Outcome:
    return build(msgspec.convert(settings, ExpoConfig), ManualClock(), outgoing)


def sent(outgoing: Outgoing, **settings: Any) -> dict[str, Any]:
    """The body of the request."""
    built = asked(outgoing, **settings)
    assert isinstance(built, HttpRequest), built
    assert built.url == "https://exp.host/--/api/v2/push/send"
    body: dict[str, Any] = json.loads(built.body)
    return body


def answered(answer: Any) -> HttpReply:
    return HttpReply(status=answer.status, headers=answer.headers, body=answer.body)


def test_the_whole_message_is_in_fields_that_expo_documents():
    """https://docs.expo.dev/push-notifications/sending-notifications/#message-request-format"""
    options = DeviceOptions(
        subtitle="Sub",
        badge=0,
        sound="default",
        category="ORDER",
        channel_id="orders",
        interruption_level="time-sensitive",
        thread_id="orders",
        relevance_score=0.5,
    )
    content = msgspec.structs.replace(HELLO, device=options, image="https://a.example/i.png")
    body = sent(push(content, lane=Lane.CRITICAL, collapse_key=b"12345678"))
    assert body == {
        "to": TOKEN,
        "title": "Hello",
        "body": "World",
        "subtitle": "Sub",
        "badge": 0,
        "sound": "default",
        "categoryId": "ORDER",
        "channelId": "orders",
        "interruptionLevel": "time-sensitive",
        "mutableContent": True,
        "threadId": "orders",
        "relevanceScore": 0.5,
        "collapseId": "MTIzNDU2Nzg",
        "tag": "MTIzNDU2Nzg",
        "richContent": {"image": "https://a.example/i.png"},
        "data": {
            "order": 7,
            "message_id": "00000000-0000-0000-0000-000000000001",
            "url": "https://a.example/",
            "image": "https://a.example/i.png",
        },
        "priority": "high",
        "ttl": 86_400,
    }
    types = (
        require_npm("expo-server-sdk", "the fields that Expo's own SDK knows") / "build/ExpoClient.d.ts"
    ).read_text()
    (known,) = re.findall(r"^export type ExpoPushMessage = \{\n(.*?)^\};", types, re.DOTALL | re.MULTILINE)
    assert {name for name in body if f"    {name}?: " not in known} == {"to"}


def test_a_push_in_the_background_shows_nothing():
    """The app is woken with its data."""
    body = sent(push(msgspec.structs.replace(HELLO, device=DeviceOptions(background=True))))
    assert body["contentAvailable"] is True
    assert {"title", "body"}.isdisjoint(body)


def test_a_message_is_kept_until_it_expires():
    """Never after; without a time as long as the setting says."""
    assert sent(push(expires_at=Instant(MONDAY_NOON + 90_500)))["ttl"] == 90
    assert sent(push(expires_at=Instant(MONDAY_NOON - 1)))["ttl"] == 0
    assert sent(push(), ttl_s=5)["ttl"] == 5


def test_an_access_token_is_sent_where_there_is_one():
    """Projects with enhanced push security want it."""
    built, without = asked(push(), access_token="t0ken"), asked(push())
    assert isinstance(built, HttpRequest)
    assert isinstance(without, HttpRequest)
    assert built.headers["authorization"] == "Bearer t0ken"
    assert "authorization" not in without.headers


@pytest.mark.parametrize(
    "outgoing",
    [
        push(PushContent(title="x" * 4_100)),
        push(address="fcm:token-12345"),
        push(address="expo:ExponentPushToken[]"),
    ],
)
def test_what_expo_cannot_take_is_not_sent(outgoing):
    """Too large, or not to a device of Expo's."""
    assert isinstance(asked(outgoing), Rejected)


def test_only_expo_tokens_are_its_own():
    """All other devices go to other integrations."""
    assert plugin.accepts is not None
    found = [
        address
        for address in (f"expo:{TOKEN}", "fcm:token-12345", TOKEN, "ntfy:orders")
        if plugin.accepts(Contact(channel=Channel.PUSH, address=address))
    ]
    assert found == [f"expo:{TOKEN}"]


def test_trouble_of_one_platform_is_no_trouble_of_the_other():
    """Keys for Android may be wrong while iPhones are served: the circuit stays closed."""
    for error in ("InvalidCredentials", "MismatchSenderId", "MessageRateExceeded"):
        outcome = read(push(), answered(ticket(error)))
        assert isinstance(outcome, Retry)
        assert outcome.of_address is True


def test_the_id_of_the_ticket_is_kept():
    """Support at Expo asks for it."""
    outcome = read(push(), answered(SENT))
    assert outcome == Accepted(provider_id="019a1b2c-0000-7000-8000-000000000001")


def test_a_check_says_what_is_wrong():
    """The token, or the service."""
    check_pong(HttpReply(status=200, headers={}, body=b'{"data":{}}'))
    with pytest.raises(ConfigError, match="access_token"):
        check_pong(answered(refused(400, "UNAUTHORIZED")))
    with pytest.raises(Unavailable, match="503"):
        check_pong(HttpReply(status=503, headers={}, body=b""))


async def said_by_sdk(sdk: Path, url: str, *ids: str) -> Any:
    """What Expo's own client understands, after it sent a message or asked for the receipts of these tickets."""
    words = [str(require("node", "npm packages")), str(SCRIPT), str(sdk), TOKEN, "t0ken", *ids]
    done = await asyncio.to_thread(
        lambda: subprocess.run(
            words, env={"EXPO_BASE_URL": url}, capture_output=True, text=True, check=True, timeout=60
        )
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (SENT, {"status": "ok", "id": "019a1b2c-0000-7000-8000-000000000001"}),
        (ticket("DeviceNotRegistered"), {"status": "error", "error": "DeviceNotRegistered"}),
        (refused(401, "UNAUTHORIZED"), {"status": "refused", "error": "UNAUTHORIZED"}),
    ],
)
async def test_expos_own_sdk_asks_as_we_do_and_reads_the_recorded_answers(answer, told):
    """The same path, method and credential; tokens that we take are tokens for it. It sends an array, we one message."""
    sdk = require_npm("expo-server-sdk", "Expo's own client against the same server")
    document = json.loads(answer.body)
    several = {"data": [document["data"]]} if "data" in document else document
    async with scripted_server(otherwise=Answer.json(answer.status, several)) as site:
        built = asked(push(), access_token="t0ken", url=site.url)
        assert isinstance(built, HttpRequest)
        told_by_sdk = await said_by_sdk(sdk, site.url)
        (request,) = site.requests
    assert told_by_sdk == {"token": True, **told}
    assert f"{site.url}{request.path}" == built.url
    assert (request.method, request.headers["authorization"]) == ("POST", built.headers["authorization"])


async def fetched(answer: Answer, asked: Mapping[str, str]) -> tuple[Sequence[ReportedReceipt], Any]:
    """What the provider reports of this answer, and what it asked."""
    async with scripted_server(otherwise=answer) as site:
        subject = ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDORS["to a device"], url=site.url)
        async with subject.opened() as provider:
            found = await provider.fetch_receipts(asked)  # type: ignore[attr-defined]
        (request,) = site.requests
    return found, request


@pytest.mark.parametrize(
    ("receipt", "kind", "detail"),
    [
        (receipt("DeviceNotRegistered"), ReceiptKind.BOUNCED, "DeviceNotRegistered"),
        (receipt("MessageRateExceeded"), ReceiptKind.FAILED, "Expo said MessageRateExceeded"),
        (receipt("InvalidCredentials"), ReceiptKind.FAILED, "Expo said InvalidCredentials"),
        (receipt("ProviderError"), ReceiptKind.FAILED, "Expo said ProviderError"),
        (receipt(WORDS), ReceiptKind.FAILED, "Expo could not pass the message on"),
        (receipt(""), ReceiptKind.FAILED, "Expo could not pass the message on"),
    ],
)
async def test_a_receipt_says_what_went_wrong(receipt, kind, detail):
    """In words that are known to be harmless. Only a device that is gone is never used again."""
    (found,), _ = await fetched(Answer.json(200, {"data": {"t1": receipt}}), {"t1": "ref1"})
    assert (found.reference, found.kind, found.permanent) == ("ref1", kind, kind is ReceiptKind.BOUNCED)
    assert detail in found.detail
    assert WORDS not in found.detail


async def test_a_receipt_that_names_its_device_retires_that_one():
    """The person may have another one by now."""
    gone = receipt("DeviceNotRegistered")
    gone["details"]["expoPushToken"] = TOKEN
    (found,), _ = await fetched(Answer.json(200, {"data": {"t1": gone}}), {"t1": "ref1"})
    assert found.address == f"expo:{TOKEN}"


async def test_what_was_passed_on_or_has_no_receipt_stays_sent():
    """That Apple or Google took it is no delivery."""
    found, _ = await fetched(Answer.json(200, {"data": {"t1": {"status": "ok"}}}), {"t1": "1", "t2": "2"})
    assert found == []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (refused(401, "UNAUTHORIZED"), ConfigError),
        (refused(429, "TOO_MANY_REQUESTS"), Unavailable),
        (Answer.text(200, "<html>A proxy</html>"), Unavailable),
        (Answer(manner="drop"), Unavailable),
    ],
)
async def test_receipts_that_cannot_be_fetched_say_why(answer, fault):
    """They are asked for again."""
    with pytest.raises(fault):
        await fetched(answer, {"t1": "1"})


async def test_expos_own_sdk_asks_for_receipts_as_we_do():
    """The same path, body and credential; it takes as many at once."""
    sdk = require_npm("expo-server-sdk", "Expo's own client against the same server")
    answer = Answer.json(200, {"data": {"t1": receipt("DeviceNotRegistered"), "t2": {"status": "ok"}}})
    reported, ours = await fetched(answer, {"t1": "ref1", "t2": "ref2"})
    async with scripted_server(otherwise=answer) as site:
        told = await said_by_sdk(sdk, site.url, "t1", "t2")
        (its,) = site.requests
    assert told == {"token": True, "receipts": {"t1": "DeviceNotRegistered", "t2": "ok"}}
    assert [one.reference for one in reported] == ["ref1"]
    assert (ours.method, ours.path, json.loads(ours.body)) == (its.method, its.path, json.loads(its.body))
    assert ours.headers["authorization"] == f"Bearer {SECRET}"
    assert its.headers["authorization"] == "Bearer t0ken"
    values = (sdk / "build/ExpoClientValues.js").read_text()
    assert f"pushNotificationReceiptChunkLimit = {RECEIPTS};" in values
