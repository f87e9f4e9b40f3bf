"""Load on a fixed schedule, whatever the server does: latencies count from the moment a request was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice

from bench.wire import Answer, Connection, connect

BROKEN = 3
"""Connections that may break under one request."""
Fire = Callable[[int, float], None]
"""Sends number `i`, due at the given moment."""

SPIN_S = 0.0015
"""The loop's timers tick in milliseconds; the last stretch before a send is polled. The core is the generator's own."""


async def open_loop(rate: float, seconds: float, fire: Fire) -> None:
    """Call `fire(i, due)` `rate` times a second for `seconds`, catching up when late, never slowing down."""
    begin = time.perf_counter() + 0.01
    for i in range(int(rate * seconds)):
        due = begin + i / rate
        await _until(due)
        fire(i, due)


async def _until(due: float) -> None:
    while True:
        gap = due - time.perf_counter()
        if gap <= 0:
            return
        await asyncio.sleep(gap - SPIN_S if gap > SPIN_S else 0)


async def eventually(true: Callable[[], bool], within: float, what: str) -> None:
    """Wait until `true()`; TimeoutError naming `what` when it does not come."""
    until = time.perf_counter() + within
    while True:
        if true():
            return
        if time.perf_counter() > until:
            raise TimeoutError(f"{what}: not within {within} s")
        await asyncio.sleep(0.005)


class Pool:
    """A fixed number of kept-open connections."""

    def __init__(self, port: int, size: int) -> None:
        self._port, self._size = port, size
        self.connections: list[Connection] = []
        self._turn = cycle(self.connections)
        self._refreshing = asyncio.Lock()

    @classmethod
    async def to(cls, port: int, size: int) -> Pool:
        """Open `size` connections."""
        pool = cls(port, size)
        await pool.refresh()
        return pool

    async def refresh(self) -> None:
        """Replace what the server closed because it was idle; call it right before each measurement."""
        async with self._refreshing:
            kept = [connection for connection in self.connections if connection.open]
            new = [await connect(self._port) for _ in range(self._size - len(kept))]
            self.connections = kept + new
            self._turn = cycle(self.connections)

    def send(self, raw: bytes, sink: Callable[[Answer | None], None]) -> None:
        """On the next free connection, else behind the shortest queue. ConnectionError when none is open."""
        turn = islice(self._turn, len(self.connections))
        free = next((one for one in turn if one.open and not one.pending), None)
        if free is None:
            usable = [one for one in self.connections if one.open]
            if not usable:
                raise ConnectionError("the server has closed all connections")
            free = min(usable, key=lambda one: one.pending)
        free.send(raw, sink)

    async def idle(self, within: float = 120) -> None:
        """Wait until everything is answered."""
        await eventually(
            lambda: not any(connection.pending for connection in self.connections),
            within,
            "answers to all requests",
        )

    def close(self) -> None:
        """Hang up."""
        for connection in self.connections:
            connection.close()


class Tally:
    """Answers by status, and how long each accepted one took."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused: dict[int, int] = {}
        self.latencies: list[float] = []

    def sink(self, due: float, events: int = 1) -> Callable[[Answer | None], None]:
        """Count one answer to a request that carried `events` and was due at `due`."""

        def answered(answer: Answer | None) -> None:
            if answer is not None and answer.status == 202:
                self.accepted += events
                self.latencies.append(time.perf_counter() - due)
            else:
                status = answer.status if answer is not None else 0
                self.refused[status] = self.refused.get(status, 0) + events

        return answered

    def require_clean(self) -> None:
        """A measurement with refusals in it is none."""
        if self.refused:
            raise RuntimeError(f"the server refused part of the load: {self.refused} (status: events)")


async def closed_loop(
    pool: Pool, seconds: float, build: Callable[[int], bytes], tally: Tally, events: int = 1
) -> float:
    """As fast as the server answers, one request under way per connection; the seconds it took."""
    await pool.refresh()
    sent = 0
    begin = time.perf_counter()
    until = begin + seconds

    async def drive(connection: Connection) -> None:
        nonlocal sent
        done = asyncio.Event()
        pause = 0.0

        def answered(answer: Answer | None) -> None:
            nonlocal pause
            pause = 0.02 if answer is None or answer.status != 202 else 0.0
            sink(answer)
            done.set()

        while time.perf_counter() < until:
            done.clear()
            sink = tally.sink(time.perf_counter(), events)
            connection.send(build(sent), answered)
            sent += 1
            await done.wait()
            if pause:
                await asyncio.sleep(pause)

    await asyncio.gather(*map(drive, pool.connections))
    return time.perf_counter() - begin


async def accepted(pool: Pool, raw: bytes) -> None:
    """Send until it is accepted; a refusal that asks for patience gets some.

    A server may close a connection that is idle just when it is used: then it is sent again, over a new one. The
    events have ids, so that starts nothing twice.
    """
    broken = 0
    while True:
        if not all(connection.open for connection in pool.connections):
            await pool.refresh()
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        pool.send(raw, answered.set_result)
        answer = await answered
        if answer is None and broken < BROKEN:
            broken += 1
        elif answer is None or answer.status not in {202, 429, 503}:
            raise RuntimeError(f"not accepted: {answer}")
        elif answer.status == 202:
            return
        else:
            await asyncio.sleep(0.02)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie (0.99 for p99); NaN without values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
