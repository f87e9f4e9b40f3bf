"""Mail and callbacks that a person has to look at."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

from clarion.model.ids import Instant, TenantId


class QuarantineKind(StrEnum):
    """What is kept."""

    EMAIL = "email"
    CALLBACK = "callback"


MOST = 1_000
"""Of one kind and tenant."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A mail or a callback that a person has to look at."""

    tenant: TenantId
    kind: QuarantineKind = QuarantineKind.EMAIL
    why: str
    """`not_understood`, `no_message`, `no_proof`."""
    integration: str = ""
    """Key of the integration whose provider called; empty for mail."""
    sealed: bytes
    """The mail or a `KeptCallback`, under the tenant's key."""
    digest: bytes
    """Keyed hash of what is kept: the same is kept once."""
    at: Instant
    seq: int = 0


class QuarantineFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    kind: QuarantineKind | None = None
    why: str | None = None
    since: Instant | None = None
    before: Instant | None = None


class KeptCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A genuine callback that made no sense, as it came."""

    error: str
    """What made no sense."""
    method: Literal["GET", "POST"]
    query: str
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False
    """The body was too large to be kept whole."""


ANY_QUARANTINED = QuarantineFilter()
