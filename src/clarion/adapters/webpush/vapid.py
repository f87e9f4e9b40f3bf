"""VAPID: identifies the sender to each push service by a signed token (RFC 8292)."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.adapters.es256 import signed_es256
from clarion.adapters.webpush.encryption import new_key
from clarion.model.ids import Instant
from clarion.model.lru import Lru
from clarion.model.subscription import base64url, text_of

LIFETIME_S = 12 * 3600
"""Well below the day that the RFC allows (section 2)."""
RENEW_S = 3600
ORIGINS = 256
"""Tokens kept. Endpoints come from users, so their origins could be without end."""


class VapidKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair as browsers and configurations write it: base64url."""

    public: str
    private: str


def new_keys() -> VapidKeys:
    """A new pair. Subscriptions belong to the public key: another pair means subscribing again."""
    key = new_key()
    return VapidKeys(
        public=public_of(key), private=text_of(key.private_numbers().private_value.to_bytes(32, "big"))
    )


def private_key(text: str) -> EllipticCurvePrivateKey:
    """The key in its base64url form. ValueError when it is none."""
    raw = base64url(text)
    if len(raw) != 32:
        raise ValueError("a VAPID private key has 32 bytes, written as base64url")
    return derive_private_key(int.from_bytes(raw, "big"), SECP256R1())


def public_of(key: EllipticCurvePrivateKey) -> str:
    """The public key as `applicationServerKey` takes it."""
    return text_of(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


class Vapid:
    """Writes `Authorization` headers, one signature per push service and half a day."""

    def __init__(self, key: EllipticCurvePrivateKey, subject: str) -> None:
        self._key = key
        self._subject = subject
        self._public = public_of(key)
        self._kept: Lru[str, tuple[Instant, str]] = Lru(ORIGINS)

    def authorization(self, origin: str, now: Instant) -> str:
        """The header for a push service such as `https://push.example`."""
        kept = self._kept.get(origin)
        if kept is None or kept[0] <= now:
            kept = (
                Instant(now + (LIFETIME_S - RENEW_S) * 1000),
                self._signed(origin, now // 1000 + LIFETIME_S),
            )
            self._kept.put(origin, kept)
        return kept[1]

    def _signed(self, origin: str, expires: int) -> str:
        claims = {"aud": origin, "exp": expires, "sub": self._subject}
        token = signed_es256(self._key, {"typ": "JWT", "alg": "ES256"}, claims)
        return f"vapid t={token}, k={self._public}"
