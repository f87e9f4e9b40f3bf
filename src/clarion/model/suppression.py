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
