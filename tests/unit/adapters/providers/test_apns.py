"""APNs as a provider: what is asked of it, and what its answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)

from clarion.adapters.apns_credentials import SLOT_S, certificate_pem
from clarion.adapters.http import HttpReply, HttpRequest
from clarion.adapters.providers.apns import PRODUCTION, SANDBOX, Apns, ApnsConfig, check_pong, plugin
from clarion.adapters.system import SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, Unavailable
from clarion.model.channel import Channel, Lane
from clarion.model.content import DeviceOptions, LiveOptions, PushContent
from clarion.model.ids import Instant
from clarion.model.live_update import LiveEvent, LiveUpdate
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.status import Reason
from clarion.testing.ports import MONDAY_NOON, ManualClock, provider_tools
from tests import outgoing as made
from tests.vendors.apns import TOKEN

HELLO = PushContent(title="Hello", body="World")
REFUSED = {400: "BadDeviceToken", 403: "InvalidProviderToken", 410: "Unregistered"}


def apns(clock: ManualClock | None = None, **settings: Any) -> Apns:
    random = SystemRandom()
    tools = provider_tools(clock or ManualClock(), random, LocalVault(bytes(32), random))
    return Apns(msgspec.convert({**plugin.example, **settings}, ApnsConfig), tools)


def push(
    content: PushContent = HELLO, address: str = f"apns:{TOKEN}", number: int = 1, **more: Any
) -> Outgoing:
    return made.outgoing(content, number, channel=Channel.PUSH, address=address, **more)


def request(outgoing: Outgoing, provider: Apns | None = None, **settings: Any) -> HttpRequest:
    built = (provider or apns(**settings)).build(outgoing)
    assert isinstance(built, HttpRequest), built
    return built


def answer(reason: str, status: int = 400, **more: Any) -> HttpReply:
    return HttpReply(status=status, headers={}, body=json.dumps({"reason": reason, **more}).encode())


TAKEN = HttpReply(status=200, headers={}, body=b"")


def read(reason: str, status: int = 400, provider: Apns | None = None, **more: Any) -> Outcome:
    return (provider or apns()).read(push(), answer(reason, status, **more))


@pytest.mark.parametrize(
    ("address", "environment", "url", "topic"),
    [
        (f"apns:{TOKEN}", "production", PRODUCTION, "com.example.app"),
        (f"apns:{TOKEN}", "sandbox", SANDBOX, "com.example.app"),
        (f"apns-sandbox:{TOKEN}", "production", SANDBOX, "com.example.app"),
        (f"apns:com.example.other/{TOKEN.upper()}", "production", PRODUCTION, "com.example.other"),
    ],
)
def test_the_address_says_which_environment_and_app(address, environment, url, topic):
    """What it does not say is in the settings."""
    built = request(push(address=address), environment=environment)
    assert built.url == f"{url}/3/device/{TOKEN}"
    assert built.headers["apns-topic"] == topic


def test_the_token_is_what_another_library_verifies():
    """Header and claims are those that Apple asks for, signed with ES256."""
    built = request(push())
    scheme, _, token = built.headers["authorization"].partition(" ")
    key = load_pem_private_key(plugin.example["private_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    claims = jwt.decode(token, key.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert scheme == "bearer"
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "ABCDE12345"}
    assert claims["iss"] == "TEAMID1234"
    assert 0 <= MONDAY_NOON // 1000 - claims["iat"] < SLOT_S


def test_all_processes_send_the_same_token_for_half_an_hour():
    """APNs refuses those that change theirs more often than every 20 minutes."""
    clock = ManualClock()
    one, another = apns(clock), apns(clock)
    seen: list[str] = []
    for _ in range(4):
        tokens = {request(push(), provider).headers["authorization"] for provider in (one, another)}
        assert len(tokens) == 1
        seen += tokens
        clock.advance(SLOT_S / 2)
    assert len(set(seen)) == 2


def test_a_message_has_an_id_of_its_own_on_every_device():
    """A canonical UUID in lower case, the same on every attempt."""
    ids = [
        request(push(number=number, address=f"apns:{token}")).headers["apns-id"]
        for number in (1, 2)
        for token in ("aa" * 32, "bb" * 32)
    ]
    assert len(set(ids)) == 4
    assert ids == [str(UUID(one)) for one in ids]
    assert request(push()).headers["apns-id"] == request(push()).headers["apns-id"]


def test_a_repeat_takes_the_place_of_what_was_shown():
    """Without a collapse key the id of the message collapses only its own repeats."""
    plain = request(push())
    assert plain.headers["apns-collapse-id"] == plain.headers["apns-id"]
    keyed = request(push(collapse_key=b"k" * 60))
    assert len(keyed.headers["apns-collapse-id"]) == 64


@pytest.mark.parametrize(
    ("lane", "priority"), [(Lane.CRITICAL, "10"), (Lane.HIGH, "10"), (Lane.NORMAL, "5"), (Lane.BULK, "1")]
)
def test_the_lane_is_the_priority(lane, priority):
    """What is urgent is shown at once."""
    assert request(push(lane=lane)).headers["apns-priority"] == priority


def test_it_expires_when_the_message_does():
    """In seconds since 1970, at most 30 days away; by the settings where the message says nothing."""
    now = MONDAY_NOON // 1000
    later = Instant(MONDAY_NOON + 60_000)
    assert request(push(expires_at=later)).headers["apns-expiration"] == str(now + 60)
    assert request(push()).headers["apns-expiration"] == str(now + 86_400)
    assert request(push(), ttl_s=0).headers["apns-expiration"] == "0"


def live(event: LiveEvent = LiveEvent.UPDATE, **more: Any) -> LiveUpdate:
    at = Instant(MONDAY_NOON + 5_400)
    return LiveUpdate(id=bytes(16), key="order-1", event=event, sequence=3, at=at, **more)


ACTIVITY = PushContent(
    title="Order",
    body="On its way",
    device=DeviceOptions(sound="bell", relevance_score=0.5),
    live=LiveOptions(attributes_type="Order", attributes={"n": 1}, content_state={"text": "on its way"}),
)


def to_activity(
    address: str, shown: LiveUpdate | None, content: PushContent = ACTIVITY, **more: Any
) -> HttpRequest:
    return request(push(content, address, live=shown, **more))


def test_a_live_activity_is_updated_by_its_own_token():
    """With the topic and the push type of Live Activities; quietly, and at no lower priority than they may have."""
    stale = Instant(MONDAY_NOON + 60_000)
    built = to_activity(f"apns-activity:order-1/{TOKEN}", live(stale_at=stale), lane=Lane.BULK)
    assert built.url == f"{PRODUCTION}/3/device/{TOKEN}"
    assert built.headers["apns-topic"] == "com.example.app.push-type.liveactivity"
    assert built.headers["apns-push-type"] == "liveactivity"
    assert built.headers["apns-priority"] == "5"
    assert "apns-collapse-id" not in built.headers
    assert json.loads(built.body)["aps"] == {
        "timestamp": MONDAY_NOON // 1000 + 5,
        "event": "update",
        "content-state": {"text": "on its way"},
        "stale-date": MONDAY_NOON // 1000 + 60,
        "relevance-score": 0.5,
    }


def test_a_push_to_start_token_starts_it():
    """With its attributes, and an alert, without which the system starts nothing."""
    built = to_activity(f"apns-sandbox-start:com.example.other/{TOKEN}", live(LiveEvent.START))
    assert built.url.startswith(SANDBOX)
    assert built.headers["apns-topic"] == "com.example.other.push-type.liveactivity"
    started = json.loads(built.body)["aps"]
    assert (started["event"], started["attributes-type"], started["attributes"]) == (
        "start",
        "Order",
        {"n": 1},
    )
    assert started["alert"] == {"title": "Order", "body": "On its way", "sound": "bell"}
    assert started["input-push-token"] == 1


def test_what_runs_already_is_updated_by_the_first_state():
    """An app may have started it before we knew of it."""
    built = to_activity(f"apns-activity:order-1/{TOKEN}", live(LiveEvent.START))
    assert json.loads(built.body)["aps"]["event"] == "update"


def test_a_broadcast_channel_is_told_once_for_all_its_listeners():
    """The app stands in the path, the channel in a header; there is no topic."""
    gone = Instant(MONDAY_NOON + 90_000)
    built = to_activity("apns-channel:order-1/dHN0LXNyY2g=", live(LiveEvent.END, dismiss_at=gone))
    assert built.url == f"{PRODUCTION}/4/broadcasts/apps/com.example.app"
    assert built.headers["apns-channel-id"] == "dHN0LXNyY2g="
    assert built.headers["apns-push-type"] == "liveactivity"
    assert {"apns-topic", "apns-id", "apns-collapse-id"}.isdisjoint(built.headers)
    ended = json.loads(built.body)["aps"]
    assert (ended["event"], ended["dismissal-date"]) == ("end", MONDAY_NOON // 1000 + 90)
    taken = HttpReply(status=200, headers={"apns-request-id": "r-1"}, body=b"")
    to_channel = push(ACTIVITY, "apns-channel:order-1/dHN0LXNyY2g=", live=live())
    assert apns().read(to_channel, taken) == Accepted(provider_id="r-1")
    refused = apns().read(to_channel, answer("BadChannelId"))
    assert isinstance(refused, Rejected)


@pytest.mark.parametrize(
    ("address", "content", "shown"),
    [
        (f"apns-activity:order-1/{TOKEN}", ACTIVITY, None),
        (f"apns-start:{TOKEN}", HELLO, live(LiveEvent.START)),
        (f"apns-start:{TOKEN}", ACTIVITY, live(LiveEvent.END)),
        (
            f"apns-activity:order-1/{TOKEN}",
            PushContent(title="x", live=LiveOptions(content_state={"x": "y" * 4_096})),
            live(),
        ),
    ],
)
def test_what_is_no_live_activity_does_not_go_to_one(address, content, shown):
    """A message like any other; a start without `attributes_type`, or after the end; what is too large."""
    assert isinstance(apns().build(push(content, address, live=shown)), Rejected)


def test_a_phone_without_live_activities_shows_the_state_as_a_notification():
    """It replaces the one before, and makes no sound while it only changes."""
    first, second = (
        request(push(ACTIVITY, live=live(event), collapse_key=b"order"))
        for event in (LiveEvent.START, LiveEvent.UPDATE)
    )
    assert first.headers["apns-collapse-id"] == second.headers["apns-collapse-id"]
    assert json.loads(first.body)["aps"]["sound"] == "bell"
    updated = json.loads(second.body)
    assert "sound" not in updated["aps"]
    assert updated["aps"]["interruption-level"] == "passive"
    assert updated["live"] == {
        "key": "order-1",
        "event": "update",
        "sequence": 3,
        "at": MONDAY_NOON + 5_400,
        "state": {"text": "on its way"},
    }


def test_everything_a_template_says_is_shown():
    """In the words of APNs; the app gets `data` beside it."""
    options = DeviceOptions(
        subtitle="Berlin",
        loc_key="ORDER",
        loc_args=("7",),
        badge=0,
        sound="default",
        category="ORDER",
        thread_id="orders",
        interruption_level="time-sensitive",
        relevance_score=0.5,
        mutable_content=True,
    )
    content = PushContent(title="Order", body="7", url="https://a.example/7", data={"n": 7}, device=options)
    assert json.loads(request(push(content)).body) == {
        "aps": {
            "alert": {"title": "Order", "subtitle": "Berlin", "loc-key": "ORDER", "loc-args": ["7"]},
            "badge": 0,
            "sound": "default",
            "category": "ORDER",
            "thread-id": "orders",
            "interruption-level": "time-sensitive",
            "relevance-score": 0.5,
            "mutable-content": 1,
        },
        "n": 7,
        "url": "https://a.example/7",
        "message_id": "00000000-0000-0000-0000-000000000001",
    }


def test_in_the_background_nothing_is_shown():
    """The app is woken, with the priority that APNs asks for, however urgent the message is."""
    content = PushContent(title="x", data={"sync": True}, device=DeviceOptions(background=True))
    built = request(push(content, lane=Lane.CRITICAL))
    assert built.headers["apns-push-type"] == "background"
    assert built.headers["apns-priority"] == "5"
    assert json.loads(built.body)["aps"] == {"content-available": 1}


@pytest.mark.parametrize("address", ["fcm:abcdefghijkl", "apns:xyz", "device-of-ada"])
def test_a_contact_of_another_kind_is_refused(address):
    """The message, not the address, which may be right elsewhere."""
    assert isinstance(apns().build(push(address=address)), Rejected)


def test_what_is_too_large_is_not_sent():
    """APNs takes 4,096 bytes."""
    assert isinstance(apns().build(push(PushContent(title="x", body="y" * 4_100))), Rejected)


def test_a_device_that_is_gone_tells_since_when():
    """So that a device that was registered again later is kept."""
    outcome = read("Unregistered", 410, timestamp=1_454_948_015_990)
    assert isinstance(outcome, Gone)
    assert outcome.since == 1_454_948_015_990


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_an_unknown_device_is_gone_only_where_others_were_known(reason):
    """With the wrong environment or app in the settings, every address would be lost."""
    provider = apns()
    assert isinstance(read(reason, provider=provider), Rejected)
    assert isinstance(provider.read(push(), TAKEN), Accepted)
    assert isinstance(read(reason, provider=provider), Gone)
    elsewhere = push(address=f"apns-sandbox:{TOKEN}")
    assert isinstance(provider.read(elsewhere, answer(reason)), Rejected)


def test_an_expired_token_is_renewed_once():
    """If the new one is expired, too, it is our clock, and the circuit opens."""
    clock = ManualClock()
    clock.advance(60)
    provider = apns(clock)
    before = request(push(), provider).headers["authorization"]
    again = read("ExpiredProviderToken", 403, provider)
    assert isinstance(again, Retry)
    assert again.after_s == 0
    assert request(push(), provider).headers["authorization"] != before
    assert isinstance(read("ExpiredProviderToken", 403, provider), Misconfigured)


def test_too_many_to_one_device_is_no_trouble_of_the_others():
    """Only that address rests."""
    outcome = read("TooManyRequests", 429)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.of_address) == (Reason.RATE_LIMITED, True)


def test_an_app_that_the_contact_names_does_not_stop_the_integration():
    """The settings' own app does: nobody can be reached."""
    other = push(address=f"apns:com.example.other/{TOKEN}")
    assert isinstance(apns().read(other, answer("TopicDisallowed")), Rejected)
    assert isinstance(read("TopicDisallowed"), Misconfigured)


