"""What Clarion runs on is restarted under load: nothing is lost or doubled, and it is as fast as before within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.load import Load, complete, load
from tests.acceptance.setup_data import USERS
from tests.acceptance.topology import Topology
from tests.needs import DEEP
from tests.servers.own import OwnServer, own_server

pytestmark = [
    pytest.mark.skipif(not DEEP, reason="starts servers of its own again and again: deep profile"),
    pytest.mark.timeout(900),
]

LEASE_S = 2.0
FULL = 0.8
"""Share of the rate before that counts as all of it: rates of a second differ by as much."""
WITHIN_S = 5.0
BROKERS = ("kafka", "rabbitmq", "nats", "redis")


class Installation(NamedTuple):
    """Processes with roles, and the servers they run on."""

    topology: Topology
    servers: dict[str, OwnServer]


@contextlib.asynccontextmanager
async def installation(folder: Path, broker: str) -> AsyncIterator[Installation]:
    """Two edges and two workers on PostgreSQL, Redis and a broker of their own."""
    with contextlib.ExitStack() as ends:
        servers = {
            role: ends.enter_context(own_server(kind))
            for role, kind in (("database", "postgresql"), ("redis", "redis"), ("broker", broker))
        }
        settings = (
            f'lease_s = {LEASE_S}\nredis = "{servers["redis"].url}"\nbroker = "{servers["broker"].url}"\n'
        )
        async with Topology(folder, servers["database"].url, settings) as topology:
            for number in (1, 2):
                await topology.start(f"edge-{number}", "api,gateway")
                await topology.start(f"worker-{number}", "worker,timers")
            yield Installation(topology, servers)


class Arrivals:
    """How many items have reached all devices by when."""

    def __init__(self, load_: Load) -> None:
        self._load = load_
        self._seen: list[tuple[float, int]] = []

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            items = sum(len(device.stream.items) for device in self._load.devices)
            self._seen.append((time.perf_counter(), items))
            await asyncio.sleep(0.05)

    def rate(self, since_s: float) -> float:
        """Items a second from then to now."""
        first = next((one for one in self._seen if one[0] >= since_s), self._seen[-1])
        took_s = self._seen[-1][0] - first[0]
        return (self._seen[-1][1] - first[1]) / took_s if took_s else 0.0

    async def full(self, rate: float) -> float:
        """The moment since when items have come at this rate for a second."""
        async with asyncio.timeout(120):
            while True:
                await asyncio.sleep(0.05)
                now_s = time.perf_counter()
                if self.rate(now_s - 1.0) >= rate:
                    return now_s - 1.0


@pytest.mark.parametrize(
    ("role", "broker"), [("database", "nats"), ("redis", "nats"), *(("broker", one) for one in BROKERS)]
)
async def test_full_rate_is_back_within_seconds_of_a_restart(tmp_path, role, broker):
    """From trigger to device, counted from when the server answers again. It is killed in the middle of everything, twice."""
    async with installation(tmp_path, broker) as (topology, servers):
        async with load(topology, topology.ports("api"), devices=len(USERS)) as load_:
            arrivals = Arrivals(load_)
            watching = asyncio.create_task(arrivals.watch())
            await load_.accepted(300)
            took: list[float] = []
            for _ in range(2):
                await asyncio.sleep(5)
                before = arrivals.rate(time.perf_counter() - 4)
                servers[role].kill()
                await asyncio.sleep(2)
                during = arrivals.rate(time.perf_counter() - 1)
                await asyncio.to_thread(servers[role].start)
                back_s = time.perf_counter()
                full_s = await arrivals.full(FULL * before)
                took.append(max(0.0, full_s - back_s))
                await asyncio.sleep(3)
                after = arrivals.rate(time.perf_counter() - 3)
                print(
                    f"{role} ({broker}): {before:.0f} items/s before, {during:.0f} during, {after:.0f} after; full rate "
                    f"{took[-1]:.2f} s after it answered"
                )
            watching.cancel()
            seen = await load_.finish()
        complete(seen, load_)
    assert max(took) <= WITHIN_S, took


@pytest.mark.parametrize("broker", BROKERS)
async def test_everything_is_restarted_one_after_another(tmp_path, broker):
    """Database, broker and Redis as after a crash, workers and edges as for an update: lost 0, doubled 0, no device has a hole."""
    async with installation(tmp_path, broker) as (topology, servers):
        async with load(topology, topology.ports("api")) as load_:
            for server in servers.values():
                await load_.accepted(40)
                await asyncio.to_thread(server.restart)
            for process in topology.processes:
                await load_.accepted(40)
                assert await process.stop() == 0
                await load_.accepted(20)
                await process.start()
            await load_.accepted(40)
            seen = await load_.finish()
        complete(seen, load_)
