"""Does it become slower as it grows: the in-app rate, and what a message costs the disk, with 0, 1 and 5 million stored.

The messages come in by the way that all messages come, so the figure holds for any layout of the store.
"""

from __future__ import annotations

import asyncio
import time

from bench import index
from bench.events import Events
from bench.load import Pool
from bench.progress import pace, progress
from bench.report import Figure
from bench.rig import Rig, ended, until_ended
from bench.server import Server
from bench.tenant import IN_APP
from bench.through import bytes_written, submit

USERS = 10_000
STORED = (0, 1_000_000, 5_000_000)
SAMPLE, FILL = 120_000, 100_000
BYTES = 4_096
"""The target for one message with a million stored."""
KEPT = 0.9
"""The target for the rate of a full store, as a share of the rate of an empty one."""


async def growth(rig: Rig) -> list[Figure]:
    """The rate at each size, with everything on and nobody connected."""
    users, sample = rig.much(USERS, 200), rig.much(SAMPLE, 2_000)
    sizes = STORED if not rig.quick else (0, 5_000, 10_000)
    figures: list[Figure] = []
    rates: list[float] = []
    async with rig.server(users) as server:
        pool = await Pool.to(server.port, 4)
        events = Events(server.dev["api_key"], range(users), "growth")
        before = server.memory_kib()["Rss"]
        await _send(server, pool, events, rig.much(10_000, 500))
        for size in sizes:
            await _fill(server, pool, events, size, rig.much(FILL, 1_000))
            memory = server.memory_kib()["Rss"]
            speed = await _index(rig)
            written, began = server.written_bytes(), time.perf_counter()
            await _send(server, pool, events, sample)
            took = time.perf_counter() - began
            written = server.written_bytes() - written
            speed_after = await _index(rig)
            at = f"in-app with {size:,} stored"
            rate = Figure(
                name=f"{at}: end to end",
                value=sample / took,
                unit="messages/s",
                note=f"{sample:,} messages, {users:,} users, none connected; both cores",
            ).at(index.between(speed, speed_after))
            rates.append(rate.scaled)
            grown = f"the data folder has {server.stored_bytes() / (await ended(server)):,.0f} a message"
            target = BYTES if size == STORED[1] else None
            figures += [rate, bytes_written(at, written, sample, grown, target)]
            if size == sizes[1]:
                figures.append(
                    Figure(
                        name=f"memory, after {size:,} messages",
                        value=memory / 1024,
                        unit="MiB",
                        note=f"RSS; {before / 1024:.0f} MiB before, {users:,} users",
                    )
                )
        pool.close()
    figures.append(
        Figure(
            name="growth: rate when full / when empty",
            value=rates[-1] / rates[0],
            unit="times",
            target=KEPT,
            note=f"{sizes[-1]:,} stored against {sizes[0]:,}, machine speed taken out",
        )
    )
    return figures


async def _index(rig: Rig) -> index.Index:
    """The machine's speed now; connections that the server closes meanwhile are seen to be closed."""
    return await asyncio.to_thread(index.measure, rig.much(index.SAMPLES, 3))


async def _send(server: Server, pool: Pool, events: Events, number: int) -> None:
    """That many messages, from the first submit to the last terminal status."""
    wanted = await ended(server) + number
    await submit(pool, events, IN_APP, number)
    await until_ended(server, wanted)


async def _fill(server: Server, pool: Pool, events: Events, size: int, step: int) -> None:
    """Until `size` messages are stored."""
    first, began = await ended(server), time.perf_counter()
    while (stored := await ended(server)) < size:
        await _send(server, pool, events, min(step, size - stored))
        done = await ended(server) - first
        progress.phase = f"filling: {pace(done, size - first, time.perf_counter() - began)}"
    progress.phase = f"measuring with {size:,} stored"
    await asyncio.sleep(1)  # what the writer still has to tidy up is not part of the figure
