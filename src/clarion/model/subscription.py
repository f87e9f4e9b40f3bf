"""A browser's push subscription: the address of a PUSH contact that is JSON instead of a device token.

`JSON.stringify(subscription)` of a browser gives `{"endpoint": ..., "expirationTime": ..., "keys": {"p256dh": ...,
"auth": ...}}` (W3C Push API, PushSubscriptionJSON).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from binascii import a2b_base64

import msgspec

P256_POINT = 65
"""Bytes of an uncompressed point on P-256: 4, x, y."""
AUTH_SECRET = 16

_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f\\]{1,2000}")


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where a browser listens, and for whom."""

    endpoint: str
    public_key: bytes
    """The browser's point on P-256, uncompressed."""
    secret: bytes
    """The 16 bytes that only browser and application share."""


class _Keys(msgspec.Struct, frozen=True, kw_only=True):
    p256dh: str
    auth: str


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """As JSON; what else browsers say is left out."""

    endpoint: str
    keys: _Keys


def is_subscription(address: str) -> bool:
    """Whether a push address is meant as a subscription: device tokens never begin like this."""
    return address.startswith("{")


def read_subscription(address: str) -> Subscription:
    """The subscription in an address. ValueError saying what is wrong with it."""
    try:
        written = _decode(address)
    except msgspec.MsgspecError as wrong:
        raise ValueError(str(wrong)) from None
    if not _URL.fullmatch(written.endpoint):
        raise ValueError("`endpoint` is not a URL that starts with https://")
    try:
        public_key, secret = base64url(written.keys.p256dh), base64url(written.keys.auth)
    except ValueError:
        raise ValueError("`keys` are not base64url") from None
    if len(public_key) != P256_POINT or public_key[0] != 4 or len(secret) != AUTH_SECRET:
        raise ValueError(
            f"`keys.p256dh` must be an uncompressed P-256 point ({P256_POINT} bytes) and `keys.auth` {AUTH_SECRET} bytes"
        )
    return Subscription(endpoint=written.endpoint, public_key=public_key, secret=secret)


def plain_subscription(address: str) -> str:
    """The one spelling a subscription is stored in. ValueError when it is none."""
    found = read_subscription(address)
    keys = _Keys(p256dh=text_of(found.public_key), auth=text_of(found.secret))
    return _encode(_Written(endpoint=found.endpoint, keys=keys)).decode()


def base64url(text: str) -> bytes:
    """The bytes of base64url or base64, padded or not. ValueError when it is neither."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)


def text_of(value: bytes) -> str:
    """Base64url without padding (RFC 7515)."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


_decode = msgspec.json.Decoder(_Written).decode
_encode = msgspec.json.Encoder().encode
