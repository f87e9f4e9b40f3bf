"""Runs that wait until one moment: from then until the last of them has gone on."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from bench.costs import Costs
from bench.events import Events
from bench.load import Pool
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from bench.server import Server
from bench.tenant import UPDATES, event_type
from bench.through import submit

WORKFLOW = "bench-wait"
RUNS, USERS = 100_000, 1_000
PLANNED = 1_500
"""Runs a second that are surely planned, before the moment comes."""
GOAL = 10_000
WOKEN = "clarion_runs_woken_total"


async def wakeups(rig: Rig) -> list[Figure]:
    """What a run costs when it goes on: it is found, claimed, decided and stored; it sends nothing."""
    runs, users = rig.much(RUNS, 2_000), rig.much(USERS, 20)
    async with rig.server(users) as server:
        moment = datetime.now(UTC) + timedelta(seconds=10 + runs / PLANNED)
        until = f"timestamp('{moment.strftime('%Y-%m-%dT%H:%M:%SZ')}')"
        never = {"mode": "all", "channels": ["in_app"]}
        steps = [
            {"key": "wait", "type": "wait", "until": until},
            {"key": "tell", "template": "bench-note", "to": never, "when": "data.n < 0"},
        ]
        on = {"type": event_type(WORKFLOW)}
        await server.api.put(f"/v1/workflows/{WORKFLOW}", {"category": UPDATES, "on": on, "steps": steps})
        pool = await Pool.to(server.port, 4)
        await submit(pool, Events(server.dev["api_key"], range(users), "wakeups"), WORKFLOW, runs)
        pool.close()
        path = f"/v1/workflows/{WORKFLOW}/versions"
        while (waiting := (await server.api.get(path))["items"][0]["waiting_runs"]) < runs:
            progress.tell(f"{runs - waiting:,} runs to be planned")
            await asyncio.sleep(0.5)
        left_s = (moment - datetime.now(UTC)).total_seconds()
        if left_s < 0:
            raise TimeoutError("the runs were not planned before they were to wake: lower `PLANNED`")
        await asyncio.sleep(left_s)
        costs, began = Costs(server.uses, server.cpu_s), time.perf_counter()
        with costs.counted():
            while (woken := await _woken(server)) < runs:
                progress.tell(f"{runs - woken:,} runs left")
                await asyncio.sleep(0.1)
        took = time.perf_counter() - began
        return [
            Figure(
                name="wake-ups: runs that go on",
                value=runs / took,
                unit="runs/s",
                target=GOAL,
                note=f"{runs:,} runs due at one moment, from then to the last",
            ),
            *costs.figures("wake-ups", runs, took),
        ]


async def _woken(server: Server) -> int:
    found = await server.metrics()
    return int(sum(value for name, value in found.items() if name.split("{")[0] == WOKEN))
