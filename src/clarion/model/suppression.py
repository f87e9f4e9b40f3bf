"""Suppressions: addresses that must not be used again."""

from __future__ import annotations

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """An address that must not be used again; only its keyed hash is kept."""

    tenant: TenantId
    channel: Channel
    hash: bytes
    reason: str
    at: Instant
    registered_before: Instant | None = None
    """Where the address is a device's: stored only if it was not registered again since. None: whatever was
    registered. Not stored."""
