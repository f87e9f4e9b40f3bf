"""Whose turn it is in a queue, and from where on its index is worth reading.

What is claimed leaves the index of what is due only when nobody reads an older state of the table any more. Until then it
lies in front of what is due, and whoever begins at the oldest time passes all of it. So a process begins where its last claim
ended. It looks back to the oldest as well, as often as that takes a fiftieth of its time: what was committed late, or given
back, is found then.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from clarion.model.ids import Instant

LATE_MS = 100
"""What is committed so long after its time is found at once."""
SHARE = 50
"""One part of so many is spent on looking back."""
KNOWN = 1_000
"""Tenants of a queue that are remembered."""
LOOKING_S = 20.0
"""A look back that has not come to an end by then failed."""
BELOW_ALL, ABOVE_ALL = -1, 2**63 - 1


class QueueScan:
    """Of one queue, in this process."""

    def __init__(self) -> None:
        self.last = BELOW_ALL
        """The tenant that had the last turn."""
        self.since: dict[int, int] = {}
        """From which time on there may be something, by tenant."""
        self._back_at_s = 0.0

    def looks_back(self, now_s: float) -> bool:
        """Whether it is time to begin at the oldest: for one at a time, until it has `looked_back`."""
        if now_s < self._back_at_s:
            return False
        self._back_at_s = now_s + LOOKING_S
        return True

    def looked_back(self, began_s: float, ended_s: float) -> None:
        """It took that long."""
        self._back_at_s = ended_s + SHARE * (ended_s - began_s)

    def know(self, tenants: Collection[int]) -> None:
        """These have something that nobody holds."""
        if len(self.since) + len(tenants) > KNOWN:
            self.since.clear()
        for tenant in tenants:
            self.since.setdefault(tenant, 0)

    def claimed(self, tenant: int, now: Instant, last_due: int | None) -> None:
        """Everything of the tenant up to `last_due` is claimed; None: up to now."""
        self.since[tenant] = (now if last_due is None else last_due) - LATE_MS

    def gaps(self) -> tuple[Sequence[int], Sequence[int]]:
        """Between which tenants there may be others: above which, and below which."""
        edges = [BELOW_ALL, *sorted(self.since), ABOVE_ALL]
        above, below = zip(*pairwise(edges), strict=True)
        return above, below

    def in_turn(self, tenants: Collection[int]) -> list[int]:
        """Those that have waited longest for their turn first."""
        return sorted(tenants, key=lambda tenant: (tenant <= self.last, tenant))
