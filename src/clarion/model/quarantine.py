"""Returned emails kept for manual review."""

from __future__ import annotations

import msgspec

from clarion.model.ids import Instant, TenantId


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that a person has to look at."""

    tenant: TenantId
    why: str
    """`not_understood`, `no_message`, `no_proof`."""
    sealed: bytes
    """The mail, under the tenant's key."""
    digest: bytes
    """Keyed hash of the mail: the same mail is kept once."""
    at: Instant
    seq: int = 0


class QuarantineFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    why: str | None = None
    since: Instant | None = None
    before: Instant | None = None


ANY_QUARANTINED = QuarantineFilter()
