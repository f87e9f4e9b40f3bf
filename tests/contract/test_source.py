"""Every kind of source keeps the contract, on a real server."""

from __future__ import annotations

import contextlib
import itertools
import tomllib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from clarion.adapters.sqs import SqsClient
from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.plugins import SOURCES, sources
from clarion.ports.provider import ProviderTools
from clarion.ports.source import RecordReader
from clarion.testing.memory_topic import MemoryTopic
from clarion.testing.ports import provider_tools
from clarion.testing.source_contract import SOURCE_CONTRACT, Publication, SourceSubject
from tests.architecture.source_tree import ROOT

REGISTERED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
INSTALLED = sources()


def tools() -> ProviderTools:
    """For servers of this machine, in real time."""
    random = SystemRandom()
    return provider_tools(SystemClock(), random, LocalVault(b"k" * 32, random))


@contextlib.asynccontextmanager
async def in_memory(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """The referee."""
    topic, lent = MemoryTopic(), tools()
    plugin = topic.plugin()

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            topic.publish(one.value, key=one.key, headers=one.headers, at=lent.clock.now())

    yield SourceSubject(lambda: plugin.open(None, lent), publish)


@contextlib.asynccontextmanager
async def in_kafka(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A topic of three partitions."""
    from tests.servers.kafka_topic import new_topic, produce

    servers = request.getfixturevalue("kafka").servers
    topic = new_topic(servers)

    async def publish(publications: Sequence[Publication]) -> None:
        produce(servers, topic, publications)

    yield SourceSubject(opening("kafka", servers=servers, topic=topic), publish)


@contextlib.asynccontextmanager
async def in_outbox(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A table of a PostgreSQL."""
    from tests.outboxes import new_outbox

    outbox = new_outbox(request.getfixturevalue("postgresql"))
    yield SourceSubject(
        opening("postgresql", **outbox.connection), outbox.publish, positions=False, binary=False
    )


@contextlib.asynccontextmanager
async def in_mysql(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A table of a MariaDB."""
    from tests.outboxes import new_mysql_outbox

    outbox = new_mysql_outbox(request.getfixturevalue("mariadb"))
    yield SourceSubject(opening("mysql", **outbox.connection), outbox.publish, positions=False, binary=False)


@contextlib.asynccontextmanager
async def in_redis(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A stream whose entries have the field `data`."""
    from redis.asyncio import Redis

    url, stream = request.getfixturevalue("redis").url, new_name()
    client = Redis.from_url(url)

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            fields: dict[Any, Any] = {"data": one.value, **one.headers}
            await client.xadd(stream, fields)

    yield SourceSubject(opening("redis", url=url, stream=stream), publish, keyed=False)
    await client.aclose()


@contextlib.asynccontextmanager
async def in_nats(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A stream of all subjects below one name."""
    import nats

    url, name = request.getfixturevalue("nats").url, new_name()
    connection = await nats.connect(url)
    streams = connection.jetstream()
    await streams.add_stream(name=name, subjects=[f"{name}.>"])

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            await streams.publish(f"{name}.order", one.value, headers={**one.headers} or None)

    yield SourceSubject(opening("nats", servers=url, subject=f"{name}.>"), publish, keyed=False)
    await connection.close()


@contextlib.asynccontextmanager
async def in_rabbitmq(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A quorum queue behind an exchange."""
    import aiormq
    from aiormq import spec

    server, name = request.getfixturevalue("rabbitmq"), new_name()
    connection = await aiormq.connect(server.url)
    channel = await connection.channel()
    await channel.exchange_declare(name, exchange_type="fanout")
    await channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    await channel.queue_bind(name, name)
    numbers = itertools.count()

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            properties = spec.Basic.Properties(
                headers={**one.headers}, message_id=f"m-{next(numbers)}", delivery_mode=2
            )
            await channel.basic_publish(one.value, exchange=name, routing_key=one.key, properties=properties)

    place = {"servers": f"127.0.0.1:{server.port}", "queue": name}
    yield SourceSubject(opening("rabbitmq", **place), publish, positions=False, counted=False, competing=True)
    await connection.close()


@contextlib.asynccontextmanager
async def in_sqs(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A standard queue that shows again at once what was not deleted."""
    server, name = request.getfixturevalue("elasticmq"), new_name()
    lent, identity = tools(), {"region": "eu-central-1", "access_key_id": "x", "secret_access_key": "y"}
    config = INSTALLED["sqs"].config(queue_url=f"{server.account}/{name}", **identity)
    client = SqsClient(server.endpoint, config.signer("sqs", lent), lent)  # type: ignore[attr-defined]
    await client.call("CreateQueue", {"QueueName": name}, dict)

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            attributes = {
                key: {"DataType": "String", "StringValue": value} for key, value in one.headers.items()
            }
            body = one.value.decode(errors="replace").replace("\x00", "")
            asked = {
                "QueueUrl": f"{server.account}/{name}",
                "MessageBody": body,
                "MessageAttributes": attributes,
            }
            await client.call("SendMessage", asked, dict)

    yield SourceSubject(
        lambda: INSTALLED["sqs"].open(config, lent),
        publish,
        positions=False,
        ordered=False,
        keyed=False,
        counted=False,
        binary=False,
        competing=True,
    )
    await client.close()


@contextlib.asynccontextmanager
async def in_pubsub(request: pytest.FixtureRequest) -> AsyncIterator[SourceSubject]:
    """A subscription of a server that stands in for Google's."""
    from clarion.testing.scripted_server import scripted_server
    from tests.servers.pubsub import PATH, Subscription

    subscription = Subscription()

    async def publish(publications: Sequence[Publication]) -> None:
        for one in publications:
            subscription.publish(one.value, one.key, one.headers)

    async with scripted_server(otherwise=subscription.answer) as server:
        open_ = opening("pubsub", subscription=PATH.removeprefix("/v1/"), endpoint=server.url)
        yield SourceSubject(open_, publish, positions=False, counted=False, competing=True)


def opening(kind: str, **settings: Any) -> Callable[[], RecordReader]:
    """Opens readers of an installed kind."""
    plugin, lent = INSTALLED[kind], tools()
    config = plugin.config(**settings)
    return lambda: plugin.open(config, lent)


def new_name() -> str:
    """That nobody else has."""
    return f"orders-{uuid4().hex[:12]}"


Prepared = Callable[[pytest.FixtureRequest], contextlib.AbstractAsyncContextManager[SourceSubject]]

KINDS: dict[str, Prepared] = {
    "memory": in_memory,
    "kafka": in_kafka,
    "rabbitmq": in_rabbitmq,
    "sqs": in_sqs,
    "nats": in_nats,
    "redis": in_redis,
    "pubsub": in_pubsub,
    "postgresql": in_outbox,
    "mysql": in_mysql,
}


@pytest.mark.parametrize("check", SOURCE_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_source_keeps_the_contract(kind, check, request):
    """On a new and empty topic for every check."""
    async with KINDS[kind](request) as subject:
        await check(subject)


def test_every_registered_kind_runs_its_contract():
    """A new entry point fails here until the suite has a case for it."""
    assert [kind for kind in REGISTERED[SOURCES] if kind not in KINDS] == []


@pytest.mark.parametrize("kind", INSTALLED)
def test_the_example_of_a_kind_is_valid_and_its_secrets_are_fields(kind):
    """So what the documentation shows can be stored."""
    plugin = INSTALLED[kind]
    config = msgspec.convert(plugin.example, plugin.config)
    assert plugin.secrets <= {*plugin.config.__struct_fields__}
    for secret in plugin.secrets:
        if value := getattr(config, secret):
            assert str(value) not in repr(config)
    assert plugin.title


async def test_what_a_process_has_in_hand_stays_hidden_from_others(request, monkeypatch):
    """A message of SQS comes to nobody else while somebody works on it, however long; then it is gone."""
    from clarion.adapters.sources import sqs

    monkeypatch.setattr(sqs, "HIDDEN_S", 3)
    monkeypatch.setattr(sqs, "EXTEND_EVERY_S", 0.3)
    async with in_sqs(request) as subject:
        await subject.publish([Publication(b'{"order":1}')])
        worker, other = subject.open(), subject.open()
        held = await worker.fetch(10)
        assert len(held) == 1
        for _ in range(5):  # each waits for a second
            assert list(await other.fetch(10)) == []
        await worker.done(held)
        await worker.close()
        assert list(await other.fetch(10)) == []
        await other.close()
