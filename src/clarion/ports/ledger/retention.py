"""Deleting old rows, a few at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.retention import MessageTotal, RetentionKind, Swept


class Retention(Protocol):
    """Deletes what is older than its tenant keeps it. What is still needed stays, however old it is."""

    async def sweep(
        self, kind: RetentionKind, cutoffs: Mapping[TenantId, Instant], after: bytes | None, *, dry: bool
    ) -> Swept:
        """One short transaction: look at a bounded number of old rows behind `after`, and delete those from before
        their tenant's cutoff; nothing of a tenant without one. With `dry` they are only counted.

        An event goes when it is planned and no unfinished message needs it, a message when it is over and in no
        inbox. The numbers of messages that go are added to the totals in the same transaction."""

    async def totals(self, tenant: TenantId, since: int, until: int) -> Sequence[MessageTotal]:
        """How many messages of the days from `since` until before `until` there are, by day, workflow, channel, status and
        reason: those that are kept and those that are not any more. Exact for each day."""
