"""Two workers against one, each with a lane of its own, all of them real processes on one store or database.

Emails through the capture provider use up cores; text messages to a service that takes its time wait most of the time. The lanes are
filled while the workers stand still, so that only planning and sending is measured. The workers share the cores with the store or
the servers: more than there are cores for cannot show what they could.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence

from bench.costs import Costs
from bench.events import Events
from bench.load import Pool
from bench.outlets import CONCURRENCY, REACHED_TOML, TWILIO_ANSWER, send_through
from bench.progress import pace, progress
from bench.report import Figure
from bench.rig import Rig, ended
from bench.sink import http_sink
from bench.tenant import BULK_EMAIL, BULK_SMS, EMAIL, SMS, create_setup
from bench.through import BATCH, submit
from bench.topology import Serving, Topology

USERS = 2_000
EMAILS, TEXTS = 20_000, 4_000
"""In each lane."""
DELAY_S = 0.02
"""Of each text message."""
TARGET = 1.7
WITHIN_S = 300.0
FROM, TO = 0.1, 0.8
"""Measured is what ends between these shares of all: without the start, and while both lanes have work."""
ALL = ("critical", "high", "normal", "bulk")
STANDING_STILL = "lease_s = 3600\n"


async def workers(rig: Rig) -> list[Figure]:
    """The same load through one worker with both lanes, and through one for each."""
    figures = await _compared(rig, "email to capture", (EMAIL, BULK_EMAIL), rig.much(EMAILS, 2 * BATCH))
    async with http_sink(201, TWILIO_ANSWER, DELAY_S) as url:
        title = f"SMS over HTTP, {DELAY_S * 1e3:.0f} ms a call, {CONCURRENCY} at once"
        return figures + await _compared(rig, title, (SMS, BULK_SMS), rig.much(TEXTS, 2 * BATCH), url)


async def _compared(
    rig: Rig, title: str, workflows: Sequence[str], number: int, url: str = ""
) -> list[Figure]:
    figures: list[Figure] = []
    for name, lanes in (("one worker", [ALL]), ("two workers", [ALL[:3], ALL[3:]])):
        progress.phase = f"{title}, {name}"
        figures += await _rate(rig, f"{name}, {title}", lanes, workflows, number, url)
    rates = [figure.value for figure in figures if figure.unit == "messages/s"]
    shown = f"with all servers on {os.cpu_count()} cores"
    times = Figure(
        name=f"two workers against one, {title}",
        value=rates[1] / rates[0],
        unit="x",
        target=TARGET,
        note=shown,
    )
    return [*figures, times]


async def _rate(
    rig: Rig, title: str, lanes: Sequence[Sequence[str]], workflows: Sequence[str], number: int, url: str
) -> list[Figure]:
    """Messages a second of workers with these lanes, and what is used meanwhile."""
    users = rig.much(USERS, 100)
    async with rig.installation(STANDING_STILL + REACHED_TOML) as installation:
        api = await installation.start("api", "api")
        await create_setup(api.api, users, preferences=False)
        if url:
            await send_through(api.api, "sms", "twilio", {"api_url": url})
        for place, its in enumerate(lanes):
            pinned = f"lanes = {list(its)}\n"
            worker = await installation.start(f"worker-{place}", "worker,timers", settings=pinned)
            worker.signal(signal.SIGSTOP)
        pool = await Pool.to(api.port, 4)
        events = Events(installation.key, range(users), "workers")
        for workflow in workflows:
            await submit(pool, events, workflow, number)
        pool.close()
        working = installation.having("worker")
        for worker in working:
            worker.signal(signal.SIGCONT)
        return await _measured(title, installation, working, number * len(workflows))


async def _measured(
    title: str, installation: Topology, working: Sequence[Serving], number: int
) -> list[Figure]:
    costs = Costs(installation.uses, installation.cpu_s)
    first = await _reached(working, int(FROM * number), number)
    began = time.perf_counter()
    with costs.counted():
        last = await _reached(working, int(TO * number), number)
        took = time.perf_counter() - began
    done = last - first
    return [
        Figure(name=title, value=done / took, unit="messages/s", note=f"{done:,} of {number:,} messages"),
        *costs.figures(title, done, took),
    ]


async def _reached(working: Sequence[Serving], wanted: int, number: int) -> int:
    """How many have ended, once that many have."""
    began = time.perf_counter()
    while (done := sum([await ended(one) for one in working])) < wanted:
        if time.perf_counter() > began + WITHIN_S:
            raise TimeoutError(working[0].tail(5))
        progress.tell(pace(done, number, time.perf_counter() - began))
        await asyncio.sleep(0.05)
    return done
