"""Accepted events that go to Kafka: Clarion's broker beside the bare client, and a whole server with it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.accept import BATCH, USERS
from bench.children import Missing, program, running
from bench.events import Events
from bench.load import Pool, Tally, closed_loop
from bench.report import Figure
from bench.rig import Rig
from bench.server import ROOT, free_port
from bench.tenant import IN_APP
from clarion.adapters.brokers.entry_encoding import encoded
from clarion.adapters.brokers.kafka.backend import opened
from clarion.adapters.kafka import quiet
from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import TenantId, UserNo, new_event_id
from clarion.ports.backend import BackendTools

GOAL = 20_000
"""Events a second."""
LEAST = 0.9
"""Of the rate of the bare client."""
EVENTS, CALLERS, ROUNDS = 60_000, 8, 3
JARS = ROOT / ".cache" / "java" / "kafka"
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={home}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.cleaner.dedupe.buffer.size=4194304
"""
Send = Callable[[Sequence[Entry]], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(home: Path) -> AsyncIterator[str]:
    """A fresh Kafka of one node, on the cores of the bench; where it is. Raises Missing."""
    if not JARS.is_dir():
        raise Missing("Kafka is not here: `make test ARGS=tests/contract/test_kafka.py` fetches it")
    port, where = free_port(), home / "server.properties"
    where.write_text(SETTINGS.format(port=port, controller=free_port(), home=home))
    java = [program("java", "default-jdk-headless"), "-Xmx512m", "-cp", f"{JARS}/*"]
    cluster = "Y2xhcmlvbi1iZW5jaC0xMQ"
    made = await asyncio.create_subprocess_exec(
        *java,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(where),
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await made.wait():
        raise Missing("Kafka cannot be set up")
    async with running([*java, "kafka.Kafka", str(where)], port=port):
        yield f"127.0.0.1:{port}"


async def intake(rig: Rig) -> list[Figure]:
    """Calls of 500 events, several at once, each acknowledged: by the client alone and by the broker, in turns."""
    with TemporaryDirectory(prefix="clarion-bench-") as folder:
        async with server(Path(folder)) as where:
            alone, ours = await _in_turns(rig, where, Path(folder))
            accepted = await _accepted(rig, where)
    count = rig.much(EVENTS, 4_000)
    note = f"{BATCH} a call, {CALLERS} calls at once, each acknowledged by the only replica; best of {ROUNDS} times {count:,}"
    return [
        Figure(name="Kafka: the client alone", value=alone, unit="events/s", note=note),
        Figure(name="Kafka: publish", value=ours, unit="events/s", target=GOAL, note=note),
        Figure(
            name="Kafka: publish, of the client alone", value=ours / alone, unit="of its rate", target=LEAST
        ),
        Figure(
            name="Kafka: accept, batched",
            value=accepted,
            unit="events/s",
            target=GOAL,
            note=f"{BATCH} a request, 4 callers, over HTTP, while earlier ones are delivered",
        ),
    ]


async def _in_turns(rig: Rig, where: str, folder: Path) -> tuple[float, float]:
    clock, random = SystemClock(), SystemRandom()
    vault = LocalVault(b"k" * 32, random)
    tools = BackendTools(data_dir=folder, clock=clock, random=random, vault=vault)
    ledger = MemoryLedger(vault=vault, clock=clock, random=random)

    def batches() -> list[list[Entry]]:
        entries = [
            Entry(
                event_id=new_event_id(clock.now(), random.bytes(10)),
                tenant=TenantId(1),
                lane=Lane.NORMAL,
                workflow="news",
                sealed=random.bytes(400),
                sealed_for=UserNo(number % 5_000 + 1),
            )
            for number in range(rig.much(EVENTS, 4_000))
        ]
        return [entries[at : at + BATCH] for at in range(0, len(entries), BATCH)]

    rates: dict[str, float] = {}
    async with opened(f"kafka://{where}/bench?replication=1", tools, ledger) as broker:
        with bare(where, "bench.normal") as client:
            for _ in range(ROUNDS):
                for name, send in (("alone", client), ("ours", broker.publish)):
                    rates[name] = max(rates.get(name, 0.0), await _rate(send, batches()))
    return rates["alone"], rates["ours"]


@contextlib.contextmanager
def bare(where: str, topic: str) -> Any:
    """The client as its manual shows it, with the settings that lose nothing: a call returns when all of it is acknowledged."""
    import threading

    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": where, "enable.idempotence": True, "acks": "all", "linger.ms": 1}, logger=quiet
    )
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            producer.poll(0.1)

    thread = threading.Thread(target=serve)
    thread.start()

    async def send(entries: Sequence[Entry]) -> None:
        loop, left = asyncio.get_running_loop(), itertools.count(len(entries) - 1, -1)
        done: asyncio.Future[None] = loop.create_future()

        def delivered(error: Any, _: Any) -> None:
            assert error is None, error
            if not next(left):
                loop.call_soon_threadsafe(done.set_result, None)

        for entry in entries:
            producer.produce(topic, encoded(entry), b"%d" % entry.sealed_for, on_delivery=delivered)
        await done

    try:
        yield send
    finally:
        stopped.set()
        thread.join()


async def _rate(send: Send, batches: list[list[Entry]]) -> float:
    waiting, count = iter(batches), sum(map(len, batches))

    async def call() -> None:
        for batch in waiting:
            await send(batch)

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return count / (time.perf_counter() - began)


async def _accepted(rig: Rig, where: str) -> float:
    users, size = rig.much(USERS, 200), rig.much(BATCH, 50)
    async with rig.server(users, env={"CLARION_BROKER": f"kafka://{where}/served?replication=1"}) as served:
        pool = await Pool.to(served.port, 4)
        events = Events(served.dev["api_key"], range(users), "kafka")
        tally = Tally()
        took = await closed_loop(pool, rig.long(6), lambda _: events.batch(IN_APP, size)[1], tally, size)
        pool.close()
    return tally.accepted / took
