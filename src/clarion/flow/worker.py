"""The loops of one process, supervised: a loop that fails is logged and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from clarion.flow.patience import ended
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

RESTART_S = 1.0
STOP_S = 2.0
"""For a cancelled loop to end."""


class Worker:
    """Runs loops until stopped. A failing loop never takes the others down."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failing: dict[str, str] = {}

    def start(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `loop()` under `name`."""
        self._tasks[name] = asyncio.create_task(self._supervise(name, loop), name=name)

    @property
    def failing(self) -> dict[str, str]:
        """Loops whose last run ended in an error, by name."""
        return dict(self._failing)

    async def stop(self, *prefixes: str) -> None:
        """Cancel the loops whose name starts with a prefix (all without one) and wait for them."""
        stopping = [t for name, t in self._tasks.items() if not prefixes or name.startswith(prefixes)]
        for task in stopping:
            task.cancel()
        await ended(stopping, STOP_S, self._clock)

    async def finished(self, prefix: str, timeout_s: float) -> None:
        """Wait for the loops of a prefix to end by themselves."""
        waiting = [t for name, t in self._tasks.items() if name.startswith(prefix)]
        await ended(waiting, timeout_s, self._clock)

    async def _supervise(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await loop()
            except Exception as failure:
                self._failing[name] = type(failure).__name__
                log.exception("loop_failed", loop=name, restart_in_s=RESTART_S)
                await self._clock.sleep(RESTART_S)
                self._failing.pop(name, None)
            else:
                return
