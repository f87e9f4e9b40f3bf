"""What becomes of users and of campaigns, for whoever is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.message import Change


class UserChangeKind(StrEnum):
    """What happened."""

    CREATED = "user.created"
    UPDATED = "user.updated"
    """Contacts, attributes, language or time zone."""
    ERASED = "user.erased"
    PREFERENCES = "preference.changed"
    CONSENT_GRANTED = "consent.granted"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    REGISTERED = "device.registered"
    DETACHED = "device.detached"
    ENTERED = "segment.entered"
    LEFT = "segment.left"
    STARTED = "campaign.started"
    """From its draft, or behind its test share."""
    TESTED = "campaign.tested"
    PAUSED = "campaign.paused"
    RESUMED = "campaign.resumed"
    CANCELED = "campaign.canceled"
    FINISHED = "campaign.finished"
    PARTLY_FAILED = "campaign.partly_failed"
    """It is over, and some of its messages failed."""


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """One record about a user, or about a campaign. It says nothing that would tell who a user is."""

    seq: int = 0
    tenant: TenantId
    user: UserNo
    at: Instant
    kind: UserChangeKind
    sealed_id: bytes = b""
    """The id of somebody who was erased, under the tenant's key: nobody else knows it any more."""
    segment: str = ""
    """The one that was entered or left."""
    campaign: bytes = b""
    """The id of the one it is about; then it is about no user (`NO_USER`)."""


def moved(
    tenant: TenantId, segment: str, sorted_: Mapping[UserChangeKind, Sequence[UserNo]], at: Instant
) -> list[UserChange]:
    """What is told of users who entered and left a segment."""
    return [
        UserChange(tenant=tenant, user=no, at=at, kind=kind, segment=segment)
        for kind, users in sorted_.items()
        for no in users
    ]


class JournalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Records about messages and about users, each in order; their positions say how they lie among one another."""

    changes: tuple[Change, ...] = ()
    users: tuple[UserChange, ...] = ()

    @property
    def last(self) -> Change | UserChange | None:
        """The one with the highest position."""
        ends: list[Change | UserChange] = [*self.changes[-1:], *self.users[-1:]]
        return max(ends, key=lambda one: one.seq, default=None)

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.changes) + len(self.users)
