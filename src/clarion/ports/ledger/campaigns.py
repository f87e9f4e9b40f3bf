"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from clarion.model.campaign import CampaignRange, CampaignRow, CampaignStatus, EventCampaign
from clarion.model.channel import Lane
from clarion.model.ids import EventId, Instant, TenantId, WorkerId
from clarion.model.user_change import UserChange


class Campaigns(Protocol):
    """Campaigns as sealed values. A page of members is stored with its plan (`PlanCommit.page`, `range_page`)."""

    async def put(
        self,
        row: CampaignRow,
        after: int | None,
        *,
        again: bool = False,
        rate_per_s: int | None = None,
        said: Sequence[UserChange] = (),
    ) -> bool:
        """Store what follows the revision `after` (None: there was none). Whether it was stored; not if meanwhile there is another
        one. Whoever plans its members, or a range of them, loses it; ranges wait while it is paused, and are gone when it is over.
        How far they are planned stays. The rate counts from there, from `pace_at` or when the next member was due at the
        rate so far (`rate_per_s`), if that is later. `again`: the pass through the audience begins anew.
        `said`: recorded with it, if somebody is told of such things."""

    async def get(self, tenant: TenantId, id: bytes) -> CampaignRow | None:
        """One of them."""

    async def page(
        self, tenant: TenantId | None, statuses: Set[CampaignStatus], before: bytes | None, limit: int
    ) -> Sequence[CampaignRow]:
        """Newest first; in any of these statuses (none: in all). `tenant` None: of all tenants."""

    async def drop(self, tenant: TenantId, id: bytes) -> bool:
        """Whether it was there."""

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[CampaignRow]:
        """Campaigns whose members are due and no other worker plans: the worker does now, each with a higher fence. Those that have
        waited longest. Nothing when the worker has been given up."""

    async def of_events(self, events: Sequence[EventId]) -> Mapping[EventId, EventCampaign]:
        """Those of the events that are of campaigns, with these."""


class CampaignRanges(Protocol):
    """Ranges of members that a page cut off (`CampaignPage.cut_to`)."""

    async def claim(self, worker: WorkerId, lane: Lane, limit: int) -> Sequence[CampaignRange]:
        """Ranges of campaigns that go on and that no other worker plans: the worker does now, each with a higher fence. Campaigns
        take turns. Nothing when the worker has been given up."""
