"""Accepted events that go to the log of events: by Clarion, and in turns by the bare client where that log is a broker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from bench.accept import BATCH
from bench.backend_server import BackendServer
from bench.bare_clients import BARE_CLIENTS
from bench.costs import Costs
from bench.ledgers import opened
from bench.progress import progress
from bench.report import Figure
from bench.rig import Rig
from clarion.adapters.brokers.entry_encoding import encoded
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import TenantId, UserNo, new_event_id
from clarion.plugins import BROKERS, backend
from clarion.ports.backend import BackendTools, OpenBroker
from clarion.ports.broker import Broker

GOALS = {"kafka": 20_000}
"""Events a second."""
LEAST = {"kafka": 0.9}
"""Of the rate of the bare client."""
EVENTS = {"kafka": 60_000, "sqs": 10_000}
"""In a round; elsewhere `MANY`."""
MANY, CALLERS, ROUNDS = 20_000, 8, 3
Call = Callable[[Sequence[Entry]], Awaitable[None]]


async def publish(rig: Rig) -> list[Figure]:
    """Calls of 500 events, several at once, each acknowledged."""
    count = rig.much(EVENTS.get(rig.broker, MANY), 4_000)
    async with opened(rig) as (ledger, servers), broker_of(servers, ledger) as broker:
        ours, alone = Calls(servers), Calls(servers)
        async with _bare(rig.broker, servers) as bare:
            for number in range(ROUNDS):
                progress.tell(f"round {number + 1} of {ROUNDS}")
                if bare is not None:
                    await alone.measure(bare, entries(count))
                await ours.measure(broker.publish, entries(count))
    note = f"{BATCH} a call, {CALLERS} calls at once, each acknowledged; best of {ROUNDS} times {count:,}"
    figures = [
        Figure(name="publish", value=ours.rate, unit="events/s", target=GOALS.get(rig.broker), note=note),
        *ours.cpu("publish"),
    ]
    if bare is not None:
        share = ours.rate / alone.rate
        figures += [
            Figure(name="publish: the client alone", value=alone.rate, unit="events/s", note=note),
            *alone.cpu("publish: the client alone"),
            Figure(
                name="publish, of the client alone",
                value=share,
                unit="of its rate",
                target=LEAST.get(rig.broker),
            ),
        ]
    return figures


class Calls:
    """Rounds of calls in this process: the best rate, and the CPU of all rounds."""

    def __init__(self, servers: Sequence[BackendServer]) -> None:
        self._costs = Costs(servers, time.process_time)
        self._events = 0
        self.rate = 0.0

    async def measure(self, call: Call, entries: Sequence[Entry]) -> None:
        """One more round."""
        batches = iter([entries[at : at + BATCH] for at in range(0, len(entries), BATCH)])

        async def caller() -> None:
            for batch in batches:
                await call(batch)

        with self._costs.counted():
            began = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            self.rate = max(self.rate, len(entries) / (time.perf_counter() - began))
        self._events += len(entries)

    def cpu(self, title: str) -> list[Figure]:
        """Of an event: here, and on the servers."""
        return self._costs.figures(title, self._events)


def entries(count: int) -> list[Entry]:
    """New ones, to people in turn."""
    clock, random = SystemClock(), SystemRandom()
    return [
        Entry(
            event_id=new_event_id(clock.now(), random.bytes(10)),
            tenant=TenantId(1),
            lane=Lane.NORMAL,
            workflow="news",
            sealed=random.bytes(400),
            sealed_for=UserNo(number % 5_000 + 1),
        )
        for number in range(count)
    ]


@contextlib.asynccontextmanager
async def broker_of(servers: Sequence[BackendServer], ledger: Any) -> AsyncIterator[Broker]:
    """Clarion's broker on the server for that, or else on the ledger, in this process."""
    clock, random = SystemClock(), SystemRandom()
    url = next((one.url for one in servers if one.setting == "broker"), "database:")
    open_broker: OpenBroker = backend(BROKERS, "broker", url)
    with TemporaryDirectory(prefix="clarion-bench-") as folder:
        vault = LocalVault(b"k" * 32, random)
        tools = BackendTools(data_dir=Path(folder), clock=clock, random=random, vault=vault)
        async with open_broker(url, tools, ledger) as broker:
            yield broker


@contextlib.asynccontextmanager
async def _bare(name: str, servers: Sequence[BackendServer]) -> AsyncIterator[Call | None]:
    """The client of that broker alone; None where there is no broker."""
    if not name:
        yield None
        return
    where = urlsplit(servers[-1].url).netloc.rpartition("@")[2]
    async with BARE_CLIENTS[name](where) as send:

        async def call(entries: Sequence[Entry]) -> None:
            await send([(b"%d" % entry.sealed_for, encoded(entry)) for entry in entries])

        yield call
