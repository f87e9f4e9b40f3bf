"""What a process takes: memory when idle, start-up time, and sockets."""

from __future__ import annotations

import asyncio
import statistics

from bench.events import Events
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, eventually
from bench.report import Figure
from bench.rig import Rig, until_ended
from bench.tenant import IN_APP
from bench.through import submit

SOCKETS = 19_000
STARTS = 5


async def idle(rig: Rig) -> list[Figure]:
    """A fresh `clarion dev`: how soon it is ready, and its memory when nothing happens."""
    async with rig.server() as server:
        first = server.started_in
        await asyncio.sleep(rig.long(3))
        memory = server.memory_kib()
        again: list[float] = []
        for _ in range(rig.much(STARTS, 1)):
            await server.stop()
            await server.start()
            again.append(server.started_in)
    return [
        Figure(
            name="start to ready",
            value=statistics.median(again) * 1e3,
            unit="ms",
            target=1_500,
            at_most=True,
            note=f"the very first: {first * 1e3:,.0f} ms",
        ),
        Figure(
            name="memory, idle",
            value=memory["Rss"] / 1024,
            unit="MiB",
            target=130,
            at_most=True,
            note=f"RSS; PSS {memory['Pss'] / 1024:.0f} MiB",
        ),
    ]


async def sockets(rig: Rig) -> list[Figure]:
    """Authenticated inbox sockets in one process, and what each adds to its memory."""
    number = rig.much(SOCKETS, 200)
    arrivals = Arrivals()
    async with rig.server(number, preferences=False) as server:
        await server.api.get("/v1/users?limit=1")
        before = server.memory_kib()["Rss"]
        opened = await open_inboxes(server, range(number), arrivals.received)
        await asyncio.sleep(rig.long(5))
        alive = sum(not socket.closed.done() for socket in opened)
        each = (server.memory_kib()["Rss"] - before) / max(alive, 1)

        # They are really live: a message to each of them arrives.
        pool = await Pool.to(server.port, 2)
        began = asyncio.get_running_loop().time()
        await submit(
            pool, Events(server.dev["api_key"], range(number), "sockets"), IN_APP, number // 500 * 500
        )
        await until_ended(server, number // 500 * 500)
        await eventually(lambda: len(arrivals.at) >= number // 500 * 500, 30, "a message at every socket")
        took = asyncio.get_running_loop().time() - began
        pool.close()
        close_inboxes(opened)
    return [
        Figure(
            name="sockets open",
            value=alive,
            unit="sockets",
            target=SOCKETS,
            note="one process, file limit 20,000",
        ),
        Figure(
            name="memory per socket",
            value=each,
            unit="KiB",
            target=20,
            at_most=True,
            note=f"growth of RSS; a message to each of them arrived within {took:.1f} s",
        ),
    ]
