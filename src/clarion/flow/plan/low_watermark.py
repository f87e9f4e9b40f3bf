"""How far planning has come: whoever decides that an event has not come asks whether all that were accepted are known."""

from __future__ import annotations

from clarion.errors import Unavailable
from clarion.model.channel import LANES
from clarion.model.ids import Instant
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock

UNDER_WAY_MS = 500
"""How long an event may be on its way from being accepted into the broker."""
FRESH_MS = 250
"""How long an answer is good for."""


class LowWatermark:
    """Before which time every accepted event has been planned, in all lanes and by all processes."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._asked_at = self._reached = Instant(0)

    async def reached(self) -> Instant:
        """0: nobody can tell."""
        now = self._clock.now()
        if not self._asked_at <= now < self._asked_at + FRESH_MS:
            self._asked_at, self._reached = now, await self._oldest(now)
        return self._reached

    async def _oldest(self, now: Instant) -> Instant:
        oldest = Instant(now - UNDER_WAY_MS)
        for lane in LANES:
            try:
                backlog = await self._broker.backlog(lane)
            except Unavailable:
                return Instant(0)
            if backlog.entries:
                oldest = min(oldest, backlog.oldest_at or Instant(0))
        return oldest
