"""Which users a condition chooses, and who belongs to the segments of a tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.audience import CheckedSegment, Condition, Refresh
from clarion.model.ids import Instant, TenantId, UserNo


class Audiences(Protocol):
    """Conditions over what of users is not encrypted. Users that Clarion made for itself are in none."""

    async def search(
        self, tenant: TenantId, where: Condition, now: Instant, before: UserNo | None, limit: int
    ) -> Sequence[UserNo]:
        """Newest first, those with a lower number."""

    async def count(self, tenant: TenantId, where: Condition, now: Instant) -> int:
        """How many there are."""

    async def reopen(self, tenant: TenantId, now: Instant, limit: int) -> Refresh:
        """Go through the next users, so that exactly what the tenant says is open by now; those that change count as
        changed for `SegmentMembers.update`. It begins with the first one when the tenant says something else than before.
        Whoever is written meanwhile is right already."""


class SegmentMembers(Protocol):
    """The members of segments, as of the last `refresh` and `update`."""

    async def states(self, tenant: TenantId) -> Mapping[str, Refresh]:
        """How far users were gone through, by segment, and under `OPEN_ATTRIBUTES` for `Audiences.reopen`."""

    async def members(self, tenant: TenantId, key: str, after: UserNo, limit: int) -> Sequence[UserNo]:
        """In order of number; the fan-out walks this page by page."""

    async def counts(self, tenant: TenantId, keys: Sequence[str]) -> Mapping[str, int]:
        """How many members each has; those without any are left out."""

    async def refresh(self, tenant: TenantId, segment: CheckedSegment, now: Instant, limit: int) -> Refresh:
        """Go through the next users for one segment. It begins with the first one when its condition means something
        else than before."""

    async def update(
        self, tenant: TenantId, segments: Sequence[CheckedSegment], now: Instant, limit: int
    ) -> int:
        """One transaction: go through users that were changed since the last time and those for whom time alone may
        have changed something, for all segments of the tenant. Who enters and leaves is recorded for whoever is told.
        How many there were: fewer than `limit` were all."""

    async def drop(self, tenant: TenantId, key: str) -> None:
        """Forget the members of a segment that is no more."""
