"""Runs that wait between two steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.channel import Lane
from clarion.model.ids import Instant, MessageId, RunId, TenantId, WorkerId
from clarion.model.run import RunFilter, RunRow
from clarion.model.status import Reason


class Runs(Protocol):
    """Runs from their first wait on. What a plan makes of them is stored with it (`PlanCommit.run_rows`)."""

    async def claim(
        self, worker: WorkerId, lane: Lane, limit: int, now: Instant, besides: Sequence[RunId] = ()
    ) -> Sequence[RunRow]:
        """Runs that are due and no other worker holds: the worker holds them now, each with a higher fence. Tenants take
        turns; of each, those that have waited longest. Nothing when the worker has been given up. `besides`: what it is at work on, and keeps as it is.
        """

    async def get(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        """One of them."""

    async def page(
        self, tenant: TenantId, where: RunFilter, before: RunId | None, limit: int
    ) -> tuple[Sequence[RunRow], RunId | None]:
        """Newest first, and the cursor to go on from (None: the end). A page may be short, even empty, when
        the filter is rare: the scan per call is bounded; go on with the cursor."""

    async def cancel(
        self,
        tenant: TenantId,
        where: RunFilter,
        at: Instant,
        limit: int,
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Sequence[RunRow]:
        """End runs that wait (at most so many) as `canceled`, named by id, user, event, workflow or cancellation key; which. Whatever
        a worker plans of them meanwhile is not stored."""

    async def change(
        self, row: RunRow, stop: Sequence[MessageId] = (), why: Reason = Reason.CANCELED_BY_CALLER
    ) -> RunRow | None:
        """Replace status, version, state, answers and due time of a run that waits, or has failed, as it did when `row` was read: as
        it is now. Whatever a worker plans of it meanwhile is not stored, and anybody may claim it. One that had failed begins
        another part. Those of the messages `stop` that have not started are canceled with it, for the reason `why`. None: it
        has gone on since, and nothing was changed."""

    async def waiting(
        self, tenant: TenantId, workflow: str | None = None
    ) -> Mapping[str, Mapping[tuple[int, str], int]]:
        """How many runs wait, of one workflow or of all that have any: by workflow, then by its version and the step where
        they do."""
