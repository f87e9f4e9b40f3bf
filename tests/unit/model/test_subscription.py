"""Browsers' push subscriptions as addresses."""

from __future__ import annotations

import json

import pytest

from clarion.model.channel import Channel
from clarion.model.subscription import is_subscription, plain_subscription, read_subscription
from clarion.ports.vault import normal_address
from tests.browsers import Browser

GOOD = Browser().subscription
KEYS = dict(GOOD["keys"])  # type: ignore[call-overload]


def test_what_a_browser_gives_is_read():
    """Endpoint, key and secret."""
    read = read_subscription(json.dumps(GOOD))
    assert read.endpoint == "https://push.example/abc"
    assert (len(read.public_key), len(read.secret)) == (65, 16)


def test_every_spelling_of_a_subscription_is_stored_alike():
    """Order, blanks, padding, alphabet and what else the browser says make no difference."""
    padded = {
        name: text.replace("-", "+").replace("_", "/") + "==="[: -len(text) % 4]
        for name, text in KEYS.items()
    }
    spellings = (
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        json.dumps({"keys": KEYS, "endpoint": GOOD["endpoint"], "contentEncoding": "aes128gcm"}),
        json.dumps({**GOOD, "keys": padded}),
    )
    assert len({plain_subscription(text) for text in spellings}) == 1


def test_the_endpoint_is_what_a_contact_is_recognised_by():
    """A browser that renews its keys is still that browser; a device token is what it is."""
    renewed = json.dumps({**Browser().subscription, "endpoint": GOOD["endpoint"]})
    assert normal_address(Channel.PUSH, renewed) == normal_address(Channel.PUSH, json.dumps(GOOD))
    assert normal_address(Channel.PUSH, "token-1") == "token-1"
    assert normal_address(Channel.PUSH, "{broken") == "{broken"


def test_device_tokens_are_told_apart():
    """Tokens of other push services are never JSON."""
    assert is_subscription(json.dumps(GOOD))
    assert not is_subscription("fcm:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"endpoint": "https://push.example/abc"}, "keys"),
        ({"keys": KEYS}, "endpoint"),
        ({**GOOD, "endpoint": "ftp://push.example/"}, "endpoint"),
        ({**GOOD, "endpoint": "https://push.example/a b"}, "endpoint"),
        ({**GOOD, "endpoint": "https://push.example/" + "x" * 3_000}, "endpoint"),
        ({**GOOD, "endpoint": 7}, "endpoint"),
        ({**GOOD, "keys": {**KEYS, "auth": "AAAA"}}, "auth"),
        ({**GOOD, "keys": {**KEYS, "auth": "A"}}, "base64url"),
        ({**GOOD, "keys": {**KEYS, "p256dh": KEYS["auth"]}}, "p256dh"),
        ({**GOOD, "keys": {**KEYS, "p256dh": "Ä" * 87}}, "base64url"),
        ({**GOOD, "keys": {**KEYS, "p256dh": "A" * 87}}, "p256dh"),
        ([], "object"),
    ],
)
def test_what_is_wrong_is_said(wrong, says):
    """Whoever stores a broken subscription learns which part of it."""
    with pytest.raises(ValueError, match=says):
        read_subscription(json.dumps(wrong))
