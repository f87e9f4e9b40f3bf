"""Waits for the last checks that were made before a change: an attempt may start on a check that is a moment old."""

from __future__ import annotations

from clarion.ports.clock import Clock


class LastChecks:
    """What was checked before a change starts before `passed` returns, or is checked again."""

    def __init__(self, clock: Clock, fresh_s: float) -> None:
        """`fresh_s`: how old a check may be when its attempt starts."""
        self._clock = clock
        self._fresh_s = fresh_s

    async def passed(self) -> None:
        """Call it between a change that forbids attempts and its answer."""
        if self._fresh_s:
            await self._clock.sleep(self._fresh_s)
