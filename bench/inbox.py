"""From a trigger in one process to the user's socket in another: through the database, and the fan-out between the two."""

from __future__ import annotations

from bench.costs import Costs
from bench.events import Events
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, Tally, eventually, open_loop, percentile
from bench.report import Figure
from bench.rig import Rig
from bench.tenant import IN_APP, create_setup

SOCKETS = 500
RATE, SECONDS = 50, 10
"""Messages a second, far from what any backend carries."""
MOST_MS = 5


async def inbox(rig: Rig) -> list[Figure]:
    """In-app messages one by one, open loop, to users who are connected to a gateway of their own."""
    users, seconds = rig.much(SOCKETS, 50), int(rig.long(SECONDS))
    arrivals = Arrivals()
    async with rig.installation() as topology:
        server = await topology.start("api", "api,worker,timers")
        gateway = await topology.start("gateway", "gateway")
        await create_setup(server.api, users, preferences=False)
        opened = await open_inboxes(server, range(users), arrivals.received, gateway=gateway)
        events = Events(topology.key, range(users), "inbox")
        pool = await Pool.to(server.port, 4)
        await _arrived(pool, events, arrivals, 2)
        costs = Costs(topology.uses, topology.cpu_s)
        with costs.counted():
            accepted, took = await _arrived(pool, events, arrivals, seconds)
        pool.close()
        close_inboxes(opened)
    p99 = f"p99 {percentile(took, 0.99) * 1e3:.1f} ms; {RATE} messages/s, one a request, open loop, two processes"
    return [
        Figure(name="inbox: accepted: p50", value=percentile(accepted, 0.5) * 1e3, unit="ms"),
        Figure(
            name="inbox: at the user's socket: p50",
            value=percentile(took, 0.5) * 1e3,
            unit="ms",
            target=MOST_MS,
            at_most=True,
            note=p99,
        ),
        *costs.figures("inbox", RATE * seconds),
    ]


async def _arrived(
    pool: Pool, events: Events, arrivals: Arrivals, seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds from due to the answer, and to the socket, of each."""
    ready = [events.trigger(IN_APP) for _ in range(int(RATE * seconds))]
    due_at: dict[int, float] = {}
    tally = Tally()
    await pool.refresh()

    def fire(i: int, due: float) -> None:
        n, raw = ready[i]
        due_at[n] = due
        pool.send(raw, tally.sink(due))

    await open_loop(RATE, seconds, fire)
    await eventually(lambda: all(n in arrivals.at for n in due_at), 30, "arrival of every message")
    await pool.idle()
    tally.require_clean()
    return tally.latencies, arrivals.since(due_at)
