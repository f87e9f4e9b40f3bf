"""FCM as a provider: what is asked of it, held against Google's own description, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from clarion.adapters.http import HttpReply, HttpRequest
from clarion.adapters.providers.fcm import Fcm, FcmConfig, plugin
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, LiveOptions, PushContent
from clarion.model.ids import Instant
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.provider import ProviderTools
from clarion.testing.ports import MONDAY_NOON, ManualClock, provider_tools
from clarion.testing.scripted_server import scripted_server
from tests import outgoing as made
from tests.fcm_description import DISCOVERY, SCHEMA
from tests.google import ACCESS_TOKEN, SCOPE, TokenServer, service_account
from tests.vendors.fcm import HTML_502, TAKEN, TOKEN, refused, violation

HELLO = PushContent(title="Hello", body="World", url="https://a.example/", image="https://a.example/i.png")
PROJECT_URL = "https://fcm.googleapis.com/v1/projects/example-project/messages:send"


def tools(clock: Clock | None = None) -> ProviderTools:
    random = SystemRandom()
    lent = provider_tools(clock or ManualClock(), random, LocalVault(bytes(32), random))
    return msgspec.structs.replace(lent, allowed_networks=("127.0.0.0/8",))


def fcm(**settings: Any) -> Fcm:
    return Fcm(msgspec.convert({**plugin.example, **settings}, FcmConfig), tools())


def push(content: PushContent = HELLO, address: str = f"fcm:{TOKEN}", **more: Any) -> Outgoing:
    return made.outgoing(content, channel=Channel.PUSH, address=address, **more)


def sent(outgoing: Outgoing, **settings: Any) -> dict[str, Any]:
    """The message of the request, which Google's description knows."""
    built = fcm(**settings).build(outgoing)
    assert isinstance(built, HttpRequest), built
    assert built.url == PROJECT_URL
    body = json.loads(built.body)
    SCHEMA.validate(body)
    message: dict[str, Any] = body["message"]
    return message


def reply(answer: Any) -> HttpReply:
    return HttpReply(status=answer.status, headers=answer.headers, body=answer.body)


def read(answer: Any, address: str = f"fcm:{TOKEN}", provider: Fcm | None = None) -> Outcome:
    return (provider or fcm()).read(push(address=address), reply(answer))


@pytest.fixture(name="google")
def running_google() -> Iterator[TokenServer]:
    server = TokenServer()
    yield server
    server.close()


def test_the_description_refuses_what_it_does_not_know():
    """Else the checks against it would say nothing."""
    assert not SCHEMA.is_valid({"message": {"token": "x", "colour": "red"}})
    assert not SCHEMA.is_valid({"message": {"token": "x", "android": {"priority": "URGENT"}}})
    assert DISCOVERY["resources"]["projects"]["resources"]["messages"]["methods"]["send"]["path"] == (
        "v1/{+parent}/messages:send"
    )


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (f"fcm:{TOKEN}", {"token": TOKEN}),
        ("fcm-topic:news", {"topic": "news"}),
        (
            "fcm-condition:'news' in topics && 'sport' in topics",
            {"condition": "'news' in topics && 'sport' in topics"},
        ),
    ],
)
def test_the_address_says_who_gets_it(address, target):
    """A device, a topic, or whoever a condition is true of."""
    message = sent(push(address=address))
    assert {name: message[name] for name in ("token", "topic", "condition") if name in message} == target


