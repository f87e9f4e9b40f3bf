"""The broker on Kafka keeps the contract on a real server."""

import asyncio
import shutil
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from msgspec.structs import replace

from clarion.adapters.brokers.kafka.backend import opened
from clarion.adapters.brokers.kafka.broker import KafkaBroker
from clarion.adapters.kafka import quiet
from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import ConfigError, InvalidInput, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import Instant
from clarion.model.plan import PlanCommit
from clarion.model.worker import Process
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Batch, Broker
from clarion.testing import broker_contract
from clarion.testing.broker_contract import BROKER_CONTRACT, BrokerServer, BrokerSubject
from tests.needs import DEEP
from tests.servers.java import libraries
from tests.servers.kafka import WHY, Kafka, nodes, ready
from tests.servers.process import free_port, home_for, stop

CLOCK, RANDOM = SystemClock(), SystemRandom()


def new_prefix() -> str:
    """What nobody else's topics begin with."""
    return f"check-{uuid4().hex[:8]}"


class KafkaLanes(BrokerServer):
    """Topics of their own, and a ledger in memory that knows where their partitions stand."""

    def __init__(self, server: Kafka, directory: Path, ends: AsyncExitStack, *options: str) -> None:
        self._server = server
        self._options = options
        self.prefix = new_prefix()
        self._ends = ends
        vault = LocalVault(b"k" * 32, RANDOM)
        self.ledger = MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)
        self._tools = BackendTools(data_dir=directory, clock=CLOCK, random=RANDOM, vault=vault)

    async def connect(self) -> Broker:
        url = self._server.broker(self.prefix, *self._options)
        return await self._ends.enter_async_context(opened(url, self._tools, self.ledger))

    async def crash(self, broker: Broker) -> None:
        assert isinstance(broker, KafkaBroker)
        await broker.leave()

    async def plan(self, broker: Broker, batch: Batch) -> None:
        worker = await self.ledger.leases.open(Process(), CLOCK.now(), Instant(CLOCK.now() + 60_000))
        plan = PlanCommit(worker=worker, runs=(), messages=(), positions=broker.positions(batch))
        assert not (await self.ledger.plans.commit(plan)).repeated

    async def put(self, lane: Lane, raw: bytes) -> bool:
        producer = Producer({"bootstrap.servers": self._server.servers})
        producer.produce(f"{self.prefix}.{lane}", raw)
        return producer.flush(10) == 0

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        topic = f"{self.prefix}.dead-letters"
        consumer = Consumer({"bootstrap.servers": self._server.servers, "group.id": "check"})
        found: list[tuple[bytes, str]] = []
        for number in range(2):
            place = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            while end and len(found) < end and (message := consumer.poll(10)) is not None:
                headers: Any = dict(message.headers() or [])
                found.append((message.value() or b"", headers["reason"].decode()))
        consumer.close()
        return found


class OwnKafka(KafkaLanes):
    """On a node that this test alone uses, and may restart."""

    def __init__(self, home: Path, directory: Path, ends: AsyncExitStack) -> None:
        (self._node,) = nodes(home, 1)
        self.process = self._node.begin()
        ready([self._node], [self.process])
        super().__init__(Kafka(f"127.0.0.1:{self._node.port}"), directory, ends)

    async def restart(self) -> bool:
        await asyncio.to_thread(self._again)
        return True

    def kill(self) -> None:
        """At once."""
        stop(self.process.pid, signal.SIGKILL)
        self.process.poll()

    def _again(self) -> None:
        self.kill()
        self.process = self._node.begin()
        ready([self._node], [self.process])


