"""Runs the background loops of one process, and restarts a loop that fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import structlog

from clarion.flow.waiting import wait_all
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

RESTART_S = 1.0
STEADY_S = 30.0
"""A loop works again when it has not failed for so long."""
STOP_S = 2.0
"""For a cancelled loop to end."""


class _Failure(NamedTuple):
    """The last failure of a loop."""

    error: str
    times: int
    """In a row."""
    at_s: float


class Loops:
    """Runs loops until stopped. A failing loop never takes the others down."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, _Failure] = {}
        self._stopping = False
        self.failed: Counter[str] = Counter()
        """Failures so far, by loop."""

    def start(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `loop()` under `name`."""
        self._tasks[name] = asyncio.create_task(self._supervise(name, loop), name=name)

    def states(self) -> dict[str, str]:
        """Every loop: `ok`, or what is wrong with it."""
        return {name: self._state(name, task) for name, task in self._tasks.items()}

    async def stop(self, *prefixes: str, but: str = "") -> None:
        """Cancel the loops whose name starts with a prefix (all without one), except `but`, and wait for them."""
        self._stopping = True
        stopping = [
            task
            for name, task in self._tasks.items()
            if name != but and (not prefixes or name.startswith(prefixes))
        ]
        for task in stopping:
            task.cancel()
        await wait_all(stopping, STOP_S, self._clock)

    async def finished(self, prefix: str, timeout_s: float) -> None:
        """Wait for the loops of a prefix to end by themselves."""
        self._stopping = True
        waiting = [t for name, t in self._tasks.items() if name.startswith(prefix)]
        await wait_all(waiting, timeout_s, self._clock)

    def _state(self, name: str, task: asyncio.Task[None]) -> str:
        if task.done() and not self._stopping:
            return "it has ended: restart the process"
        failure = self._failures.get(name)
        if failure is None or self._clock.monotonic() - failure.at_s >= STEADY_S:
            return "ok"
        return f"it failed {failure.times} times in a row, last with {failure.error}, and is restarted"

    async def _supervise(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as failure:
                log.exception("loop_failed", loop=name, restart_in_s=RESTART_S)
                self._note(name, type(failure).__name__)
                await self._clock.sleep(RESTART_S)
            else:
                return

    def _note(self, name: str, error: str) -> None:
        now_s = self._clock.monotonic()
        last = self._failures.get(name)
        times = last.times + 1 if last is not None and now_s - last.at_s < STEADY_S else 1
        self._failures[name] = _Failure(error, times, now_s)
        self.failed[name] += 1
