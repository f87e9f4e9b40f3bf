"""Messages a second from the first submit to the last terminal status, and what one costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.backends import EMBEDDED
from bench.costs import Costs
from bench.events import Events, half_connected
from bench.inboxes import Arrivals, close_inboxes, open_inboxes
from bench.load import Pool, Tally, accepted, eventually, open_loop
from bench.report import Figure
from bench.rig import BILLION_A_DAY, Rig, ended, until_ended
from bench.server import Server
from bench.sink import mail_sink
from bench.tenant import EMAIL, IN_APP

SOCKETS = 2_000
BATCH = 500
SUSTAINED_BATCH = 100
MESSAGES, FEWER = 120_000, 40_000
"""All at once: with the database that Clarion brings, and on other servers, some of which are much slower."""
EMAILS, EMAILS_GOAL = 5_000, 7_500
"""Mails a second that one machine should hand to its relay: with one core, with both."""


async def in_app(rig: Rig) -> list[Figure]:
    """In-app with live sockets: half of the messages go to a connected user."""
    sockets = rig.much(SOCKETS, 50)
    arrivals = Arrivals()
    async with rig.server(2 * sockets) as server:
        opened = await open_inboxes(server, range(sockets), arrivals.received)
        figures = await measure(rig, server, "in-app", IN_APP, half_connected(sockets), target=rig.rate)
        expected = await ended(server, "in_app") // 2  # every second event is for a connected user
        await eventually(lambda: len(arrivals.at) >= expected, 10, f"{expected} arrivals at sockets")
        close_inboxes(opened)
    if arrivals.repeated:
        raise RuntimeError(f"{arrivals.repeated} messages arrived twice")
    return figures


async def email(rig: Rig) -> list[Figure]:
    """Email into capture: rendered, sealed and stored as a provider would have been given it."""
    users = rig.much(4_000, 100)
    async with rig.server(users) as server:
        return await measure(rig, server, "email to capture", EMAIL, range(users), target=rig.rate)


async def email_smtp(rig: Rig) -> list[Figure]:
    """Email to a mail server: rendered, made into MIME, sent over pipelined connections, settled on its answer."""
    users = rig.much(4_000, 100)
    async with mail_sink() as port, rig.server(users) as server:
        relay = {
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "from_address": "news@example.com",
            "from_name": "Example News",
            "return_domain": "bounce.example.com",
            "per_domain": {"concurrency": 1_000},  # every user of this tenant has an address at one domain
        }
        whole = {"channel": "email", "provider": "smtp", "config": relay, "limits": {"concurrency": 16}}
        await server.api.put("/v1/integrations/capture-email", whole)
        return await measure(
            rig, server, "email over SMTP", EMAIL, range(users), target=EMAILS if rig.pinned else EMAILS_GOAL
        )


async def measure(
    rig: Rig,
    server: Server,
    title: str,
    workflow: str,
    users: Sequence[int],
    *,
    target: int,
) -> list[Figure]:
    """Messages of one workflow: all at once, then at the target rate for a while where there is nothing but Clarion."""
    events = Events(server.dev["api_key"], users, "through")
    pool = await Pool.to(server.port, 4)
    await submit(pool, events, workflow, rig.much(10_000, 500))
    await until_ended(server, rig.much(10_000, 500))

    number = rig.much(MESSAGES if rig.backend == EMBEDDED else FEWER, 2_000)
    before, costs, began = await ended(server), Costs(server.uses, server.cpu_s), time.perf_counter()
    written, stored = server.written_bytes(), server.stored_bytes()
    with costs.counted():
        await submit(pool, events, workflow, number)
        took = await until_ended(server, before + number) - began
    written, stored = server.written_bytes() - written, server.stored_bytes() - stored
    at_once = [
        Figure(
            name=f"{title}: end to end",
            value=number / took,
            unit="messages/s",
            target=target,
            note=f"{number:,} messages, {BATCH} events a request, first submit to last terminal status",
        ),
        *costs.figures(title, number, took),
    ]
    if rig.backend != EMBEDDED:
        pool.close()
        return at_once
    grew = f"the data folder grew by {stored / number:,.0f} a message"
    at_once.append(bytes_written(title, written, number, grew))
    sustained = await _sustained(rig, server, pool, events, title, workflow, target)
    pool.close()
    return at_once + sustained


def bytes_written(
    title: str, written: float, messages: int, note: str, target: float | None = None
) -> Figure:
    """What one message costs the disk, the write-ahead log included."""
    if not written:
        written, note = float("nan"), "the temporary folder is on a file system that does not count (TMPDIR)"
    return Figure(
        name=f"{title}: written to disk",
        value=written / messages,
        unit="bytes/message",
        target=target,
        at_most=True,
        note=note,
    )


async def submit(pool: Pool, events: Events, workflow: str, number: int) -> None:
    """So many new events, as fast as they are accepted."""
    await send(pool, batches(events, workflow, number))


def batches(events: Events, workflow: str, number: int) -> list[bytes]:
    """Requests with so many new events."""
    return [events.batch(workflow, BATCH)[1] for _ in range(number // BATCH)]


async def send(pool: Pool, requests: Sequence[bytes]) -> None:
    """All of them, as fast as they are accepted; what is refused is sent again."""
    await pool.refresh()
    left = iter(requests)

    async def drive() -> None:
        for raw in left:
            await accepted(pool, raw)

    await asyncio.gather(*(drive() for _ in pool.connections))


async def _sustained(
    rig: Rig, server: Server, pool: Pool, events: Events, title: str, workflow: str, target: int
) -> list[Figure]:
    """The target rate, for a while: accepted minus ended must not grow."""
    seconds = rig.long(12)
    rate = rig.much(min(target, BILLION_A_DAY), 1_000)
    size = SUSTAINED_BATCH
    ready = [events.batch(workflow, size)[1] for _ in range(int(rate / size * seconds))]
    tally = Tally()
    before, cpu = await ended(server), server.cpu_s()
    backlogs: list[int] = []

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.5)
            backlogs.append(before + tally.accepted - await ended(server))

    await pool.refresh()
    began = time.perf_counter()
    watching = asyncio.create_task(watch())
    try:
        await open_loop(rate / size, seconds, lambda i, due: pool.send(ready[i], tally.sink(due, size)))
    finally:
        watching.cancel()
    took = time.perf_counter() - began
    spent = server.cpu_s() - cpu
    backlog = before + len(ready) * size - await ended(server)
    await pool.idle()
    tally.require_clean()
    await until_ended(server, before + len(ready) * size)
    half = len(backlogs) // 2
    shown = f"largest {max(backlogs[:half], default=0):,}, then {max(backlogs[half:], default=0):,}"
    return [
        Figure(
            name=f"{title}: backlog at {rate:,}/s",
            value=backlog,
            unit="messages",
            target=rate,
            at_most=True,
            note=f"after {seconds:.0f} s, {size} events a request; {shown} in the two halves; {spent / took:.2f} cores",
        )
    ]
