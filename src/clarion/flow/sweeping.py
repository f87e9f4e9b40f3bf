"""Looks for what is due in a lane, again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from clarion.errors import Unavailable
from clarion.flow.lease import GivenUp
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Lane
from clarion.ports.clock import Clock

log = structlog.get_logger(__name__)

SWEEP_S = 0.1


async def sweep_forever(
    lane: Lane, sweep: Callable[[Lane], Awaitable[bool]], waits: str, priority: PriorityGate, clock: Clock
) -> None:
    """Call `sweep` until cancelled: without pause while it says that there is more, else every `SWEEP_S`.

    A store that is away and a lease that is lost are waited out, and logged as `waits`.
    """
    while True:
        try:
            busy = await sweep(lane)
        except (Unavailable, GivenUp):
            busy = False
            log.warning(waits, lane=lane)
        if busy:
            await priority.turn(lane)
        else:
            await clock.sleep(SWEEP_S)
