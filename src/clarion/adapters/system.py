"""The machine's clock and randomness."""

from __future__ import annotations

import asyncio
import os
import random
import threading
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

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """Cancel what runs inside for longer."""
        return asyncio.timeout(seconds)


POOL_BYTES = 4096
"""Fetched from the operating system at once. Each call to it lets go of the interpreter lock, and the writer thread
keeps that for up to a millisecond: with a call per nonce, a tenth of the event loop's time went into waiting."""


class SystemRandom:
    """`ports.Random` from the operating system. No byte is handed out twice, also not to two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool = b""
        self._used = 0

    def bytes(self, n: int) -> bytes:
        """`n` unpredictable bytes."""
        with self._lock:
            start = self._used
            self._used = end = start + n
            if end <= len(self._pool):
                return self._pool[start:end]
            self._pool = os.urandom(max(POOL_BYTES, n))
            self._used = n
            return self._pool[:n]

    def uniform(self) -> float:
        """A float in [0, 1), for jitter."""
        return random.random()  # noqa: S311 - not a secret
