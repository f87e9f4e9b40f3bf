"""What a process has published and its fan-out has still to send to the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec.structs import replace

from clarion.model.inbox import InboxChange
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

AT_ONCE = 512
"""Changes of one call."""
WAITING = 50_000
"""Most changes that wait. What is more is dropped, and the gateways look into the ledger instead."""
RETRY_S = 0.2
"""Between two tries to reach the others."""


class Outbox:
    """Sends one call at a time: what is published during it goes together in the next.

    What cannot be sent is not kept. All gateways are told afterwards that they missed something, and also
    at the start, because this process may have ended before it had sent everything.
    """

    def __init__(
        self,
        send: Callable[[Sequence[InboxChange]], Awaitable[None]],
        send_missed: Callable[[], Awaitable[None]],
        faults: tuple[type[Exception], ...],
        clock: Clock,
    ) -> None:
        """`send` and `send_missed` raise one of `faults` when nobody can be reached."""
        self._send = send
        self._send_missed = send_missed
        self._faults = faults
        self._clock = clock
        self._waiting: list[InboxChange] = []
        self._dropped = True
        self._filled = asyncio.Event()
        self._filled.set()
        self.fault = ""
        """Why nobody can be reached now."""
        self.counted = Counter(published=0, dropped=0)

    def put(self, changes: Sequence[InboxChange]) -> None:
        """To be sent as they are stored: sealed only."""
        if not changes:
            return
        if len(self._waiting) + len(changes) > WAITING:
            self._drop(len(changes))
        else:
            self._waiting += [replace(one, content=()) if one.content else one for one in changes]
        self._filled.set()

    def announce(self) -> None:
        """Tell all gateways that they missed something."""
        self._dropped = True
        self._filled.set()

    async def run(self) -> None:
        """Send, until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            try:
                await self._empty()
                self.fault = ""
            except self._faults as fault:
                if not self.fault:
                    log.warning("fanout_away", error=str(fault))
                self.fault = str(fault) or type(fault).__name__
                self._drop(len(self._waiting))
                self._waiting.clear()
                await self._clock.sleep(RETRY_S)
                self._filled.set()

    async def _empty(self) -> None:
        while self._waiting or self._dropped:
            if self._dropped:
                await self._send_missed()
                self._dropped = False
            batch = self._waiting[:AT_ONCE]
            if batch:
                await self._send(batch)
                del self._waiting[: len(batch)]
                self.counted["published"] += len(batch)

    def _drop(self, count: int) -> None:
        self._dropped = True
        self.counted["dropped"] += count
