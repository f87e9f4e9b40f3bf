"""Webhook endpoints, and the record of every call to one."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId, UserNo

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 (what every secret starts with)
SECRET_BYTES = (24, 64)
"""Shortest and longest key (Standard Webhooks 1.0.0, "Symmetric")."""


def secret_key(text: str) -> bytes:
    """The key behind `whsec_<base64>`. ValueError says what is wrong and never quotes it."""
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True) if text.isascii() else b""
    except binascii.Error:
        key = b""
    if not text.startswith(SECRET_PREFIX) or not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
        raise ValueError("a webhook secret is whsec_ and 24 to 64 random bytes in base64")
    return key


class SigningSecret(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Signs what goes to an endpoint."""

    text: str
    """`whsec_<base64>`, as the receiver has it."""
    until: Instant | None = None
    """It was replaced and signs along until then, so that receivers can change over."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One URL that a user is told things at."""

    id: bytes
    """16 bytes; stands where other contacts have the hash of their address."""
    url: str
    secrets: tuple[SigningSecret, ...]
    """Newest first."""
    events: tuple[str, ...] = ()
    """Types it wants to hear of (`order.*`; `*` is one or more segments); empty: all of them."""
    description: str = ""
    created_at: Instant

    def live_secrets(self, now: Instant) -> tuple[str, ...]:
        """What signs at `now`, newest first."""
        return tuple(one.text for one in self.secrets if one.until is None or now < one.until)


def endpoint_place(endpoint_id: bytes) -> str:
    """What stands for the channel in ids and keys of messages to one endpoint: each gets its own."""
    return f"{Channel.WEBHOOK.value}/{endpoint_id.hex()}"


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint is doing."""

    id: bytes
    tenant: TenantId
    user: UserNo
    failing_since: Instant | None = None
    """The first failed call after the last one that was accepted."""
    disabled_at: Instant | None = None
    disabled_reason: str = ""
    """Why nothing is sent to it (`failing`, `address_gone`, `by_hand`); empty while it is enabled."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """One call of an endpoint. Stored by the ledger in the very transaction that settles the attempt."""

    tenant: TenantId
    user: UserNo
    message_id: MessageId
    endpoint: bytes
    ok: bool
    status: int
    """What the receiver answered; 0: nothing."""
    took_ms: int
    at: Instant
    sealed: bytes
    """JSON of request and response, bounded, sealed under the user's key."""
    seq: int = 0


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    ok: bool | None = None
    since: Instant | None = None
    before: Instant | None = None
