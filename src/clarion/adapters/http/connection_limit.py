"""Limits concurrent calls, so that the number of sockets is bounded."""

from __future__ import annotations

import asyncio

from clarion.ports.clock import Clock


class ConnectionLimit:
    """Of one server or of all.

    A call that is given up keeps its place until its time would have been over: the library goes on with it in the
    background, socket and all, and cannot be stopped before.
    """

    def __init__(self, clock: Clock, most: int, within: ConnectionLimit | None = None) -> None:
        """`most` places; each takes one `within` those of a larger whole, too."""
        self._clock = clock
        self._free = asyncio.Semaphore(most)
        self._within = within

    async def take(self, wait_s: float) -> bool:
        """Whether one became free in time."""
        if self._free.locked():
            try:
                async with self._clock.timeout(wait_s):
                    await self._free.acquire()
            except TimeoutError:
                return False
        else:
            await self._free.acquire()  # Does not wait.
        if self._within is None:
            return True
        taken = False
        try:
            taken = await self._within.take(wait_s)
        finally:
            if not taken:
                self._free.release()
        return taken

    def leave(self, in_s: float = 0.0) -> None:
        """Give the place back: now, or where the call was given up, when its time is over."""
        if in_s > 0:
            asyncio.get_running_loop().call_later(in_s, self.leave)
            return
        self._free.release()
        if self._within is not None:
            self._within.leave()
