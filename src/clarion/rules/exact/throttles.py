"""Whether a throttle lets another run through."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import Instant
from clarion.model.run import ThrottleUse


def counts_until(use: ThrottleUse, others: Sequence[Instant], now: Instant) -> Instant | None:
    """Until when one more counts that passes now; None: it does not pass. `others`: the same of those that still count."""
    if len(others) >= use.limit:
        return None
    return min(others) if use.fixed and others else Instant(now + use.per_ms)
