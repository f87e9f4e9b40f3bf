"""Whose turn it is in a queue, and from where on its index is worth reading.

What is claimed leaves the index of what is due only when nobody reads an older state of the table any more. Until then it
lies in front of what is due, and whoever begins at the oldest time passes all of it. So a process begins a little before where
its last claim ended, and what it plans itself it knows of. What others committed later than that, or given back, is found by looking back: now and then a bit further, and
seldom to the oldest. Each way of it is done as often as that takes a small part of the time, whatever lies there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import inf

from clarion.model.ids import Instant

LATE_MS = 100
"""What is committed so long after its time is found at once."""
EVER_MS = 2**62
BACK_MS = (2_000, 60_000, EVER_MS)
"""So far back is looked."""
SHARE = 300
"""One part of so many is spent on each of these."""
KNOWN = 1_000
"""Tenants of a queue that are remembered."""
BELOW_ALL, ABOVE_ALL = -1, 2**63 - 1


class QueueScan:
    """Of one queue, in this process: its claims move it on, its plans move it back."""

    def __init__(self) -> None:
        self.last = BELOW_ALL
        """The tenant that had the last turn."""
        self.since: dict[int, int] = {}
        """When everything that was due had been claimed, by tenant."""
        self._next_s = dict.fromkeys(BACK_MS, 0.0)
        """When it is looked back so far again."""

    def reach(self, now_s: float) -> int:
        """How many milliseconds to begin before `since` now. Further than `LATE_MS`: for one at a time, until it has
        `looked_back`."""
        reach = max((back for back, next_s in self._next_s.items() if next_s <= now_s), default=LATE_MS)
        if reach in self._next_s:
            self._next_s[reach] = inf
        return reach

    def looked_back(self, reach: int, began_s: float, ended_s: float) -> None:
        """It took that long, whether it came to an end or not."""
        if reach in self._next_s:
            self._next_s[reach] = ended_s + SHARE * (ended_s - began_s)

    def know(self, tenants: Collection[int]) -> None:
        """These have something that nobody holds."""
        if len(self.since) + len(tenants) > KNOWN:
            self.since.clear()
        for tenant in tenants:
            self.since.setdefault(tenant, 0)

    def claimed(self, tenant: int, now: Instant, last_due: int | None) -> None:
        """Everything of the tenant up to `last_due` is claimed; None: up to now."""
        self.since[tenant] = now if last_due is None else last_due

    def came(self, tenant: int, due_at: int) -> None:
        """Something was stored that has been due since then."""
        if due_at < self.since.get(tenant, 0):
            self.since[tenant] = due_at

    def begin(self, tenant: int, reach: int) -> int:
        """The time from which on to look for what is due."""
        return max(0, self.since.get(tenant, 0) - reach)

    def gaps(self) -> tuple[Sequence[int], Sequence[int]]:
        """Between which tenants there may be others: above which, and below which."""
        edges = [BELOW_ALL, *sorted(self.since), ABOVE_ALL]
        above, below = zip(*pairwise(edges), strict=True)
        return above, below

    def in_turn(self, tenants: Collection[int]) -> list[int]:
        """Those that have waited longest for their turn first."""
        return sorted(tenants, key=lambda tenant: (tenant <= self.last, tenant))
