"""Processes with roles, all of them real, under load: restarted one after another, killed and paused, they lose and double nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.wire import Api, open_socket
from tests.acceptance.device import user_token
from tests.acceptance.history import SUCCEEDED
from tests.acceptance.load import Load, complete, load
from tests.acceptance.setup_data import USERS
from tests.acceptance.topology import Serving, Topology, on
from tests.needs import DEEP
from tests.servers.nginx import nginx
from tests.servers.toxiproxy import Line, line_to

LEASE_S = 2.0
SETTINGS = f"lease_s = {LEASE_S}\nunready_s = 0.2\n"
FAULTS = 40 if DEEP else 4
SLOW_S = 0.0 if DEEP else 3.0
"""What a busy machine may take on top of what is promised."""


TROUBLES: tuple[Callable[[Line], None], ...] = (Line.cut, Line.silent)
if DEEP:
    TROUBLES = (*TROUBLES, lambda line: line.slow(200), Line.broken)


@pytest.fixture
async def installation(tmp_path: Path, database: str) -> AsyncIterator[Topology]:
    """Two for the edges and two that work."""
    async with Topology(tmp_path, database, SETTINGS) as found:
        for number in (1, 2):
            await found.start(f"edge-{number}", "api,gateway")
            await found.start(f"worker-{number}", "worker,timers")
        yield found


@on("store")
async def test_a_rolling_restart_loses_and_doubles_nothing(installation):
    """Behind the proxy as it is delivered: each process stops when it is asked to, with exit code 0, and every message has one attempt.
    Sockets and event streams go through the proxy, and come back to the other edge."""
    edges = installation.ports("gateway")
    with nginx({"api": edges, "gateway": edges}) as port:
        for path in ("/readyz", "/metrics", "/healthz"):
            assert (await Api(port).call("GET", path)).status == 404, "it is for whoever monitors them"
        token = await user_token(installation.api, USERS[0])
        async with load(installation, [port]) as load_, asyncio.timeout(120):
            stream = asyncio.create_task(followed(port, token))
            await restart_each(installation, load_)
            told = await stream
            seen = await load_.finish()
    complete(seen, load_)
    assert {message.attempts for message in seen.messages} == {1}
    assert min(device.stream.connections for device in load_.devices) > 1
    types = [event["type"] for event in told]
    assert (types[0], types[-1]) == ("connected", "close")
    assert set(types[1:-1]) == {"items"}
    assert told[-1]["after_ms"] >= 1


async def restart_each(installation: Topology, load_: Load) -> None:
    """One after another, and go on only when it works again."""
    for process in installation.processes:
        await load_.accepted(40)
        assert await process.stop() == 0
        await load_.accepted(20)
        await process.start()
    await load_.accepted(40)


async def followed(port: int, token: str) -> list[dict[str, Any]]:
    """The events of an event stream, until its server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/inbox/sse?token={token} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    told: list[dict[str, Any]] = []
    while line := await reader.readline():
        if line.startswith(b"data: "):
            told.append(json.loads(line[6:]))
            if told[-1]["type"] == "close":
                break
    writer.close()
    return told


@on("postgresql")
async def test_processes_that_die_or_stand_still_lose_and_double_nothing(installation):
    """Killed, or stopped for longer than the lease and continued: what a zombie still wants to write is refused."""
    dice = random.Random(11)
    async with load(installation, installation.ports("api")) as load_:
        for _ in range(FAULTS):
            await load_.accepted(20)
            victim: Serving = dice.choice(installation.processes)
            if dice.random() < 0.5:
                os.kill(victim.pid, signal.SIGKILL)
                await victim.ended()
                await load_.accepted(20)
                await victim.start()
            else:
                os.kill(victim.pid, signal.SIGSTOP)
                await asyncio.sleep(LEASE_S * dice.uniform(1.2, 1.6))
                os.kill(victim.pid, signal.SIGCONT)
                await victim.ready()
        seen = await load_.finish()
    complete(seen, load_)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_worker_behind_a_bad_network_loses_and_doubles_nothing(tmp_path, database, postgresql):
    """Its line to the database is cut, slow, broken, and silent for longer than its lease; another worker goes on meanwhile."""
    with line_to(postgresql.port) as line:
        async with Topology(tmp_path, database, SETTINGS) as installation:
            await installation.start("edge", "api,gateway")
            bad = database.replace(f":{postgresql.port}/", f":{line.port}/")
            victim = await installation.start("worker-1", "worker,timers", database=bad)
            await installation.start("worker-2", "worker,timers")
            async with load(installation, installation.ports("api")) as load_:
                for trouble in TROUBLES:
                    await load_.accepted(15)
                    trouble(line)
                    await asyncio.sleep(1.2 * LEASE_S)
                    await load_.accepted(15)
                    line.mend()
                    await victim.ready()
                seen = await load_.finish()
    complete(seen, load_)


