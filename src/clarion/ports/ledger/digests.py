"""Digests, and the runs that ended in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.digest import DigestRow, StoredItem
from clarion.model.ids import EventId, Instant, TenantId, WorkerId
from clarion.model.run import RunRow


class Digests(Protocol):
    """Digests while they take items and afterwards. Items come to them with plans (`PlanCommit.items`)."""

    async def close(
        self, worker: WorkerId, runs: Sequence[RunRow], moved: Mapping[EventId, Instant], now: Instant
    ) -> Sequence[DigestRow]:
        """The digests that these claimed runs wait for, closed where their time has come. Runs whose digests stay open
        are given back, and due when those close. `moved`: open ones that close at another time than they said."""

    async def items(self, ids: Sequence[EventId]) -> Sequence[StoredItem]:
        """The items of digests, in the order of their events."""

    async def get(self, tenant: TenantId, ids: Sequence[EventId]) -> Sequence[DigestRow]:
        """Some of them, those that are there."""

    async def withdraw(
        self, tenant: TenantId, workflow: str, cancellation_key: bytes, at: Instant, limit: int
    ) -> int:
        """Take items with this key out of the digests of a workflow that are open (at most so many); how many."""
