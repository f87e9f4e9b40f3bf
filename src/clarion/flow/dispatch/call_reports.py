"""Handles what a provider reports while a batch is being sent: that a message is about to be sent, and its outcome.

A message is noted as late as its provider can ask, and stored soon after its outcome is known, so that a crash
leaves in doubt only what was really on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from clarion.flow.lanes import InFlight
from clarion.model.outcome import Outcome
from clarion.ports.clock import Clock

LINGER_S = 0.05
"""Outcomes are stored together with those of so long after."""

Mark = Callable[[Sequence[InFlight]], Awaitable[Sequence[bool]]]
"""Durably notes that these go now; for each whether it may."""
Store = Callable[[Sequence[tuple[int, Outcome]]], None]
"""Stores what came of the messages at these places of the batch."""


class Marks:
    """Records that messages are being sent. Records of about the same time share one write."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._waiting: dict[InFlight, asyncio.Future[bool]] = {}
        self._writing: asyncio.Task[None] | None = None

    def begins(self, in_flight: InFlight) -> asyncio.Future[bool]:
        """Done when it is noted."""
        future = self._waiting.get(in_flight)
        if future is None:
            future = self._waiting[in_flight] = asyncio.get_running_loop().create_future()
            if self._writing is None:
                self._writing = asyncio.ensure_future(self._write())
        return future

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                going = await self._mark(list(batch))
            except BaseException as fault:
                for future in batch.values():
                    if not future.done():
                        future.set_exception(fault)
                self._writing = None
                raise
            for future, goes in zip(batch.values(), going, strict=True):
                if not future.done():
                    future.set_result(goes)
        self._writing = None


class CallReport:
    """Implements `ports.provider.Report` for one call."""

    def __init__(self, batch: Sequence[InFlight], marks: Marks, store: Store, clock: Clock) -> None:
        self._batch = batch
        self._marks = marks
        self._store = store
        self._clock = clock
        self._noted: dict[int, asyncio.Future[bool]] = {}
        self._new: list[tuple[int, Outcome]] = []
        self._storing: asyncio.Task[None] | None = None

    def begins(self, index: int) -> asyncio.Future[bool]:
        """Noted once; what is tried again on another connection has been noted."""
        noted = self._noted.get(index)
        if noted is None:
            noted = self._noted[index] = self._marks.begins(self._batch[index])
        return noted

    def ended(self, index: int, outcome: Outcome) -> None:
        """Store the outcome shortly, unless the batch ends first."""
        if len(self._batch) > 1 and not self._batch[index].devices:
            self._new.append((index, outcome))
            if self._storing is None:
                self._storing = asyncio.ensure_future(self._store_soon())

    def close(self) -> None:
        """End the call. Outcomes not stored yet are stored with the batch."""
        self._new.clear()
        if self._storing is not None:
            self._storing.cancel()

    async def _store_soon(self) -> None:
        await self._clock.sleep(LINGER_S)
        self._storing = None
        new, self._new = self._new, []
        self._store(new)
