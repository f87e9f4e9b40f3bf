"""The queue of the ledger without anything around it: jobs are enqueued, claimed and completed, each of these acknowledged."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

from bench.backend_server import BackendServer
from bench.costs import Costs
from bench.ledgers import opened
from bench.report import Figure
from bench.rig import Rig
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.model.channel import Channel
from clarion.model.user import User, UserPut
from clarion.testing.ledger_contract import LedgerSubject

JOBS_GOAL = 7_500
"""Jobs a second: the best that anybody has published for so many cores."""
USERS, JOBS, BATCH, WORKERS = 2_000, 60_000, 250, 4
LEAST_HELD = 0.95
"""Of its rate a queue keeps while somebody holds an old snapshot."""
HELD_S = 20.0


async def queue(rig: Rig) -> list[Figure]:
    """Several producers and workers at once, in the process of the bench; then the same under an old snapshot."""
    async with opened(rig) as (ledger, servers):
        subject: Any = LedgerSubject(ledger, SystemClock(), SystemRandom())  # type: ignore[arg-type]
        await subject.create_setup()
        puts = [UserPut(id=f"u{number}") for number in range(rig.much(USERS, 100))]
        users = list(await ledger.users.put(subject.tenant, puts))
        await run(subject, users, rig.much(10_000, 1_000))
        jobs, costs = rig.much(JOBS, 2_000), Costs(servers, time.process_time)
        with costs.counted():
            took = await run(subject, users, jobs)
        database = next((one for one in servers if one.setting == "database"), None)
        note = f"{jobs:,} jobs, {BATCH} at once, {WORKERS} producers and {WORKERS} workers"
        goal = JOBS_GOAL if database else None
        figures = [
            Figure(name="queue alone", value=jobs / took, unit="jobs/s", target=goal, note=note),
            *costs.figures("queue alone", jobs),
        ]
        if database:
            figures.append(await _held(rig, subject, users, database))
        return figures


async def _held(rig: Rig, subject: Any, users: Sequence[User], server: BackendServer) -> Figure:
    """What a job costs the database at the end of a time in which somebody held a snapshot, against as long without."""
    import asyncpg

    async def cost() -> float:
        until = time.perf_counter() + float(os.environ.get("CLARION_HELD_S", rig.long(HELD_S)))
        while True:
            jobs, cpu = rig.much(10_000, 1_000), server.cpu_s()
            await run(subject, users, jobs)
            if time.perf_counter() > until:
                return (server.cpu_s() - cpu) / jobs * 1e6

    free = await cost()
    reader = await asyncpg.connect(server.url)
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await reader.fetch("SELECT 1 FROM users LIMIT 1")
    held = await cost()
    await reader.close()
    return Figure(
        name="queue alone: with an old snapshot held",
        value=free / held,
        unit="of its speed",
        target=LEAST_HELD,
        note=f"CPU of the database, {free:.0f} us a job without and {held:.0f} at the end",
    )


async def run(subject: Any, users: Sequence[User], jobs: int) -> float:
    """Seconds until so many jobs have been enqueued, claimed and completed."""
    batches = iter(range(jobs // BATCH))
    left = jobs // BATCH * BATCH

    async def produce() -> None:
        for number in batches:
            some = (users[(number * BATCH + place) % len(users)] for place in range(BATCH))
            await subject.plan(*(subject.planned(user, fence=0) for user in some))

    async def work() -> None:
        nonlocal left
        while left > 0:
            claimed = await subject.claim(channel=Channel.EMAIL, limit=BATCH)
            if not claimed:
                await asyncio.sleep(0.001)
                continue
            left -= len(claimed)
            settled = [subject.settlement(message) for message in claimed]
            await subject.ledger.messages.settle(subject.worker, settled)

    began = time.perf_counter()
    await asyncio.gather(*(produce() for _ in range(WORKERS)), *(work() for _ in range(WORKERS)))
    return time.perf_counter() - began
