"""Ports for tests: a clock that a test moves, seeded randomness, tools for providers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from hashlib import blake2b
from heapq import heappop, heappush

from clarion.content.mail import MimeBuilder
from clarion.model.ids import Instant
from clarion.ports.clock import Clock, Random
from clarion.ports.provider import ProviderTools
from clarion.ports.vault import Vault

MONDAY_NOON = Instant(1_767_614_400_000)
"""2026-01-05T12:00:00Z: an ordinary hour of an ordinary week."""


class ManualClock:
    """`ports.Clock` that stands still until `advance`; sleepers wake, and timeouts end, in order of their time."""

    def __init__(self, at: Instant = MONDAY_NOON) -> None:
        self._started = at
        self._passed_ms = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0

    def now(self) -> Instant:
        return Instant(self._started + self._passed_ms)

    def monotonic(self) -> float:
        return self._passed_ms / 1000

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)  # noqa: TID251 - only gives way
            return
        await self._sleeper(seconds)

    @contextlib.asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:  # noqa: TID251 - never by itself, only when told
            over = self._sleeper(max(0.0, seconds))

            def ring(_: asyncio.Future[None]) -> None:
                limit.reschedule(loop.time())

            over.add_done_callback(ring)
            try:
                yield
            finally:
                over.remove_done_callback(ring)
                over.cancel()

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake everyone whose time has come. Call it on the event loop."""
        self._passed_ms += round(seconds * 1000)
        while self._sleepers and self._sleepers[0][0] <= self.monotonic():
            woken = heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    @property
    def next_wake(self) -> float | None:
        """Seconds until the first sleeper's time; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heappop(self._sleepers)
        return max(0.0, self._sleepers[0][0] - self.monotonic()) if self._sleepers else None

    def _sleeper(self, seconds: float) -> asyncio.Future[None]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heappush(self._sleepers, (self.monotonic() + seconds, self._order, woken))
        return woken


class SeededRandom:
    """`ports.Random` that repeats itself exactly for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed.to_bytes(8, "big")
        self._drawn = 0

    def uniform(self) -> float:
        return int.from_bytes(self.bytes(7), "big") / (1 << 56)

    def bytes(self, n: int) -> bytes:
        out = b""
        while len(out) < n:
            self._drawn += 1
            out += blake2b(self._drawn.to_bytes(8, "big"), key=self._seed, digest_size=64).digest()
        return out[:n]


LOOPBACK = ("127.0.0.0/8", "::1/128")
"""Where tests have their servers."""


def provider_tools(clock: Clock, random: Random, vault: Vault) -> ProviderTools:
    """What the house lends to a provider; a mail's return path carries the plain message id, and this machine may be called."""
    return ProviderTools(
        clock=clock,
        random=random,
        vault=vault,
        mail=MimeBuilder(lambda message: message.id.hex()),
        allowed_networks=LOOPBACK,
    )
