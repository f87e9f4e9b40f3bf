"""What deleting old data costs whoever sends meanwhile: arrival in the inbox with it and without it."""

from __future__ import annotations

from bench.events import Events, half_connected
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, Tally, eventually, open_loop, percentile
from bench.report import Figure
from bench.rig import Rig, until_ended
from bench.server import Server
from bench.tenant import IN_APP
from bench.through import submit

SOCKETS = 500
OLD = 60_000
"""Messages that are too old, each with its event, its inbox item and its part of the journal."""
RATE = 1_000
"""New messages a second, in both measurements: far from what any machine carries, so that a stall is seen."""
BATCH = 10
TURNS, SECONDS = 4, 4
"""Without and with it in turns, so that a slow minute of the machine meets both."""
KINDS = ("inbox", "messages", "events")


async def retention(rig: Rig) -> list[Figure]:
    """Arrival of new messages while nothing is deleted, and while old ones are."""
    sockets, old = rig.much(SOCKETS, 50), rig.much(OLD, 1_000)
    async with rig.server(2 * sockets, module="bench.past") as server:
        await _keep(server, "forever")
        events = Events(server.dev["api_key"], half_connected(sockets), "retention")
        pool = await Pool.to(server.port, 4)
        await submit(pool, events, IN_APP, old)
        await until_ended(server, old)
        pool.close()
        await server.stop()
        server.module = "clarion"
        await server.start()
        await _arrivals(rig, server, events, sockets)  # warms up
        without: list[float] = []
        during: list[float] = []
        for _ in range(rig.much(TURNS, 1)):
            without += await _arrivals(rig, server, events, sockets)
            await _keep(server, "P1D")
            await server.api.post("/v1/retention/run", None)
            during += await _arrivals(rig, server, events, sockets)
            await _keep(server, "forever")
        deleted = await _deleted(server)
    seconds = rig.much(TURNS, 1) * rig.long(SECONDS)
    note = f"{deleted / seconds:,.0f} old rows deleted a second"
    name, at = "arrival while old data is deleted", f"{rig.much(RATE, 200):,} messages/s, open loop"
    return [
        Figure(name="arrival without: p50", value=percentile(without, 0.5) * 1e3, unit="ms"),
        Figure(name="arrival without: p99", value=percentile(without, 0.99) * 1e3, unit="ms", note=at),
        Figure(name=f"{name}: p50", value=percentile(during, 0.5) * 1e3, unit="ms"),
        Figure(
            name=f"{name}: p99",
            value=percentile(during, 0.99) * 1e3,
            unit="ms",
            target=30,
            at_most=True,
            note=note,
        ),
    ]


async def _keep(server: Server, keep: str) -> None:
    wanted = {kind: {"keep": keep} for kind in KINDS}
    answer = await server.api.call("PATCH", "/v1/retention", wanted)
    if answer.status != 200:
        raise RuntimeError(f"retention was not changed: {answer}")


async def _deleted(server: Server) -> int:
    found = await server.metrics()
    return int(
        sum(value for name, value in found.items() if name.startswith("clarion_retention_deleted_total{"))
    )


async def _arrivals(rig: Rig, server: Server, events: Events, sockets: int) -> list[float]:
    """Seconds from due to arrival of new messages."""
    rate, seconds = rig.much(RATE, 200), rig.long(SECONDS)
    arrivals, tally, due_at = Arrivals(), Tally(), dict[int, float]()
    opened = await open_inboxes(server, range(sockets), arrivals.received)
    pool = await Pool.to(server.port, 8)
    ready = [events.batch(IN_APP, BATCH) for _ in range(int(rate / BATCH * seconds))]

    def fire(i: int, due: float) -> None:
        numbers, raw = ready[i]
        due_at.update((n, due) for n in numbers if n % 2 == 0)
        pool.send(raw, tally.sink(due, BATCH))

    await open_loop(rate / BATCH, seconds, fire)
    await eventually(lambda: len(arrivals.at) >= len(due_at), 20, f"{len(due_at)} arrivals at sockets")
    tally.require_clean()
    pool.close()
    close_inboxes(opened)
    return arrivals.since(due_at)