@pytest.mark.parametrize("check", BROKER_CONTRACT, ids=lambda check: check.__name__)
async def test_kafka_keeps_the_contract(check, kafka, tmp_path):
    """On new topics for every check."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(KafkaLanes(kafka, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        await check(subject)


async def test_a_kafka_that_was_killed_has_everything(tmp_path):
    """Whatever was published before, and whoever waits goes on when it is back."""
    libraries("kafka", WHY)
    home = home_for("kafka")
    async with AsyncExitStack() as ends:
        server = await asyncio.to_thread(OwnKafka, home, tmp_path, ends)
        try:
            async with BrokerSubject(server, CLOCK, RANDOM) as subject:
                await broker_contract.a_restarted_server_has_everything(subject)
        finally:
            await ends.aclose()
            server.kill()
            shutil.rmtree(home)


@pytest.mark.skipif(not DEEP, reason="three servers in Java take long to start: in the deep profile")
@pytest.mark.timeout(600)
async def test_the_leader_of_three_nodes_is_killed_and_nothing_is_lost(tmp_path):
    """Publishers go on with the next leader, and what was accepted before and meanwhile comes."""
    libraries("kafka", WHY)
    home = home_for("kafka")
    cluster = nodes(home, 3)
    started = [node.begin() for node in cluster]
    try:
        await asyncio.to_thread(ready, cluster, started)
        where = Kafka(",".join(f"127.0.0.1:{node.port}" for node in cluster))
        async with AsyncExitStack() as ends:
            lanes = KafkaLanes(where, tmp_path, ends, "partitions=2&session_s=2")
            async with BrokerSubject(lanes, CLOCK, RANDOM) as subject:
                calls = [subject.entries(5, named=f"{number}-", user=None) for number in range(100)]
                async with subject.consumer() as consumer:
                    for number, call in enumerate(calls):
                        if number == 20:
                            admin = AdminClient({"bootstrap.servers": where.servers}, logger=quiet)
                            topic = f"{lanes.prefix}.normal"
                            leader = admin.list_topics(topic, timeout=30).topics[topic].partitions[0].leader
                            stop(started[leader - 1].pid, signal.SIGKILL)
                        await published(subject, call)
                    accepted = {entry.sealed for call in calls for entry in call}
                    found: set[bytes] = set()
                    while found != accepted:
                        found.update(entry.sealed for entry in await consumer.finish(1))
    finally:
        for process in started:
            stop(process.pid, signal.SIGKILL)
            process.poll()
        shutil.rmtree(home)


async def published(subject: BrokerSubject, call: Sequence[Entry]) -> None:
    """However often it has to be tried."""
    while True:
        try:
            await subject.publish(call)
            return
        except Unavailable:
            await subject.pause()


# ── what is wrong with topics is said at the start ────────────────────────────────────────────────────────


async def start(url: str, directory: Path) -> None:
    """Open and close it."""
    vault = LocalVault(b"k" * 32, RANDOM)
    tools = BackendTools(data_dir=directory, clock=CLOCK, random=RANDOM, vault=vault)
    async with opened(url, tools, MemoryLedger(vault=vault, clock=CLOCK, random=RANDOM)):
        pass


async def test_too_few_servers_are_said_at_the_start(kafka, tmp_path):
    """Unless whoever runs it says that one copy is enough."""
    with pytest.raises(ConfigError, match=r"has 1 servers.*replication=1"):
        await start(kafka.broker(new_prefix(), ""), tmp_path)


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (NewTopic("", 1, 1, config={"cleanup.policy": "compact"}), "compacted"),
        (NewTopic("", 1, 1, config={"cleanup.policy": "compact,delete"}), "compacted"),
        (NewTopic("", 1, 1, config={}), "is on 1 servers, not on 2"),
    ],
)
async def test_a_topic_that_is_not_safe_is_refused(kafka, topic, said, tmp_path):
    """With what to change about it."""
    prefix = new_prefix()
    admin = AdminClient({"bootstrap.servers": kafka.servers})
    names = {f"{prefix}.{name}" for name in ("critical", "high", "normal", "bulk", "dead-letters")}
    for name in names:
        one = NewTopic(name, topic.num_partitions, topic.replication_factor, config=topic.config)
        admin.create_topics([one])[name].result(30)
    while names - admin.list_topics(timeout=30).topics.keys():  # noqa: ASYNC110 - Kafka has no event to wait for
        await asyncio.sleep(0.05)
    with pytest.raises(ConfigError, match=said):
        await start(kafka.broker(prefix, f"replication={2 if 'not on 2' in said else 1}"), tmp_path)


async def test_a_server_that_does_not_answer_is_said_at_the_start(tmp_path, monkeypatch):
    """Without waiting for long."""
    monkeypatch.setattr("clarion.adapters.brokers.kafka.topics.ANSWER_S", 1.0)
    with pytest.raises(ConfigError, match="cannot be used"):
        await start(f"kafka://127.0.0.1:{free_port()}", tmp_path)


async def test_an_event_that_is_too_large_is_refused(kafka, tmp_path):
    """Before anything of the call is published, and with the number of bytes."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(KafkaLanes(kafka, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        small, large = subject.entries(2)
        with pytest.raises(InvalidInput, match="takes 1,048,076"):
            await subject.publish([small, replace(large, sealed=bytes(1_048_060))])
        await subject.waits(0)
        await subject.publish([small, replace(large, sealed=bytes(1_047_900))])


async def test_partitions_with_nothing_new_hold_up_no_other(kafka, tmp_path):
    """After a restart most of them have only what is planned already."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(KafkaLanes(kafka, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        await subject.publish(subject.entries(20, user=None))
        async with subject.consumer() as consumer:
            await consumer.finish(20)
        await subject.reconnect()
        async with subject.consumer() as consumer:
            last = subject.entries(1, named="last")
            await subject.publish(last)
            assert subject.arrived(await consumer.finish(1), last)


async def test_whoever_has_no_partition_yet_is_given_one_later(kafka, tmp_path):
    """Of three processes that share two partitions one has nothing to read, until the others leave."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(server := KafkaLanes(kafka, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        brokers = [await server.connect() for _ in range(3)]
        reading: set[int] = set()

        async def read(number: int) -> None:
            async for batch in brokers[number].consume(Lane.NORMAL, 100):
                reading.add(number)
                await subject.acknowledge(batch, brokers[number])

        async def publish_until(wanted: Callable[[], bool]) -> None:
            async with asyncio.timeout(60):
                while not wanted():
                    await subject.publish(subject.entries(10, user=None))
                    await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(read(number))
            await publish_until(lambda: len(reading) == 2)
            (waiting,) = {0, 1, 2} - reading
            for number in list(reading):
                await server.crash(brokers[number])
            await publish_until(lambda: waiting in reading)
            await server.crash(brokers[waiting])


async def test_whoever_lost_a_partition_stores_nothing(kafka, tmp_path):
    """A process that was stopped and goes on later finds that another one has its partitions."""
    async with (
        AsyncExitStack() as ends,
        BrokerSubject(server := KafkaLanes(kafka, tmp_path, ends), CLOCK, RANDOM) as subject,
    ):
        await subject.publish(subject.entries(3))
        async with subject.consumer() as consumer:
            batch = await consumer.batch()
            names = [position.partition for position in subject.broker.positions(batch)]
            await server.ledger.partitions.take(names)
            worker = await server.ledger.leases.open(Process(), CLOCK.now(), Instant(CLOCK.now() + 60_000))
            plan = PlanCommit(worker=worker, runs=(), messages=(), positions=subject.broker.positions(batch))
            assert (await server.ledger.plans.commit(plan)).repeated
        await subject.reconnect()
        async with subject.consumer() as consumer:
            assert subject.arrived(await consumer.finish(3), batch.entries)
