"""Verifications: a one-time code that proves that somebody reads an address."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

import msgspec

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, UserNo

VerificationId = NewType("VerificationId", bytes)


class VerificationStatus(StrEnum):
    """How far a verification is. Only a pending one can change."""

    PENDING = "pending"
    """The code is on its way, or waits to be entered."""
    APPROVED = "approved"
    """The right code was entered."""
    EXPIRED = "expired"
    """Its time is over."""
    LOCKED = "locked"
    """The wrong code was entered too often."""
    CANCELED = "canceled"
    """A caller canceled it, or a newer one for the same address took its place."""


class ConsentAsked(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the user consents to who confirms: double opt-in."""

    purpose: str
    text_version: str = ""
    """Which text the user was shown when asking for it."""


class Verification(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A one-time code for one address of a user. The code itself is not stored."""

    id: VerificationId
    tenant: TenantId
    user: UserNo
    contact: bytes
    """Keyed hash of the address: there is one pending verification for each."""
    channels: tuple[Channel, ...]
    workflow: str
    """The workflow that sends the code; empty: the built-in one."""
    digits: int
    hash: bytes
    """Keyed hash of the code that counts now."""
    status: VerificationStatus = VerificationStatus.PENDING
    sends: int = 1
    checks: int = 0
    created_at: Instant
    sent_at: Instant
    """When a code was sent last."""
    expires_at: Instant
    finished_at: Instant | None = None
    consent: ConsentAsked | None = None
    """Granted on the channel of the contact when it is approved."""

    def at(self, now: Instant) -> Verification:
        """As it is at this time."""
        if self.status is VerificationStatus.PENDING and now >= self.expires_at:
            return msgspec.structs.replace(
                self, status=VerificationStatus.EXPIRED, finished_at=self.expires_at
            )
        return self


class Resend(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A new code for a pending verification."""

    hash: bytes
    at: Instant
    most: int
    """Codes that may be sent in all."""
    pause_ms: int
    """The least time since the last one."""
