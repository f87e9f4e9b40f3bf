"""Time and randomness, injected so that tests can control them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from clarion.model.ids import Instant


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> Instant:
        """Wall clock, milliseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never go backwards; only differences mean something."""

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """`async with clock.timeout(5)`: what is still running inside by then is cancelled, and TimeoutError raised."""


class Random(Protocol):
    """The only source of randomness."""

    def bytes(self, n: int) -> bytes:
        """`n` unpredictable bytes, fit for keys."""

    def uniform(self) -> float:
        """A float in [0, 1); for jitter, not for secrets."""
