"""Waits until an engine has nothing left to do unless the clock or the test moves it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

TURNS = 3
"""Of the event loop, one after another, with nothing due: what a socket brought is due a turn later."""
LOOK_AGAIN_S = 0.005


class Quiescence:
    """Watches the running event loop: what its threads work on, and what the test says is `busy` besides.

        quiescence = Quiescence(lambda: work_that_waits)
        await pipeline.submit(tenant, submissions)
        await quiescence.reached()

    Make it before the threads get work. Only for loops of `asyncio` itself.
    """

    def __init__(self, *busy: Callable[[], object]) -> None:
        self._busy = busy
        self._loop: Any = asyncio.get_running_loop()
        self._threads = _Threads.of(self._loop)

    async def reached(self, within_s: float = 60.0) -> None:
        """Return once no callback is due, no thread works and nothing is busy; TimeoutError when that does not come."""
        calm = 0
        async with asyncio.timeout(within_s):  # noqa: TID251 - for a person who waits for the test
            while calm < TURNS:
                if self._threads.at_work or any(busy() for busy in self._busy):
                    await self._threads.something()
                    calm = 0
                else:
                    await asyncio.sleep(0)  # noqa: TID251 - only gives way
                    calm = 0 if self._loop._ready else calm + 1  # noqa: SLF001 - asyncio has no other word for it


class _Threads:
    """What threads do for one event loop."""

    _all: WeakKeyDictionary[Any, _Threads] = WeakKeyDictionary()

    @classmethod
    def of(cls, loop: Any) -> _Threads:
        """Those of a loop, watched from the first time on."""
        if loop not in cls._all:
            cls._all[loop] = cls(loop)
        return cls._all[loop]

    def __init__(self, loop: Any) -> None:
        self.at_work = 0
        self._told = asyncio.Event()
        self._in_thread, self._from_thread = loop.run_in_executor, loop.call_soon_threadsafe
        loop.run_in_executor = self._run_in_executor
        loop.call_soon_threadsafe = self._call_soon_threadsafe

    async def something(self) -> None:
        """Return when a thread has said something, or a moment later: what is busy may be no thread."""
        self._told.clear()
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):  # noqa: TID251 - of the test, not of what it tests
                await self._told.wait()
        except TimeoutError:
            pass

    def _run_in_executor(self, executor: Any, function: Callable[..., Any], *values: Any) -> Any:
        future = self._in_thread(executor, function, *values)
        self.at_work += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, _: object) -> None:
        self.at_work -= 1

    def _call_soon_threadsafe(self, callback: Callable[..., Any], *values: Any, **more: Any) -> Any:
        self._from_thread(self._told.set)
        return self._from_thread(callback, *values, **more)  # last: the loop may end with it