@on("store")
async def test_what_a_process_leaves_others_take_over(tmp_path, database):
    """An operator sees all, names one, and it is gone; a killed worker is followed within a second of its lease. What a process has no
    role for is answered 421."""
    async with Topology(tmp_path, database, SETTINGS) as installation:
        await installation.start("edge", "api,gateway")
        for number in (1, 2):
            await installation.start(f"worker-{number}", "worker,timers")
        operator = Api(installation.ports("api")[0], installation.operator_key)
        await misdirected(installation.having("worker")[0])
        found = await operator.get("/v1/cluster")
        assert [one["roles"] for one in found["processes"]] == [
            ["api", "gateway"],
            ["worker", "timers"],
            ["worker", "timers"],
        ]
        assert [one["timers"] for one in found["processes"]] == [False, True, False]
        assert (found["warnings"], len(found["versions"])) == ({}, 1)

        drained = installation.having("worker")[0]
        await operator.post("/v1/cluster/drain", {"node": found["processes"][1]["node"]})
        assert await drained.ended() == 0
        found = await operator.get("/v1/cluster")
        assert [one["timers"] for one in found["processes"]] == [False, True]
        await drained.start()

        planning = await planner_of_normal(operator)
        (victim,) = (one for one in installation.having("worker") if str(one.pid) == planning)
        os.kill(victim.pid, signal.SIGKILL)
        killed_s = time.perf_counter()
        asked = {"recipients": [USERS[0]], "data": {"n": 1}}
        event = (await installation.api.post("/v1/workflows/acc-order/trigger", asked))["event_id"]
        await sent(installation.api, event, 2)
        took_s = time.perf_counter() - killed_s
        print(f"resumed {took_s:.2f} s after the kill, with a lease of {LEASE_S:.0f} s")
        assert took_s <= LEASE_S + 1.0 + SLOW_S
        operator.close()


async def misdirected(worker: Serving) -> None:
    """It answers whoever monitors it, and nobody else."""
    refused = await worker.api.call("GET", "/v1/workflows")
    assert (refused.status, refused.json()["code"]) == (421, "misdirected_request")
    assert "role `api`" in refused.json()["detail"]
    assert (await worker.api.call("GET", "/v1/inbox/sse?token=x")).status == 421
    with pytest.raises(ConnectionError):
        await open_socket(worker.port, "/v1/inbox/ws?token=x", lambda _: None)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await worker.api.call("GET", path)).status == 200
    assert not any(part.startswith("loop gateway") for part in (await worker.api.get("/readyz"))["parts"])


async def planner_of_normal(operator: Api) -> str:
    """The process id of whoever plans the normal lane."""
    async with asyncio.timeout(60):
        while True:
            for one in (await operator.get("/v1/cluster"))["processes"]:
                if "normal" in one["plans"]:
                    return str(one["node"]).rpartition(":")[2]
            await asyncio.sleep(0.05)


async def sent(api: Api, event: str, number: int) -> None:
    """Wait until so many messages of the event are."""
    async with asyncio.timeout(60):
        while True:
            found = (await api.get(f"/v1/messages?event_id={event}"))["items"]
            if sum(one["status"] in SUCCEEDED for one in found) == number:
                return
            await asyncio.sleep(0.02)
