"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol

from clarion.model.campaign import CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import EventId, Instant, TenantId, WorkerId


class Campaigns(Protocol):
    """Campaigns as sealed values. A page of members is stored with its plan (`PlanCommit.page`)."""

    async def put(self, row: CampaignRow, after: int | None, *, again: bool = False) -> bool:
        """Store what follows the revision `after` (None: there was none). Whether it was stored; not if meanwhile there is another
        one. Whoever plans its members loses it. How far they are planned stays, and the rate counts from there and
        `pace_at`; `again`: the pass through the audience begins anew."""

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

    async def paused(self, events: Sequence[EventId]) -> Set[EventId]:
        """Those of the events whose campaigns are paused."""
