"""Leader election: work that only one process may do at a time is done by the oldest one that has the role `timers`.

The leases say who lives. Whoever takes over starts when the last one was given up, so two do the work at once only while
a process that stood still for longer than its lease has not noticed it; what it writes then is harmless to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from clarion.flow.lease import WorkerLease
from clarion.model.worker import Role

log = structlog.get_logger(__name__)


class Election:
    """Of one process among all on the store."""

    def __init__(self, lease: WorkerLease) -> None:
        self._lease = lease

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work whenever this process is the one, until cancelled; raises what it raises."""
        while True:
            await self._until(True)
            working, losing = asyncio.ensure_future(work()), asyncio.ensure_future(self._until(False))
            try:
                await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                log.warning("timers_handed_over")
            finally:
                working.cancel()
                losing.cancel()
                await asyncio.wait({working, losing})

    async def _until(self, chosen: bool) -> None:
        while self._lease.is_first(Role.TIMERS) is not chosen:
            await self._lease.next_look()
