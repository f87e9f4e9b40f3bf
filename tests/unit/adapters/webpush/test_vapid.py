"""Who is sending (RFC 8292)."""

from __future__ import annotations

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from clarion.adapters.webpush.vapid import ORIGINS, Vapid, new_keys, private_key, public_of
from clarion.model.ids import Instant
from clarion.model.subscription import base64url, text_of
from clarion.testing.ports import MONDAY_NOON

KEYS = new_keys()
DAY_MS = 86_400_000


def vapid() -> Vapid:
    return Vapid(private_key(KEYS.private), "mailto:ops@example.com")


def parts(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    assert scheme == "vapid"
    return dict(part.strip().split("=", 1) for part in rest.split(","))


def claims(header: str) -> dict[str, object]:
    """What the token says, read by joserfc with the key that stands beside it."""
    said = parts(header)
    point = base64url(said["k"])
    key = ECKey.import_key({"kty": "EC", "crv": "P-256", "x": text_of(point[1:33]), "y": text_of(point[33:])})
    token = jwt.decode(said["t"], key, algorithms=["ES256"])
    assert token.header["typ"] == "JWT"
    return dict(token.claims)


def test_a_push_service_can_check_who_sends():
    """Signed for its origin, for less than a day, with an address to complain to."""
    header = vapid().authorization("https://push.example", MONDAY_NOON)
    said = claims(header)
    assert said["aud"] == "https://push.example"
    assert said["sub"] == "mailto:ops@example.com"
    assert MONDAY_NOON // 1000 < int(str(said["exp"])) <= MONDAY_NOON // 1000 + 86_400
    assert parts(header)["k"] == KEYS.public


def test_a_token_is_signed_once_and_renewed_before_it_ends():
    """A signature costs more than the rest of a message; an expired one costs the message."""
    sender = vapid()
    first = sender.authorization("https://push.example", MONDAY_NOON)
    assert sender.authorization("https://push.example", Instant(MONDAY_NOON + DAY_MS // 4)) is first
    later = sender.authorization("https://push.example", Instant(MONDAY_NOON + DAY_MS // 2 - 60_000))
    assert later != first
    for passed in range(0, DAY_MS * 2, 600_000):
        now = Instant(MONDAY_NOON + passed)
        assert int(str(claims(sender.authorization("https://push.example", now))["exp"])) * 1000 > now


def test_every_push_service_gets_a_token_of_its_own():
    """One service must not be able to send to another in our name."""
    sender = vapid()
    tokens = {sender.authorization(f"https://push{n}.example", MONDAY_NOON) for n in range(3)}
    assert len(tokens) == 3


def test_made_up_origins_do_not_fill_the_memory():
    """Endpoints are user-supplied."""
    sender = vapid()
    for number in range(ORIGINS + 10):
        sender.authorization(f"https://p{number}.example", MONDAY_NOON)
    assert len(sender._kept) == ORIGINS


def test_new_keys_are_a_pair():
    """What `clarion vapid create` prints belongs together, and is new every time."""
    assert public_of(private_key(KEYS.private)) == KEYS.public
    assert len(base64url(KEYS.public)) == 65
    assert new_keys() != KEYS


@pytest.mark.parametrize("wrong", ["", "abc", "not base64!", "A" * 86])
def test_a_broken_key_is_refused(wrong):
    """At start, not at the first message."""
    with pytest.raises(ValueError, match=r".*"):
        private_key(wrong)