def test_each_platform_gets_its_block():
    """Android, Apple's devices and browsers, each in its own words."""
    options = DeviceOptions(badge=3, sound="ping", category="ORDER", channel_id="orders", loc_key="ORDER")
    content = PushContent(title="Hi", body="There", url="https://a.example/", data={"n": 7}, device=options)
    message = sent(
        push(content, lane=Lane.HIGH, collapse_key=b"key", expires_at=Instant(MONDAY_NOON + 90_000))
    )
    assert message["notification"] == {"title": "Hi", "body": "There"}
    assert message["data"] == {
        "n": "7",
        "url": "https://a.example/",
        "message_id": "00000000-0000-0000-0000-000000000001",
    }
    android = message["android"]
    assert (android["priority"], android["ttl"], android["collapseKey"]) == ("HIGH", "90s", "a2V5")
    assert android["notification"] == {
        "channelId": "orders",
        "sound": "ping",
        "clickAction": "ORDER",
        "tag": "a2V5",
        "notificationCount": 3,
        "bodyLocKey": "ORDER",
    }
    assert message["apns"]["headers"] == {
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(MONDAY_NOON // 1000 + 90),
        "apns-collapse-id": "a2V5",
    }
    assert message["apns"]["payload"]["aps"]["badge"] == 3
    assert message["webpush"] == {
        "headers": {"TTL": "90", "Urgency": "high", "Topic": "a2V5"},
        "fcmOptions": {"link": "https://a.example/"},
    }


LIVE = LiveUpdate(id=bytes(16), key="order-1", event=LiveEvent.UPDATE, sequence=3, at=MONDAY_NOON)
ORDER = PushContent(
    title="Order",
    body="On its way",
    live=LiveOptions(
        attributes_type="Order",
        content_state={"text": "x"},
        progress=0.5,
        segments=(3, 7),
        short_text="5 min",
    ),
)


def test_android_shows_the_progress_of_a_live_resource_itself():
    """FCM has no notification with progress: the app gets all it needs as data, Apple's devices and browsers are shown it."""
    message = sent(push(ORDER, live=LIVE, collapse_key=b"key"))
    assert "notification" not in message
    assert "notification" not in message["android"]
    assert message["android"]["collapseKey"] == "a2V5"
    assert (message["data"]["title"], message["data"]["body"]) == ("Order", "On its way")
    assert json.loads(message["data"]["live"]) == {
        "key": "order-1",
        "event": "update",
        "sequence": 3,
        "at": MONDAY_NOON,
        "state": {"text": "x"},
        "progress": 0.5,
        "segments": [3, 7],
        "short_text": "5 min",
    }
    assert message["apns"]["payload"]["aps"]["alert"] == {"title": "Order", "body": "On its way"}
    assert message["webpush"]["notification"] == {"title": "Order", "body": "On its way", "tag": "a2V5"}


def test_without_progress_a_live_resource_is_a_notification_that_replaces_itself():
    """By its tag, on every platform."""
    message = sent(push(PushContent(title="Order"), live=LIVE, collapse_key=b"key"))
    assert message["notification"] == {"title": "Order"}
    assert message["android"]["notification"]["tag"] == "a2V5"
    assert json.loads(message["data"]["live"])["sequence"] == 3


@pytest.mark.parametrize(
    ("address", "event", "said"),
    [
        (f"fcm-start:{TOKEN}/{'AB' * 32}", LiveEvent.START, "start"),
        (f"fcm-activity:order-1/{TOKEN}/{'AB' * 32}", LiveEvent.START, "update"),
        (f"fcm-activity:order-1/{TOKEN}/{'AB' * 32}", LiveEvent.END, "end"),
    ],
)
def test_a_live_activity_is_reached_through_fcm(address, event, said):
    """The registration token says which app, Apple's token which activity."""
    message = sent(push(ORDER, address, live=msgspec.structs.replace(LIVE, event=event)))
    assert message.keys() == {"token", "apns"}
    assert message["token"] == TOKEN
    assert message["apns"]["liveActivityToken"] == "ab" * 32
    shown = message["apns"]["payload"]["aps"]
    assert (shown["event"], shown["content-state"]) == (said, {"text": "x"})
    assert ("attributes-type" in shown) is (said == "start")


def test_only_live_resources_go_to_live_activities_through_fcm():
    """And what is too large goes nowhere."""
    large = PushContent(title="x", live=LiveOptions(content_state={"x": "y" * 4_096}))
    address = f"fcm-activity:order-1/{TOKEN}/{'ab' * 32}"
    assert isinstance(fcm().build(push(ORDER, address)), Rejected)
    assert isinstance(fcm().build(push(large, address, live=LIVE)), Rejected)
    assert isinstance(fcm().build(push(HELLO, f"fcm-start:{TOKEN}/{'ab' * 32}", live=LIVE)), Rejected)
    assert isinstance(read(refused(404, "NOT_FOUND", "UNREGISTERED"), address), Gone)


def test_in_the_background_only_data_is_sent():
    """Nothing is shown anywhere."""
    message = sent(push(PushContent(title="x", data={"sync": True}, device=DeviceOptions(background=True))))
    assert "notification" not in message
    assert message["data"]["sync"] == "true"
    assert message["apns"]["headers"]["apns-priority"] == "5"
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}


@pytest.mark.parametrize(
    ("content", "address"),
    [
        (HELLO, "apns:" + "ab" * 32),
        (HELLO, "fcm-topic:/topics/news"),
        (PushContent(title="x", body="y" * 4_100), f"fcm:{TOKEN}"),
        (PushContent(title="x", body="y" * 2_100), "fcm-topic:news"),
        (PushContent(title="x", data={"from": "me"}), f"fcm:{TOKEN}"),
    ],
)
def test_what_fcm_would_refuse_is_not_sent(content, address):
    """Another kind of address, too many bytes, a reserved name."""
    assert isinstance(fcm().build(push(content, address)), Rejected)


