"""Two ways to wait: until the store accepts a write, and until tasks end or the time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from clarion.errors import Unavailable
from clarion.ports.clock import Clock

T = TypeVar("T")
log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


async def retry_until_stored(what: str, write: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """The result of `write()`, repeated with growing pauses while it raises Unavailable.

    For writes that are harmless to repeat. What another worker holds meanwhile is refused.
    """
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await write()
        except Unavailable:
            log.warning("store_unavailable", waiting=what, retry_in_s=pause)
            await clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


async def wait_all(
    tasks: Collection[asyncio.Task[Any]], timeout_s: float, clock: Clock
) -> set[asyncio.Task[Any]]:
    """Wait until all have ended or the time is over; those that still run."""
    if tasks:
        with suppress(TimeoutError):
            async with clock.timeout(timeout_s):
                await asyncio.wait(tasks)
    return {task for task in tasks if not task.done()}
