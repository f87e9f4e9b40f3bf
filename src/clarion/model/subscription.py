"""A browser's push subscription: the address of a PUSH contact that is JSON instead of a device token.

`JSON.stringify(subscription)` of a browser gives `{"endpoint": ..., "expirationTime": ..., "keys": {"p256dh": ...,
"auth": ...}}` (W3C Push API, PushSubscriptionJSON).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

P256_POINT = 65
"""Bytes of an uncompressed point on P-256: 4, x, y."""
AUTH_SECRET = 16

_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f\\]{1,2000}")


class SubscriptionKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What messages are encrypted with, base64url."""

    p256dh: str
    auth: str


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where a browser listens, and for whom."""

    endpoint: str
    keys: SubscriptionKeys

    @property
    def public_key(self) -> bytes:
        """The browser's point on P-256, uncompressed."""
        return base64url(self.keys.p256dh)

    @property
    def secret(self) -> bytes:
        """The 16 bytes that only browser and application share."""
        return base64url(self.keys.auth)


def is_subscription(address: str) -> bool:
    """Whether a push address is meant as a subscription: device tokens never begin like this."""
    return address.startswith("{")


def read_subscription(address: str) -> Subscription:
    """The subscription in an address. ValueError saying what is wrong with it."""
    try:
        found = _decode(address)
    except msgspec.MsgspecError as wrong:
        raise ValueError(str(wrong)) from None
    if not _URL.fullmatch(found.endpoint):
        raise ValueError("`endpoint` is not a URL that starts with https://")
    try:
        sizes = len(found.public_key), len(found.secret)
    except ValueError:
        raise ValueError("`keys` are not base64url") from None
    if sizes != (P256_POINT, AUTH_SECRET) or found.public_key[0] != 4:
        raise ValueError(
            f"`keys.p256dh` must be an uncompressed P-256 point ({P256_POINT} bytes) and `keys.auth` {AUTH_SECRET} bytes"
        )
    return found


def plain_subscription(address: str) -> str:
    """The one spelling a subscription is stored in. ValueError when it is none."""
    found = read_subscription(address)
    keys = SubscriptionKeys(p256dh=text_of(found.public_key), auth=text_of(found.secret))
    return _encode(Subscription(endpoint=found.endpoint, keys=keys)).decode()


def base64url(text: str) -> bytes:
    """The bytes of base64url or base64, padded or not. ValueError when it is neither."""
    plain = text.rstrip("=").replace("+", "-").replace("/", "_")
    if not _BASE64URL.fullmatch(plain):
        raise ValueError("not base64url")
    return urlsafe_b64decode(plain + "=" * (-len(plain) % 4))


def text_of(value: bytes) -> str:
    """Base64url without padding (RFC 7515)."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_decode = msgspec.json.Decoder(Subscription).decode
_encode = msgspec.json.Encoder().encode
