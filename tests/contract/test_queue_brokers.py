"""The brokers that are queues on other servers keep the contract, each on a real server."""

from __future__ import annotations

import itertools
import os
import shutil
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from clarion.adapters import rabbitmq
from clarion.adapters.brokers import queue_broker
from clarion.adapters.brokers import rabbitmq as on_rabbitmq
from clarion.adapters.brokers import redis as on_redis
from clarion.adapters.brokers import sqs as on_sqs
from clarion.adapters.brokers.queue_broker import QueueBroker
from clarion.adapters.ledgers.memory import MemoryLedger
from clarion.adapters.rabbitmq import RabbitMqConnection
from clarion.adapters.system import SystemClock
from clarion.adapters.vaults.local import LocalVault
from clarion.model.channel import LANES, Lane
from clarion.ports.backend import BackendTools
from clarion.ports.broker import Broker
from clarion.testing import broker_contract
from clarion.testing.broker_contract import BROKER_CONTRACT, BrokerServer, BrokerSubject, Check
from clarion.testing.ports import ManualClock, SeededRandom
from tests.needs import DEEP
from tests.servers import moto as moto_server
from tests.servers import rabbitmq as rabbitmq_server
from tests.servers import redis as redis_server
from tests.servers.elasticmq import REGION
from tests.servers.process import free_port, home_for

CLOCK = ManualClock()
LARGE = {
    broker_contract.a_full_lane_holds_up_no_other,
    broker_contract.a_long_backlog_is_delivered_to_its_end,
    broker_contract.what_is_refused_is_not_published,
}
"""Checks with thousands of entries, which take these servers long."""
SOME = [check for check in BROKER_CONTRACT if DEEP or check not in LARGE]
UNACKNOWLEDGED = {
    broker_contract.a_persons_entries_arrive_in_the_order_of_publication,
    broker_contract.a_batch_has_at_least_one_entry_and_at_most_the_limit,
    broker_contract.publishers_at_once_lose_and_double_nothing,
    broker_contract.what_was_published_survives_a_crash,
    broker_contract.what_was_not_acknowledged_comes_again_after_a_crash,
    broker_contract.what_is_published_while_a_consumer_begins_is_not_missed,
    broker_contract.the_next_batch_may_be_taken_before_the_last_is_acknowledged,
    broker_contract.an_entry_that_is_never_acknowledged_holds_up_no_other,
    broker_contract.tenants_take_turns,
}
"""Checks that take more than ten entries of one person before they acknowledge any: no FIFO queue gives them out."""
HOLD_S = 3
"""After that, what a crashed process had comes to others. A busy machine must not keep a live one from its turn as long."""
_numbers = itertools.count()


def new_prefix() -> str:
    """What nobody else's queues begin with."""
    return f"t{os.getpid()}-{next(_numbers)}"


class OnServer(BrokerServer):
    """A broker on a server that runs."""

    def __init__(self, module: Any, url: str, ends: AsyncExitStack) -> None:
        self._open: Callable[..., AbstractAsyncContextManager[Broker]] = module.opened
        self._url = url
        self._ends = ends
        random = SeededRandom()
        vault = LocalVault(random.bytes(32), random)
        self._tools = BackendTools(data_dir=Path(), clock=CLOCK, random=random, vault=vault)
        self.ledger = MemoryLedger(vault=vault, clock=CLOCK, random=random)
        self.queues: Any = None
        """Of the broker that connected last."""

    async def connect(self) -> Broker:
        broker = await self._ends.enter_async_context(self._open(self._url, self._tools, self.ledger))
        assert isinstance(broker, QueueBroker)
        self.queues = broker._queues
        return broker

    async def crash(self, broker: Broker) -> None:
        assert isinstance(broker, QueueBroker)
        await queue_broker._end(broker._receiving)
        await queue_broker._end(broker._keeping)
        queues: Any = broker._queues
        await queues.close()

    async def put(self, lane: Lane, raw: bytes) -> bool:
        (entry,) = BrokerSubject(self, CLOCK, SeededRandom()).entries(1)
        await self.queues.send(lane, [(entry, raw)])
        return True


class OnRedis(OnServer):
    """Streams of a new prefix."""

    def __init__(self, server: redis_server.Redis, ends: AsyncExitStack) -> None:
        super().__init__(on_redis, f"{server.url}?hold_s={HOLD_S}&prefix={new_prefix()}", ends)

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        found = await self.queues._client.xrange(self.queues.dead(lane))
        return [(fields[b"entry"], fields[b"reason"].decode()) for _, fields in found]


class OnOwnRedis(OnRedis):
    """On a server that this test alone uses, and may restart."""

    def __init__(self, home: Path, ends: AsyncExitStack) -> None:
        self._home = home
        server = redis_server.Redis(free_port())
        self._port = server.port
        self._process = redis_server.serve(home, server.port)
        super().__init__(server, ends)

    async def restart(self) -> bool:
        self.kill()
        self._process = redis_server.serve(self._home, self._port)
        return True

    def kill(self) -> None:
        """At once."""
        self._process.kill()
        self._process.wait()


