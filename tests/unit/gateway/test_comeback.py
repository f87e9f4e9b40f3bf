"""A gateway that stops says when to come back, so that its devices do not come all at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator

from clarion.gateway import SSE_PATH, GatewayLimits
from clarion.rules.reconnect import after_ms
from tests.gateway import settled

GATEWAYS, SOCKETS, PER_S = 6, 100_000, 500
RESTART_S = 3.0
"""How long a gateway that is started again accepts nobody."""
FIRST_S, LONGEST_S = 0.5, 30.0
"""The back-off of the documentation, for clients that cannot connect."""


async def test_each_device_is_told_another_moment(build):
    """Evenly, as many a second as the process may send back, over sockets and over event streams."""
    server = build(GatewayLimits(reconnects_per_s=100))
    sockets = [await server.connect(server.users.add(f"user-{n}")) for n in range(300)]
    stream = await server.connect(server.users.add("stream"), SSE_PATH)
    closing = asyncio.get_running_loop().create_task(server.gateway.close(1.0))
    for _ in range(5):
        await settled()
        server.clock.advance(0.01)
    await closing
    told = [one.frames[-1] for one in (*sockets, stream)]
    assert {(one["type"], one["code"], one["reconnect"]) for one in told} == {("close", 4001, True)}
    assert {one.close_code for one in sockets} == {4001}
    assert stream.stream[-1]["retry"] == str(told[-1]["after_ms"]), "browsers keep to this by themselves"
    moments = sorted(one["after_ms"] for one in told)
    assert all(abs(ms - 10 * number) <= 11 for number, ms in enumerate(moments))


async def test_a_device_that_does_not_read_is_still_closed(build):
    """Its line takes neither the frame nor the code; nobody waits for it."""
    server = build()
    device = await server.connect(server.users.add("ada"))
    device.stop_reading()
    closing = asyncio.get_running_loop().create_task(server.gateway.close(0.05))
    for _ in range(10):
        await settled()
        server.clock.advance(0.01)
    await closing
    assert device.aborted


def arrivals(told: Callable[[int], float], restart_s: float, dice: random.Random) -> Iterator[float]:
    """When each of 100,000 devices of six gateways that stop at once is connected again, by the documented rules."""
    for socket in range(SOCKETS):
        at_s, wait_s = told(socket // GATEWAYS + 1), FIRST_S
        while at_s < restart_s:
            wait_s = min(2 * wait_s, LONGEST_S)
            at_s += wait_s * dice.uniform(0.5, 1.0)
        yield at_s


def busiest(seconds: Iterator[float]) -> int:
    """The most that come within a second."""
    return max(Counter(map(int, seconds)).values())


def test_a_hundred_thousand_sockets_come_back_without_a_storm():
    """To gateways that work, as many a second as was said; while all are started again, at most three times as many.
    With the back-off alone half of them come in one second."""
    dice = random.Random(1)

    def paced(number: int) -> float:
        return after_ms(number, PER_S, dice.random()) / 1_000

    def unpaced(_: int) -> float:
        return 2 * FIRST_S * dice.uniform(0.5, 1.0)

    said = GATEWAYS * PER_S
    assert busiest(arrivals(paced, 0.0, dice)) <= 1.05 * said
    assert busiest(arrivals(paced, RESTART_S, dice)) <= 3 * said
    assert busiest(arrivals(unpaced, RESTART_S, dice)) > 0.4 * SOCKETS
