"""Lets critical work run first on the event loop: lower lanes pause while critical messages are in memory."""

from __future__ import annotations

import asyncio

from clarion.model.channel import Lane
from clarion.ports.clock import Clock

MAX_WAIT_S = 0.02
"""A lower lane never waits longer than this per turn, so that it cannot starve."""


class PriorityGate:
    """Counts critical work in memory; lower lanes wait for it between chunks.

    Time spent inside a provider's call does not count: a hung provider must not slow down other lanes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._urgent = 0
        self._calm = asyncio.Event()
        self._calm.set()

    def begin(self, lane: Lane, n: int = 1) -> None:
        """`n` pieces of work of `lane` are in memory now."""
        if lane is Lane.CRITICAL and n:
            self._urgent += n
            self._calm.clear()

    def end(self, lane: Lane, n: int = 1) -> None:
        """`n` of them are done."""
        if lane is Lane.CRITICAL:
            self._urgent -= n
            if self._urgent <= 0:
                self._urgent = 0
                self._calm.set()

    async def turn(self, lane: Lane) -> None:
        """Let others run; a lower lane also waits (bounded) until no critical work is in memory."""
        if lane is Lane.CRITICAL:
            return
        if self._calm.is_set():
            await self._clock.sleep(0)
            return
        try:
            async with self._clock.timeout(MAX_WAIT_S):
                await self._calm.wait()
        except TimeoutError:
            pass
