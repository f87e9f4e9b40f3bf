"""What one in-app message costs each step in CPU, without a profiler: edge, engine, store.

The kernel counts CPU by thread. The store has a process or threads of its own; edge and engine share the event loop, whose time is
split with three loads that differ in one step each:

- `offline`: users without a connection. The loop takes events in (edge) and plans and delivers them (engine).
- `again`: the same events once more. Each is answered from the first one; the loop only takes in (edge).
- `online`: users with a connection. The loop also pushes a frame for each message (edge).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.events import Events
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, eventually
from bench.report import Figure
from bench.rig import Rig, ended, until_ended
from bench.server import Server
from bench.tenant import IN_APP
from bench.through import BATCH, batches, send

USERS = 2_000
MESSAGES = 60_000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU microseconds a message: the event loop, and all other threads."""

    loop: float
    others: float

    @classmethod
    def of(
        cls,
        before: dict[tuple[int, int], float],
        after: dict[tuple[int, int], float],
        pid: int,
        messages: int,
    ) -> Cost:
        """From the CPU seconds of every thread before and after that many messages."""
        spent = {thread: after[thread] - before.get(thread, 0.0) for thread in after}
        loop = spent.get((pid, pid), 0.0)
        return cls(loop=loop / messages * 1e6, others=(sum(spent.values()) - loop) / messages * 1e6)


def split(offline: Cost, again: Cost, online: Cost) -> dict[str, float]:
    """CPU microseconds a message by step, half of the users being connected."""
    push = max(online.loop - offline.loop, 0.0)
    return {
        "edge": again.loop + push / 2,
        "engine": offline.loop - again.loop,
        "store": (offline.others + online.others) / 2,
    }


async def steps(rig: Rig) -> list[Figure]:
    """One row per step."""
    users, number = rig.much(USERS, 50), rig.much(MESSAGES, 2_000)
    arrivals = Arrivals()
    async with rig.server(2 * users) as server:
        opened = await open_inboxes(server, range(users), arrivals.received)
        pool = await Pool.to(server.port, 4)
        key = server.dev["api_key"]
        warm = batches(Events(key, range(2 * users), "warm"), IN_APP, rig.much(10_000, 500))
        first = batches(Events(key, range(users, 2 * users), "offline"), IN_APP, number)
        last = batches(Events(key, range(users), "online"), IN_APP, number)
        await send(pool, warm)
        await until_ended(server, rig.much(10_000, 500))
        offline = await _cost(server, pool, first, number)
        third = first[: len(first) // 3]  # the store looks at repeats one by one
        again = await _cost(server, pool, third, len(third) * BATCH, new=False)
        online = await _cost(server, pool, last, number)
        await eventually(lambda: len(arrivals.at) >= number, 30, f"{number} arrivals at sockets")
        pool.close()
        close_inboxes(opened)
    notes = {
        "edge": f"HTTP and intake {again.loop:.0f} us, a frame to a connected user {online.loop - offline.loop:.0f} us",
        "engine": "plan and deliver",
        "store": "the store's process and threads, and all others",
    }
    return [
        Figure(name=f"CPU a message: {step}", value=value, unit="us/message", note=notes[step])
        for step, value in split(offline, again, online).items()
    ]


async def _cost(
    server: Server, pool: Pool, requests: Sequence[bytes], messages: int, *, new: bool = True
) -> Cost:
    """Of these requests, until all their messages have ended; those that are not `new` start none."""
    wanted = await ended(server) + (messages if new else 0)
    before = server.thread_cpu_s()
    await send(pool, requests)
    await until_ended(server, wanted)
    return Cost.of(before, server.thread_cpu_s(), server.pid, messages)