def test_only_a_device_can_be_gone():
    """A topic of which FCM knows nobody may have subscribers tomorrow."""
    gone = refused(404, "NOT_FOUND", "UNREGISTERED")
    assert isinstance(read(gone), Gone)
    assert isinstance(read(gone, "fcm-topic:news"), Rejected)


def test_a_token_of_another_project_is_gone_only_where_others_were_known():
    """With the key file of another project, every address would be lost."""
    provider = fcm()
    foreign = refused(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
    assert isinstance(read(foreign, provider=provider), Rejected)
    assert isinstance(read(TAKEN, provider=provider), Accepted)
    assert isinstance(read(foreign, provider=provider), Gone)


def test_an_invalid_argument_is_the_address_only_where_it_is_named():
    """Anything else is wrong with the message."""
    assert isinstance(
        read(refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation("message.token"))), Gone
    )
    other = refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", violation("message.data[0].key"))
    assert isinstance(read(other), Rejected)


def test_a_missing_key_for_apple_does_not_stop_android():
    """It waits for whoever mends the project, and no circuit opens."""
    outcome = read(refused(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"))
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.of_address) == (Reason.MISCONFIGURED, True)


def test_a_page_of_a_proxy_is_trouble_that_passes():
    """A 502 comes as HTML."""
    assert isinstance(fcm().read(push(), HttpReply(status=502, headers={}, body=HTML_502.encode())), Retry)


def test_a_check_tells_what_is_wrong():
    """What passes from what must be mended; the request says `validateOnly`."""
    body = json.loads(fcm().ping().body)
    SCHEMA.validate(body)
    assert body["validateOnly"] is True
    fcm().check_pong(reply(TAKEN))
    with pytest.raises(ConfigError, match="PERMISSION_DENIED"):
        fcm().check_pong(reply(refused(403, "PERMISSION_DENIED")))
    with pytest.raises(Unavailable):
        fcm().check_pong(reply(refused(503, "UNAVAILABLE", "UNAVAILABLE")))


@pytest.mark.parametrize("text", ["", "{}", '{"project_id": "p", "client_email": "e", "private_key": "k"}'])
def test_a_key_file_that_is_none_is_refused(text):
    """At once, with the place."""
    with pytest.raises(ConfigError) as wrong:
        fcm(service_account=text)
    assert wrong.value.pointer == "#/service_account"


async def test_one_token_serves_all_messages(google):
    """Signed as PyJWT checks it, asked for once, sent with every message."""
    async with scripted_server(otherwise=TAKEN) as server:
        config = {"service_account": service_account(google.url), "url": server.url}
        integration = Integration(key="phones", channel=Channel.PUSH, provider="fcm", config=config)
        provider = plugin.open(integration, msgspec.convert(config, FcmConfig), tools(SystemClock()))
        try:
            outcomes = await provider.send([push()] * 10)
            outcomes = [*outcomes, *await provider.send([push()])]
            await provider.ping()
        finally:
            await provider.close()
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert {one.headers["authorization"] for one in server.requests} == {f"Bearer {ACCESS_TOKEN}"}
    (claims,) = google.asked
    assert claims["scope"] == SCOPE
    assert claims["exp"] - claims["iat"] == 3_600


async def test_a_key_that_google_does_not_know_opens_the_circuit(google):
    """Nothing is sent without a token."""
    account = json.loads(service_account(google.url))
    config = {"service_account": json.dumps({**account, "client_email": "nobody@example.com"})}
    integration = Integration(key="phones", channel=Channel.PUSH, provider="fcm", config=config)
    provider = plugin.open(integration, msgspec.convert(config, FcmConfig), tools(SystemClock()))
    try:
        outcomes = await provider.send([push()] * 2)
        assert all(isinstance(outcome, Misconfigured) for outcome in outcomes)
        with pytest.raises(ConfigError):
            await provider.ping()
    finally:
        await provider.close()


def test_googles_own_library_is_served_by_the_same_server(google):
    """So the server of these tests is not shaped after ours."""
    account = json.loads(service_account(google.url))
    credentials = Credentials.from_service_account_info(account, scopes=[SCOPE])
    credentials.refresh(Request())
    assert credentials.token == ACCESS_TOKEN
    assert google.asked[0]["scope"] == SCOPE
