"""How many rows one transaction of retention looks at, so that whoever else writes waits a few milliseconds for it, on any machine."""

from __future__ import annotations

LONGEST_S = 0.008
"""A slice that takes longer of the writer makes the next ones smaller."""
LEAST = 20
FIRST = 100
MOST = 500


class SliceSize:
    """Follows what slices take: half as many rows after a slow one, a quarter more after a quick one."""

    def __init__(self) -> None:
        self.rows = FIRST

    def took(self, seconds: float) -> None:
        """What a slice of that many rows took of the writer."""
        if seconds > LONGEST_S:
            self.rows = max(LEAST, self.rows // 2)
        elif seconds < LONGEST_S / 2:
            self.rows = min(MOST, self.rows + self.rows // 4)
