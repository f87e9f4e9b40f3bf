"""Schedules, and how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.schedule import ScheduleRow


class Schedules(Protocol):
    """Schedules as sealed values. Each change follows the one that was read, so an occurrence is decided once."""

    async def put(self, row: ScheduleRow, after: int | None) -> bool:
        """Store what follows the revision `after` of the same schedule (None: there was none). Whether it was stored; not if
        meanwhile there is another one."""

    async def get(self, tenant: TenantId, key: str) -> ScheduleRow | None:
        """One of them."""

    async def page(self, tenant: TenantId, after: str, limit: int) -> Sequence[ScheduleRow]:
        """By key, behind `after`."""

    async def drop(self, tenant: TenantId, key: str) -> bool:
        """Whether it was there."""

    async def due(self, now: Instant, limit: int) -> Sequence[ScheduleRow]:
        """Those of all tenants that somebody has to look at, the oldest first."""
