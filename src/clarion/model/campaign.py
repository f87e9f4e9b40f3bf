"""Campaigns: one workflow for a whole audience, at a pace."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from clarion.model.channel import Lane
from clarion.model.ids import NO_USER, EventId, Instant, TenantId, UserNo
from clarion.model.recipient_object import ObjectName
from clarion.model.user import Value


class CampaignStatus(StrEnum):
    """Where a campaign is. docs/how-to/run-campaigns.md explains each one."""

    DRAFT = "draft"
    TESTING = "testing"
    """Its test share is planned and sent."""
    TESTED = "tested"
    """The test share is sent; the rest waits until somebody starts it."""
    RUNNING = "running"
    PAUSED = "paused"
    CANCELED = "canceled"
    DONE = "done"


GOING = frozenset({CampaignStatus.TESTING, CampaignStatus.RUNNING})
"""Members are planned in these."""
OVER = frozenset({CampaignStatus.CANCELED, CampaignStatus.DONE})


class Audience(Value, frozen=True, kw_only=True):
    """Who gets a campaign: exactly one of the fields."""

    topic: str | None = None
    """The members of a topic."""
    segment: str | None = None
    """The users in a segment."""
    object: ObjectName | None = None
    """The members of an object, or who is on duty, and its own channels."""
    user_ids: tuple[str, ...] | None = None
    """These users."""

    @property
    def topic_key(self) -> str | None:
        """The topic, or that of the object."""
        return self.topic if self.object is None else self.object.key


class Campaign(Value, frozen=True, kw_only=True):
    """What a campaign is to do."""

    name: str = ""
    workflow: str
    audience: Audience
    data: dict[str, Any] = {}
    lane: Lane = Lane.BULK
    send_at: Instant | None = None
    send_at_local: str | None = None
    expires_at: Instant | None = None
    rate_per_s: int | None = None
    test_share: float | None = None
    keep_open: bool = False


class CampaignState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A campaign, and what planning it needs. This is what gets sealed and stored. Fields are only ever added."""

    campaign: Campaign
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    members: tuple[UserNo, ...] = ()
    """Of an audience that is a list, ascending."""
    event: bytes = b""
    """Its event, sealed, from the start on."""
    setup_revision: int = 0
    """As that of `Entry`."""
    paused: CampaignStatus | None = None
    """What it was before its pause."""
    paused_at: Instant | None = None
    resumes_at: Instant | None = None
    """When it would have been looked at next; None: everything was planned."""


class CampaignRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A campaign as it lies in the store: what people say sealed, and how far planning is in the clear."""

    id: bytes
    tenant: TenantId
    status: CampaignStatus
    lane: Lane
    revision: int
    """Grows with every change that somebody asks for."""
    sealed: bytes
    """The `CampaignState` under the tenant's key."""
    due_at: Instant | None = None
    """When members are planned next; None: not by itself."""
    event_id: EventId | None = None
    """None: it was never started."""
    after: UserNo = NO_USER
    """The last member who was looked at in this pass through the audience."""
    rank: int = 0
    """Members who were planned, in all passes."""
    ranges: int = 0
    """Ranges of members that were cut off and are not planned to their ends."""
    pace_rank: int = 0
    pace_at: Instant = Instant(0)
    """The member with this rank is due at this time; the rate counts from here."""
    fence: int = 0
    """Grows with every claim and every change; a page with an older one is refused."""


class EventCampaign(msgspec.Struct, frozen=True, array_like=True):
    """The campaign that an event is of."""

    id: bytes
    paused: bool


class CampaignRange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Some thousand members of a campaign without a rate, by their numbers: several workers plan one each."""

    campaign: bytes
    tenant: TenantId
    begin: UserNo
    """Its members are behind this one."""
    after: UserNo
    """The last one who was looked at."""
    end: UserNo
    """The last one of all."""
    fence: int
    """Grows with every claim, and with every change of the campaign."""


class CampaignPage(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Members of a claimed campaign that a plan is of: stored with it, and the plan is refused if it does not follow."""

    id: bytes
    fence: int
    before: UserNo
    """Where the page begins."""
    after: UserNo
    members: int
    """How many are planned."""
    due_at: Instant | None
    """When the next page is planned; None: the audience is at its end."""
    pace_rank: int
    pace_at: Instant
    """As those of the campaign: later when planning was late, because nobody catches up."""
    cut_to: UserNo | None = None
    """Members up to this one are not planned yet: they are a range for whoever claims it."""


class RangePage(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """As `CampaignPage`, of a claimed range."""

    campaign: bytes
    begin: UserNo
    fence: int
    before: UserNo
    after: UserNo
    members: int
    is_last: bool
    """Nobody is left in the range."""
