"""The whole engine on brokers that are queues on other servers: whatever dies, nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clarion.adapters.ledgers.remote import serve
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import Busy, Unavailable
from clarion.model.channel import LANES, Channel
from clarion.model.status import ACTIVE, Reason, Status
from tests.acceptance import backends, shared_store
from tests.acceptance.shared_store import EFFECTS, SOCKET, broker_at, engine_of
from tests.engine import Engine, workflow
from tests.needs import DEEP
from tests.servers import rabbitmq as rabbitmq_server
from tests.servers import redis as redis_server
from tests.servers.elasticmq import ACCOUNT, REGION
from tests.servers.process import free_port, home_for

PEOPLE = [f"person-{number}" for number in range(10)]
EVENTS = 15
"""In each step, each of them for everybody."""


_numbers = itertools.count()


@pytest.fixture
def prefix() -> str:
    """What nobody else's queues begin with."""
    return f"e{os.getpid()}-{next(_numbers)}"


class OwnRedis:
    """A server that a test may kill."""

    def __init__(self) -> None:
        self.home = home_for("redis")
        self.port = free_port()
        self.process = redis_server.serve(self.home, self.port)

    def kill(self) -> None:
        """At once."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """It has what it noted on disk."""
        self.kill()
        self.process = redis_server.serve(self.home, self.port)


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    """Gone after the test."""
    server = OwnRedis()
    yield server
    server.kill()
    shutil.rmtree(server.home)


OpenLedger = Callable[..., Awaitable[Any]]


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(not DEEP, reason="deep profile"))]
)
def open_ledger(request: Any, tmp_path: Path) -> OpenLedger:
    """Opens a new ledger; on PostgreSQL in the deep profile as well."""

    async def opened(**tools: Any) -> Any:
        return await backends.open_ledger(request, request.param, tmp_path, **tools)

    return opened


@contextlib.asynccontextmanager
async def engines(directory: Path, url: str, open_ledger: OpenLedger) -> AsyncIterator[tuple[Engine, Any]]:
    """An engine that accepts events and works on nothing, and the ledger that it shares with other processes."""
    clock, random = SystemClock(), SystemRandom()
    ledger = await open_ledger(vault=LocalVault(b"k" * 32, random), clock=clock, random=random)
    async with serve(ledger, directory / SOCKET):
        edge = engine_of(directory, "edge")
        async with broker_at(url, edge, ledger) as broker:
            await edge.work_on(ledger, broker)
            await edge.pipeline.loops.stop()
            await edge.pipeline.lease.end()
            await edge.create_setup(workflow("hello", channel=Channel.SMS))
            for name in PEOPLE:
                await edge.put_user(name)
            yield edge, ledger
    await ledger.close()


async def begin(directory: Path, name: str, url: str) -> Process:
    """A worker in a process of its own."""
    words = (sys.executable, "-m", shared_store.__name__, "work", name, str(directory), url)
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=DEVNULL)
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"ready\n"
    return process


async def trigger(edge: Engine, step: str) -> None:
    """Events for everybody, each repeated under its key until it is accepted."""
    for number in range(EVENTS):
        async with asyncio.timeout(60):
            while True:
                try:
                    await edge.trigger("hello", *PEOPLE, idempotency_key=f"{step}-{number}")
                    break
                except (Unavailable, Busy):
                    await asyncio.sleep(0.05)


async def finished(edge: Engine, number: int) -> None:
    """Wait until so many messages are done with, and nothing waits in the broker."""
    async with asyncio.timeout(120):
        while True:
            found = await edge.messages()
            waiting = [(await edge.broker.backlog(lane)).entries for lane in LANES]
            if (
                len(found) >= number
                and all(m.status not in ACTIVE for m in found.values())
                and not any(waiting)
            ):
                return
            await asyncio.sleep(0.1)


async def works_through_a_kill(
    directory: Path, url: str, open_ledger: OpenLedger, trouble: Callable[[], object] | None = None
) -> None:
    """A worker is killed while it works and another one goes on; `trouble` happens to the server meanwhile."""
    async with engines(directory, url, open_ledger) as (edge, ledger):
        doomed = await begin(directory, "doomed", url)
        try:
            await trigger(edge, "first")
            async with asyncio.timeout(60):
                while not (directory / EFFECTS).read_text():  # noqa: ASYNC110 - a file has no event to wait for
                    await asyncio.sleep(0.01)
        finally:
            os.kill(doomed.pid, signal.SIGKILL)
            await doomed.wait()
        await trigger(edge, "second")
        heir = engine_of(directory, "heir")
        async with broker_at(url, heir, ledger) as broker:
            await heir.work_on(ledger, broker)
            if trouble is not None:
                under_way = asyncio.create_task(trigger(edge, "third"))
                await asyncio.to_thread(trouble)
                await under_way
            accepted = (2 if trouble is None else 3) * EVENTS * len(PEOPLE)
            await finished(edge, accepted)
            await heir.pipeline.drain(5.0)
        found = await edge.messages()
    assert len(found) == accepted, "one message for each event and person"
    lines = [line.split() for line in (directory / EFFECTS).read_text().splitlines()]
    effects = Counter(bytes.fromhex(message) for _, message in lines)
    sent = {message.id for message in found.values() if message.status is Status.SENT}
    doubtful = [message for message in found.values() if message.id not in sent]
    assert {(m.status, m.reason) for m in doubtful} <= {(Status.FAILED, Reason.OUTCOME_UNKNOWN)}
    assert set(effects.values()) == {1}
    assert sent <= effects.keys() <= found.keys()
    assert len(sent) > accepted / 2
    assert {name for name, _ in lines} == {"doomed", "heir"}


async def test_on_redis_nothing_is_lost_when_workers_and_the_server_are_killed(
    own_redis, prefix, open_ledger, tmp_path
):
    """Lost 0, doubled 0: a worker dies, and the server dies and comes back, both under load."""
    url = f"redis://127.0.0.1:{own_redis.port}/0?hold_s=3&prefix={prefix}"
    await works_through_a_kill(tmp_path, url, open_ledger, own_redis.restart)


async def test_on_rabbitmq_nothing_is_lost_when_a_worker_is_killed(rabbitmq, prefix, open_ledger, tmp_path):
    """Lost 0, doubled 0."""
    await works_through_a_kill(tmp_path, f"{rabbitmq.url}?prefix={prefix}", open_ledger)


@pytest.mark.parametrize("kind", ["", ".fifo"], ids=["standard", "fifo"])
async def test_on_sqs_nothing_is_lost_when_a_worker_is_killed(elasticmq, prefix, kind, open_ledger, tmp_path):
    """Lost 0, doubled 0, in queues of both kinds."""
    where = f"127.0.0.1:{elasticmq.port}/{ACCOUNT}/{prefix}{kind}?tls=false&region={REGION}&hold_s=3"
    await works_through_a_kill(tmp_path, f"sqs://key:secret@{where}", open_ledger)


@pytest.mark.skipif(not DEEP, reason="three nodes of RabbitMQ: only in the deep profile")
async def test_on_rabbitmq_nothing_is_lost_when_nodes_of_its_cluster_are_killed(
    prefix, open_ledger, tmp_path
):
    """A majority goes on at once: the leader of every queue dies and comes back, then another node dies, under load."""
    with rabbitmq_server.cluster(3) as nodes:
        first, second, _ = nodes

        def trouble() -> None:
            first.kill()  # It leads every queue, since all were made through it.
            first.begin()
            first.wait()
            first.control("await_online_nodes", "3")
            second.kill()

        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        await works_through_a_kill(
            tmp_path, f"amqp://guest:guest@{hosts}/?prefix={prefix}", open_ledger, trouble
        )
