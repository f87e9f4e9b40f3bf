"""Two workers against one, each with a lane of its own: emails through the capture provider, all of them real processes on one store.

The lanes are filled while the workers stand still, so that only planning and sending is measured. The store and the
workers share the cores: more workers than cores cannot show what they could.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.events import Events
from bench.load import Pool
from bench.report import Figure
from bench.rig import Rig, ended
from bench.tenant import BULK_EMAIL, EMAIL, create_setup
from bench.through import BATCH, submit
from bench.topology import Topology

USERS = 4_000
MESSAGES = 40_000
"""In each lane."""
TARGET = 1.7
WITHIN_S = 300.0
ALL = ("critical", "high", "normal", "bulk")
STANDING_STILL = "lease_s = 3600\n"


async def workers(rig: Rig) -> list[Figure]:
    """The same load through one worker with both lanes, and through one for each."""
    one = await _rate(rig, [ALL])
    two = await _rate(rig, [ALL[:3], ALL[3:]])
    return [
        Figure(name="one worker, two lanes", value=one, unit="messages/s", note="email to capture"),
        Figure(name="two workers, a lane each", value=two, unit="messages/s", note="email to capture"),
        Figure(
            name="two workers against one",
            value=two / one,
            unit="x",
            target=TARGET,
            note=f"with the store on {os.cpu_count()} cores",
        ),
    ]


async def _rate(rig: Rig, lanes: Sequence[Sequence[str]]) -> float:
    """Messages a second of workers with these lanes, from the moment at which they all go on."""
    users, number = rig.much(USERS, 100), rig.much(MESSAGES, 2 * BATCH)
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        async with Topology(Path(folder), settings=STANDING_STILL) as installation:
            api = await installation.start("api", "api")
            await create_setup(api.api, users, preferences=False)
            for place, its in enumerate(lanes):
                pinned = f"lanes = {list(its)}\n"
                worker = await installation.start(f"worker-{place}", "worker,timers", settings=pinned)
                worker.signal(signal.SIGSTOP)
            pool = await Pool.to(api.port, 4)
            events = Events(api.api.key, range(users), "workers")
            for workflow in (EMAIL, BULK_EMAIL):
                await submit(pool, events, workflow, number)
            pool.close()
            began = time.perf_counter()
            working = installation.having("worker")
            for worker in working:
                worker.signal(signal.SIGCONT)
            while sum([await ended(one) for one in working]) < 2 * number:
                if time.perf_counter() > began + WITHIN_S:
                    raise TimeoutError(working[0].tail(5))
                await asyncio.sleep(0.05)
            return 2 * number / (time.perf_counter() - began)
