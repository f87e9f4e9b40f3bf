"""The machine's clock and randomness."""

from __future__ import annotations

import asyncio
import os
import random
import time

from clarion.model.ids import Instant


class SystemClock:
    """`ports.Clock` of the running machine."""

    def now(self) -> Instant:
        """Wall clock, milliseconds since the epoch."""
        return Instant(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller."""
        await asyncio.sleep(seconds)


class SystemEntropy:
    """`ports.Entropy` from the operating system."""

    def bytes(self, n: int) -> bytes:
        """`n` unpredictable bytes."""
        return os.urandom(n)

    def uniform(self) -> float:
        """A float in [0, 1), for jitter."""
        return random.random()
