"""Lets critical work run first on the event loop: lower lanes pause while critical messages are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from clarion.model.channel import Lane
from clarion.ports.clock import Clock

MAX_WAIT_S = 0.02
"""A lower lane never waits longer than this per turn, so that it cannot starve."""
REST_S = 0.03
"""How long the bulk lane rests behind each batch that it sends while members of campaigns are planned here."""


class PriorityGate:
    """Counts critical work in memory; lower lanes wait for it between chunks.

    Time spent inside a provider's call does not count: a hung provider must not slow down other lanes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._urgent = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._planning = 0
        self._planned = asyncio.Event()

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

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Many members of a campaign are planned meanwhile."""
        self._planning += 1
        self._planned.clear()
        try:
            yield
        finally:
            self._planning -= 1
            if not self._planning:
                self._planned.set()

    async def sent(self, lane: Lane) -> None:
        """Behind a batch that was sent: let others run. What is sent in bulk leaves most of the time to the planning of campaigns,
        so that all of their members are planned soon."""
        await self.turn(lane)
        if lane is Lane.BULK and self._planning:
            try:
                async with self._clock.timeout(REST_S):
                    await self._planned.wait()
            except TimeoutError:
                pass
