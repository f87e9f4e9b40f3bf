"""How many events a second are durably accepted, and how long the 202 takes."""

from __future__ import annotations

from bench.costs import Costs
from bench.events import Events
from bench.load import Pool, Tally, closed_loop, open_loop, percentile
from bench.report import Figure
from bench.rig import Rig
from bench.tenant import IN_APP

USERS = 10_000
CONNECTIONS = 64
RATE = 3_600
BATCH = 500
BATCHED_GOALS = {"kafka": 20_000}
"""Events a second into a broker."""


async def single(rig: Rig) -> list[Figure]:
    """One event a request: latency at a fixed rate, then the rate without one."""
    users = rig.much(USERS, 200)
    rate = rig.much(RATE, 300)
    async with rig.server(users) as server:
        pool = await Pool.to(server.port, CONNECTIONS)
        events = Events(server.dev["api_key"], range(users), "single")

        async def at_rate(seconds: float) -> Tally:
            tally = Tally()
            ready = [events.trigger(IN_APP)[1] for _ in range(int(rate * seconds))]
            await pool.refresh()
            await open_loop(rate, seconds, lambda i, due: pool.send(ready[i], tally.sink(due)))
            await pool.idle()
            return tally

        await at_rate(rig.long(2))
        cpu = server.cpu_s()
        tally = await at_rate(seconds := rig.long(10))
        cores = (server.cpu_s() - cpu) / seconds
        tally.require_clean()
        fastest = Tally()
        took = await closed_loop(pool, rig.long(6), lambda _: events.trigger(IN_APP)[1], fastest)
        pool.close()
    at = f"at {rate:,}/s, {CONNECTIONS} connections, open loop"
    return [
        Figure(
            name="accept, one by one: p50", value=percentile(tally.latencies, 0.5) * 1e3, unit="ms", note=at
        ),
        Figure(
            name="accept, one by one: p99",
            value=percentile(tally.latencies, 0.99) * 1e3,
            unit="ms",
            target=25,
            at_most=True,
            note=f"{at}; {cores:.2f} cores, delivery included",
        ),
        Figure(
            name="accept, one by one: most",
            value=fastest.accepted / took,
            unit="events/s",
            target=RATE,
            note=_told(fastest, f"{CONNECTIONS} callers"),
        ),
    ]


async def batched(rig: Rig) -> list[Figure]:
    """NDJSON, 500 events a request."""
    users = rig.much(USERS, 200)
    size = rig.much(BATCH, 50)
    async with rig.server(users) as server:
        pool = await Pool.to(server.port, 4)
        events = Events(server.dev["api_key"], range(users), "batched")
        tally, costs = Tally(), Costs(server.uses, server.cpu_s)
        with costs.counted():
            took = await closed_loop(pool, rig.long(6), lambda _: events.batch(IN_APP, size)[1], tally, size)
        pool.close()
    told = _told(tally, f"{size} a request, 4 callers, while earlier ones are delivered")
    return [
        Figure(
            name="accept, batched: most",
            value=tally.accepted / took,
            unit="events/s",
            target=BATCHED_GOALS.get(rig.broker),
            note=told,
        ),
        *costs.figures("accept, batched", tally.accepted, took),
        Figure(name="accept, batched: p50", value=percentile(tally.latencies, 0.5) * 1e3, unit="ms/request"),
        Figure(name="accept, batched: p99", value=percentile(tally.latencies, 0.99) * 1e3, unit="ms/request"),
    ]


def _told(tally: Tally, note: str) -> str:
    refused = ", ".join(f"{events:,} events answered {status}" for status, events in tally.refused.items())
    return f"{note}; {refused}" if refused else note
