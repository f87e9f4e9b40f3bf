"""From the moment an event was due to be sent until its message is read from the user's socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bench.events import Events, half_connected
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, Tally, accepted, eventually, open_loop, percentile
from bench.report import Figure
from bench.rig import BILLION_A_DAY, Rig, ended, set_outcome
from bench.server import Server
from bench.tenant import ALERT, BULK_EMAIL, BULK_PUSH, IN_APP

SOCKETS = 2_000
BATCH = 50
ALERTS_A_SECOND = 100
CRITICAL_MS = 10
"""A p99 that needs no comparison."""
BULK = 200_000
BULK_BATCH = 500


async def arrival(rig: Rig) -> list[Figure]:
    """In-app at half of a billion a day."""
    sockets = rig.much(SOCKETS, 50)
    rate, seconds = rig.much(BILLION_A_DAY // 2, 500), rig.long(12)
    arrivals, tally, due_at = Arrivals(), Tally(), dict[int, float]()
    async with rig.server(2 * sockets) as server:
        opened = await open_inboxes(server, range(sockets), arrivals.received)
        pool = await Pool.to(server.port, 8)
        events = Events(server.dev["api_key"], half_connected(sockets), "arrival")
        ready = [events.batch(IN_APP, BATCH) for _ in range(int(rate / BATCH * seconds))]

        def fire(i: int, due: float) -> None:
            numbers, raw = ready[i]
            due_at.update((n, due) for n in numbers if n % 2 == 0)
            pool.send(raw, tally.sink(due, BATCH))

        await pool.refresh()
        cpu = server.cpu_s()
        await open_loop(rate / BATCH, seconds, fire)
        cores = (server.cpu_s() - cpu) / seconds
        await eventually(lambda: len(arrivals.at) >= len(due_at), 10, f"{len(due_at)} arrivals at sockets")
        tally.require_clean()
        pool.close()
        close_inboxes(opened)
    took = arrivals.since(due_at)
    note = f"{rate:,} messages/s, {BATCH} a request, open loop, {sockets:,} sockets; {cores:.2f} cores"
    return [
        Figure(
            name="in-app arrival: p50", value=percentile(took, 0.5) * 1e3, unit="ms", target=5, at_most=True
        ),
        Figure(
            name="in-app arrival: p99",
            value=percentile(took, 0.99) * 1e3,
            unit="ms",
            target=30,
            at_most=True,
            note=note,
        ),
    ]


async def critical(rig: Rig) -> list[Figure]:
    """Critical alerts alone, then in the thick of bulk with an integration that hangs."""
    users = rig.much(10_000, 200)
    number = rig.much(BULK, 2_000)
    arrivals = Arrivals()
    async with rig.server(users) as server:
        opened = await open_inboxes(server, range(50), arrivals.received)
        pool = await Pool.to(server.port, 8)
        alerts = Events(server.dev["api_key"], range(50), "alert")
        await _alerts(pool, alerts, arrivals, rig.long(2))
        alone = await _alerts(pool, alerts, arrivals, rig.long(10))

        await set_outcome(server.api, "email", "hang")
        already = await ended(server)
        filling = asyncio.create_task(_fill(server, range(users), number))
        crowded: list[float] = []
        while not filling.done():
            crowded += await _alerts(pool, alerts, arrivals, 2)
        await filling
        queued = number - (await ended(server) - already)
        crowded += await _alerts(pool, alerts, arrivals, rig.long(10))
        left = number - (await ended(server) - already)
        pool.close()
        close_inboxes(opened)
    p99 = percentile(alone, 0.99) * 1e3
    note = f"while {number:,} bulk messages come in, half of them emails that hang; then {queued:,} to {left:,} were left"
    return [
        Figure(name="critical alone: p50", value=percentile(alone, 0.5) * 1e3, unit="ms"),
        Figure(
            name="critical alone: p99",
            value=p99,
            unit="ms",
            note=f"{ALERTS_A_SECOND}/s, open loop, trigger to socket",
        ),
        Figure(name="critical under bulk: p50", value=percentile(crowded, 0.5) * 1e3, unit="ms"),
        Figure(
            name="critical under bulk: p99",
            value=percentile(crowded, 0.99) * 1e3,
            unit="ms",
            target=100,
            at_most=True,
            note=note,
        ),
        Figure(
            name="critical under bulk / alone: p99",
            value=percentile(crowded, 0.99) * 1e3 / p99,
            unit="times",
            target=max(2, CRITICAL_MS / p99),
            at_most=True,
            note=f"2, or as much as leaves the p99 at {CRITICAL_MS} ms",
        ),
    ]


async def _alerts(pool: Pool, events: Events, arrivals: Arrivals, seconds: float) -> list[float]:
    """Seconds from due to arrival of every alert."""
    ready = [events.trigger(ALERT) for _ in range(int(ALERTS_A_SECOND * seconds))]
    due_at: dict[int, float] = {}
    tally = Tally()
    await pool.refresh()

    def fire(i: int, due: float) -> None:
        n, raw = ready[i]
        due_at[n] = due
        pool.send(raw, tally.sink(due))

    await open_loop(ALERTS_A_SECOND, seconds, fire)
    await eventually(lambda: all(n in arrivals.at for n in due_at), 30, "arrival of every alert")
    tally.require_clean()
    return arrivals.since(due_at)


async def _fill(server: Server, users: Sequence[int], number: int) -> None:
    """Accepted bulk events, email and push in turn, as fast as they are taken."""
    pool = await Pool.to(server.port, 2)
    events = Events(server.dev["api_key"], users, "bulk")
    for i in range(number // BULK_BATCH):
        await accepted(pool, events.batch(BULK_EMAIL if i % 2 else BULK_PUSH, BULK_BATCH)[1])
    pool.close()