class OnRabbitMq(OnServer):
    """LaneQueues of a new prefix, which are deleted at the end: each costs the server a little."""

    def __init__(self, url: str, ends: AsyncExitStack) -> None:
        super().__init__(on_rabbitmq, f"{url}?prefix={new_prefix()}", ends)
        ends.push_async_callback(self._delete)

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        channel = await self.queues._consuming.channel()
        found = await channel.basic_get(self.queues._dead)
        return [(found.body, found.header.properties.headers["clarion-reason"])]

    async def _delete(self) -> None:
        line = RabbitMqConnection(rabbitmq.parse(self._url, "broker"), "broker")
        channel = await line.channel()
        for queue in (*(one for lane in LANES for one in self.queues._queues(lane)), self.queues._dead):
            await channel.queue_delete(queue)
        await line.close()


class OnOwnRabbitMq(OnRabbitMq):
    """On a node that this test alone uses, and may restart."""

    def __init__(self, node: rabbitmq_server.Node, ends: AsyncExitStack) -> None:
        self._node = node
        super().__init__(rabbitmq_server.url_of(node.port), ends)

    async def restart(self) -> bool:
        self._node.kill()
        self._node.begin()
        self._node.wait()
        return True


class OnSqs(OnServer):
    """LaneQueues of a new prefix, standard or FIFO."""

    def __init__(self, url: str, ends: AsyncExitStack, *, fifo: bool) -> None:
        where = f"{url.removeprefix('http://')}/{new_prefix()}{'.fifo' if fifo else ''}"
        super().__init__(on_sqs, f"sqs://key:secret@{where}?tls=false&region={REGION}&hold_s={HOLD_S}", ends)
        self._tools = replace(self._tools, clock=SystemClock())  # Signatures and calls need a real one.
        self.ordered = fifo

    async def dead_letters(self, lane: Lane) -> Sequence[tuple[bytes, str]]:
        found = await self.queues._ask(
            "ReceiveMessage", self.queues.dead, {"MessageAttributeNames": ["All"]}, dict
        )
        return [
            (b64decode(one["Body"]), one["MessageAttributes"]["reason"]["StringValue"])
            for one in found["Messages"]
        ]


async def keeps(check: Check, server: Callable[[AsyncExitStack], BrokerServer]) -> None:
    """Make a check, on new and empty lanes."""
    async with AsyncExitStack() as ends, BrokerSubject(server(ends), CLOCK, SeededRandom()) as subject:
        await check(subject)


def checks(*some: Check) -> pytest.MarkDecorator:
    """A test for each."""
    return pytest.mark.parametrize("check", some, ids=[check.__name__ for check in some])


@checks(*BROKER_CONTRACT)
async def test_redis_keeps_the_contract(check, redis):
    """In streams, read by a group."""
    await keeps(check, lambda ends: OnRedis(redis, ends))


@checks(*SOME)
async def test_rabbitmq_keeps_the_contract(check, rabbitmq):
    """In quorum queues."""
    await keeps(check, lambda ends: OnRabbitMq(rabbitmq.url, ends))


@checks(*SOME)
async def test_sqs_keeps_the_contract(check, elasticmq):
    """In standard queues, which promise no order."""
    await keeps(check, lambda ends: OnSqs(elasticmq.account, ends, fifo=False))


@checks(*(check for check in SOME if check not in UNACKNOWLEDGED))
async def test_sqs_keeps_the_contract_in_fifo_queues(check, elasticmq):
    """As far as these give out what comes behind ten entries of a person that are not acknowledged."""
    await keeps(check, lambda ends: OnSqs(elasticmq.account, ends, fifo=True))


@checks(broker_contract.entries_arrive_unchanged, broker_contract.what_cannot_be_read_is_a_dead_letter)
async def test_another_server_that_speaks_as_sqs_does_is_understood(check, moto):
    """Two wrote down what SQS does, and we understand both."""
    await keeps(check, lambda ends: OnSqs(f"{moto}/{moto_server.ACCOUNT}", ends, fifo=False))


async def test_a_redis_that_was_killed_has_everything_afterwards():
    """It noted each event on disk before it confirmed."""
    home = home_for("redis")
    async with AsyncExitStack() as ends:
        server = OnOwnRedis(home, ends)
        ends.callback(shutil.rmtree, home)
        ends.callback(server.kill)
        await keeps(broker_contract.a_restarted_server_has_everything, lambda _: server)


@pytest.mark.skipif(not DEEP, reason="two more starts of RabbitMQ: only in the deep profile")
async def test_a_rabbitmq_that_was_killed_has_everything_afterwards():
    """It confirms what is on disk."""
    with rabbitmq_server.one_node() as node:
        await keeps(broker_contract.a_restarted_server_has_everything, lambda ends: OnOwnRabbitMq(node, ends))
