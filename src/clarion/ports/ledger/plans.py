"""Storing plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import EventId, MessageId, TenantId, UserNo
from clarion.model.message import Run
from clarion.model.plan import CapCharge, PlanCommit, PlanResult


class Plans(Protocol):
    """The write side of planning."""

    async def commit(self, plan: PlanCommit) -> PlanResult:
        """One transaction, which moves the cursor of the lane as well. Refused as a whole when the worker has been given
        up; what was consumed before, or has been planned by its derived ids, is not stored again."""

    async def preview(self, plan: PlanCommit) -> PlanResult:
        """The same statements, rolled back: what a dry run shows, whoever the worker is."""

    async def charge(self, charges: Sequence[CapCharge]) -> frozenset[MessageId]:
        """What waited goes on now, and caps count it; the ids that are over a cap and not counted."""

    async def runs_of(self, tenant: TenantId, event_id: EventId, user: UserNo | None) -> Sequence[Run]:
        """The stored explanations of an event."""
