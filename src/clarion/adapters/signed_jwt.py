"""JSON web tokens with a shared secret (RFC 7515, HS256): how some services prove their callbacks."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from clarion.errors import CallbackForged
from clarion.model.ids import Instant

MOST_CHARS = 8_000


def claims_of(token: str, secret: str) -> dict[str, Any]:
    """The claims of a token. Raises CallbackForged unless it is signed with the secret."""
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    if not header or not payload or not signature or len(token) > MOST_CHARS or not token.isascii():
        raise CallbackForged("the token is missing or is none")
    right = hmac.digest(secret.encode(), signed.encode(), "sha256")
    if not hmac.compare_digest(_bytes(signature), right):
        raise CallbackForged("the token is signed by somebody else")
    try:
        algorithm = msgspec.json.decode(_bytes(header), type=dict[str, Any]).get("alg")
        claims = msgspec.json.decode(_bytes(payload), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CallbackForged("the token is none") from None
    if algorithm != "HS256":
        raise CallbackForged("the token has another algorithm than HS256")
    return claims


def check_times(claims: dict[str, Any], now: Instant, window_s: int) -> None:
    """Raises CallbackForged unless the token was made within the window, and has not ended."""
    now_s = now / 1000
    issued, ends = claims.get("iat", claims.get("nbf")), claims.get("exp")
    if not isinstance(issued, int | float) or abs(now_s - issued) > window_s:
        raise CallbackForged("the token is too old, or has no time")
    if isinstance(ends, int | float) and ends < now_s - window_s:
        raise CallbackForged("the token has ended")


def check_digest(claims: dict[str, Any], name: str, right: str) -> None:
    """Raises CallbackForged unless a claim holds this digest."""
    given = claims.get(name)
    if not isinstance(given, str) or not hmac.compare_digest(
        given.lower().encode("utf-8", "replace"), right.encode()
    ):
        raise CallbackForged(f"the request is another than its token says: {name}")


def _bytes(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
