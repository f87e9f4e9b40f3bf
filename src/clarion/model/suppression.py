"""Suppressions: addresses that must not be used again."""

from __future__ import annotations

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId

BY_PROVIDER = "provider"
"""The source of what a provider's answer or report says."""
BY_REPLY = "reply"
"""The source of an opt-out that somebody wrote."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """An address that must not be used again; only its keyed hash is kept."""

    tenant: TenantId
    channel: Channel
    hash: bytes
    reason: str
    source: str = ""
    """Who says so; empty: Clarion itself."""
    at: Instant
    expires_at: Instant | None = None
    """None: for good."""
    registered_before: Instant | None = None
    """Where the address is a device's: stored only if it was not registered again since. None: whatever was
    registered. Not stored."""


class SuppressionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    channel: Channel | None = None
    reason: str | None = None
    source: str | None = None
    since: Instant | None = None
    before: Instant | None = None