@pytest.mark.parametrize("status", [204, 410])
def test_an_answer_that_is_not_apples_costs_no_address(status):
    """A proxy may answer anything."""
    assert isinstance(apns().read(push(), HttpReply(status=status, headers={}, body=b"gone")), Misconfigured)


def test_a_check_is_good_when_apns_looks_for_the_device():
    """It asks for one that cannot be: credentials and app are looked at first."""
    assert apns().ping().url.startswith(PRODUCTION)
    check_pong(answer("BadDeviceToken"))
    for reason, status in (
        ("InvalidProviderToken", 403),
        ("TopicDisallowed", 400),
        ("ExpiredProviderToken", 403),
    ):
        with pytest.raises(ConfigError, match=reason):
            check_pong(answer(reason, status))
    with pytest.raises(Unavailable):
        check_pong(answer("ServiceUnavailable", 503))


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"private_key": "x"}, "#/private_key"),
        ({"key_id": ""}, "#/key_id"),
        ({"certificate": "x"}, "#/private_key"),
        ({"private_key": "", "key_id": "", "team_id": "", "certificate": "x"}, "#/certificate"),
        ({"private_key": "", "key_id": "", "team_id": ""}, "#/private_key"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, pointer):
    """At once, with the place."""
    config = ApnsConfig(**{**plugin.example, **settings})
    random = SystemRandom()
    with pytest.raises(ConfigError) as refused:
        Apns(config, provider_tools(ManualClock(), random, LocalVault(bytes(32), random)))
    assert refused.value.pointer == pointer


def test_a_p12_file_and_pem_are_the_same_certificate():
    """Whichever the developer account hands out."""
    from base64 import b64encode

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Apple Push Services: com.example.app")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    file = pkcs12.serialize_key_and_certificates(
        b"x", key, certificate, None, BestAvailableEncryption(b"pass")
    )
    pem = certificate_pem(b64encode(file).decode(), "pass")
    assert pem.count(b"-----BEGIN") == 2
    assert certificate_pem(pem.decode(), "") == pem
    with pytest.raises(ConfigError):
        certificate_pem(b64encode(file).decode(), "wrong")
