"""Every kind of sink writes events durably and in order, on a real server."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec
import pytest
from standardwebhooks import Webhook

from clarion.adapters.sqs import SqsClient
from clarion.errors import ConfigError, Unavailable
from clarion.plugins import SINKS, sinks
from clarion.ports.sink import EventWriter, OutEvent
from clarion.testing.memory_sink import MemorySink
from clarion.testing.scripted_server import Answer, ScriptedServer, scripted_server
from tests.architecture.source_tree import ROOT
from tests.contract.test_source import new_name, tools

REGISTERED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
INSTALLED = sinks()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(NamedTuple):
    """A writer, what arrived, and one whose receiver cannot be reached."""

    writer: EventWriter
    arrived: Callable[[], Awaitable[Sequence[dict[str, Any]]]]
    """The events, those of one message in the order in which they arrived."""
    nowhere: EventWriter


def event(subject: str, number: int, size: int = 10) -> OutEvent:
    """One of several about a message."""
    attributes = {
        "specversion": "1.0",
        "id": f"{subject}-{number}",
        "source": "/tenants/acme/environments/production",
        "type": "clarion.message.sent",
        "subject": subject,
        "time": "2026-05-01T09:30:00Z",
        "datacontenttype": "application/json",
        "sequence": f"{number:020d}",
    }
    data = {"message_id": subject, "padding": "x" * size}
    return OutEvent(
        id=attributes["id"],
        type=attributes["type"],
        subject=subject,
        time=attributes["time"],
        data=json.dumps(data).encode(),
        body=json.dumps({**attributes, "data": data}).encode(),
    )


@contextlib.asynccontextmanager
async def in_memory(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    """The referee."""
    sink, away = MemorySink(), MemorySink()
    away.trouble = "it is away"

    async def arrived() -> Sequence[dict[str, Any]]:
        return [json.loads(one.body) for one in sink.events]

    yield Receiver(sink, arrived, away)


@contextlib.asynccontextmanager
async def in_kafka(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    """A topic of three partitions."""
    from tests.servers.kafka_topic import consume, new_topic

    servers = request.getfixturevalue("kafka").servers
    topic = new_topic(servers)

    async def arrived() -> Sequence[dict[str, Any]]:
        found = consume(servers, topic)
        assert all(dict(headers)["content-type"] == "application/cloudevents+json" for *_, headers in found)
        events = [json.loads(value) for _, value, _ in found]
        assert [key for key, *_ in found] == [one["subject"] for one in events]
        return events

    nowhere = opened("kafka", servers=servers, topic=f"{topic}-missing")
    yield Receiver(opened("kafka", servers=servers, topic=topic), arrived, nowhere)


@contextlib.asynccontextmanager
async def in_rabbitmq(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    """A topic exchange, with a queue of all that is sent."""
    import aiormq

    server, name = request.getfixturevalue("rabbitmq"), new_name()
    connection = await aiormq.connect(server.url)
    channel = await connection.channel()
    await channel.exchange_declare(name, exchange_type="topic", durable=True)
    await channel.queue_declare(name, durable=True)
    await channel.queue_bind(name, name, "clarion.message.*")

    async def arrived() -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while (message := await channel.basic_get(name, no_ack=True)).delivery_tag:
            assert message.routing_key == "clarion.message.sent"
            assert message.header.properties.delivery_mode == 2
            found.append(json.loads(message.body))
            assert message.header.properties.message_id == found[-1]["id"]
        return found

    place = f"127.0.0.1:{server.port}"
    nowhere = opened("rabbitmq", servers=place, exchange=f"{name}-missing")
    yield Receiver(opened("rabbitmq", servers=place, exchange=name), arrived, nowhere)
    await connection.close()


@contextlib.asynccontextmanager
async def in_sqs(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    """A FIFO queue."""
    server, name = request.getfixturevalue("elasticmq"), f"{new_name()}.fifo"
    lent = tools()
    identity = {"region": "eu-central-1", "access_key_id": "x", "secret_access_key": "y"}
    config: Any = INSTALLED["sqs"].config(queue_url=f"{server.account}/{name}", **identity)
    client = SqsClient(server.endpoint, config.signer("sqs", lent), lent)
    await client.call("CreateQueue", {"QueueName": name, "Attributes": {"FifoQueue": "true"}}, dict)

    async def arrived() -> Sequence[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            asked = {"QueueUrl": f"{server.account}/{name}", "MaxNumberOfMessages": 10}
            messages = (await client.call("ReceiveMessage", asked, dict)).get("Messages")
            if not messages:
                return found
            for message in messages:
                found.append(json.loads(message["Body"]))
                asked = {"QueueUrl": f"{server.account}/{name}", "ReceiptHandle": message["ReceiptHandle"]}
                await client.call("DeleteMessage", asked, dict)

    nowhere = opened("sqs", queue_url=f"{server.account}/missing-{name}", **identity)
    yield Receiver(INSTALLED["sqs"].open(config, lent), arrived, nowhere)
    await client.close()


def opened(kind: str, **settings: Any) -> EventWriter:
    """A writer of an installed kind."""
    plugin = INSTALLED[kind]
    return plugin.open(plugin.config(**settings), tools())


Prepared = Callable[[pytest.FixtureRequest], contextlib.AbstractAsyncContextManager[Receiver]]
KINDS: dict[str, Prepared] = {
    "memory": in_memory,
    "kafka": in_kafka,
    "rabbitmq": in_rabbitmq,
    "sqs": in_sqs,
}
ELSEWHERE = {"http", "sns"}
"""Kinds with tests of their own below."""


@pytest.mark.parametrize("kind", KINDS)
async def test_events_arrive_in_order(kind, request):
    """Those of each message, all of them, with everything that they say."""
    async with KINDS[kind](request) as receiver:
        await receiver.writer.ping()
        events = [event(f"message-{n % 3}", n) for n in range(30)]
        assert list(await receiver.writer.write(events)) == [None] * 30
        assert list(await receiver.writer.write([event("message-0", 30)])) == [None]
        arrived = await receiver.arrived()
        assert {one["id"] for one in arrived} == {one.id for one in events} | {"message-0-30"}
        for subject in ("message-0", "message-1", "message-2"):
            sequences = [one["sequence"] for one in arrived if one["subject"] == subject]
            assert sequences == sorted(sequences)
        await receiver.writer.close()
        await receiver.nowhere.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_receiver_that_cannot_be_reached_says_so(kind, request):
    """When it is tried, and when it is written to: nothing is taken for written."""
    async with KINDS[kind](request) as receiver:
        with pytest.raises((ConfigError, Unavailable)):
            await receiver.nowhere.ping()
        with pytest.raises((ConfigError, Unavailable)):
            await receiver.nowhere.write([event("message", 1)])
        await receiver.writer.close()
        await receiver.nowhere.close()


async def test_a_topic_refuses_what_is_too_large(kafka):
    """The others are written."""
    from tests.servers.kafka_topic import consume, new_topic

    topic, plugin = new_topic(kafka.servers, config={"max.message.bytes": "2000"}), INSTALLED["kafka"]
    writer = plugin.open(plugin.config(servers=kafka.servers, topic=topic), tools())
    try:
        refused = await writer.write([event("a", 1)])
        refused = [*refused, *await writer.write([event("b", 2, size=50_000)])]
        assert refused == [None, "it is larger than the topic allows"]
        assert await writer.write([event("c", 3)]) == [None]
        assert len(consume(kafka.servers, topic)) == 2
    finally:
        await writer.close()


def test_every_registered_kind_is_tested():
    """A new entry point fails here until there is a case for it."""
    assert [kind for kind in REGISTERED[SINKS] if kind not in KINDS and kind not in ELSEWHERE] == []


@pytest.mark.parametrize("kind", INSTALLED)
def test_the_example_of_a_kind_is_valid_and_its_secrets_are_fields(kind):
    """So what the documentation shows can be stored."""
    plugin = INSTALLED[kind]
    config = msgspec.convert(plugin.example, plugin.config)
    assert plugin.secrets <= {*plugin.config.__struct_fields__}
    assert not any(
        str(getattr(config, one)) in repr(config) for one in plugin.secrets if getattr(config, one)
    )


async def test_a_url_is_called_as_standard_webhooks_want():
    """Signed, with the event's id, the whole CloudEvent in the body; the events of a message one after the other."""
    async with scripted_server() as server:
        writer = at(server)
        assert list(await writer.write([event("a", 1), event("b", 2), event("a", 3)])) == [None] * 3
        ids = [call.headers["webhook-id"] for call in server.requests]
        assert sorted(ids) == ["a-1", "a-3", "b-2"]
        assert ids.index("a-1") < ids.index("a-3")
        for call in server.requests:
            verified = Webhook(SECRET).verify(call.body, call.headers)
            assert verified["id"] == call.headers["webhook-id"]
            assert call.headers["content-type"] == "application/cloudevents+json"
        await writer.ping()
        await writer.close()


async def test_a_url_that_refuses_an_event_or_is_down():
    """What is wrong with one event is a dead letter; what is wrong with the server is tried again."""
    async with scripted_server(Answer(status=413), Answer(status=503)) as server:
        writer = at(server)
        assert list(await writer.write([event("a", 1)])) == ["the receiver answered 413"]
        with pytest.raises(Unavailable, match="503"):
            await writer.write([event("a", 2)])
        assert list(await writer.write([event("a", 2)])) == [None]
        await writer.close()
    with pytest.raises(ConfigError, match="secret"):
        INSTALLED["http"].open(
            INSTALLED["http"].config(url="https://a.example", secret="whsec_AAAA"), tools()
        )
    inside = INSTALLED["http"].config(url="https://169.254.169.254/latest", secret=SECRET)
    writer = INSTALLED["http"].open(inside, tools())
    with pytest.raises(ConfigError):
        await writer.write([event("a", 1)])
    await writer.close()


def at(server: ScriptedServer) -> EventWriter:
    """A writer to it."""
    plugin = INSTALLED["http"]
    return plugin.open(plugin.config(url=f"{server.url}/events", secret=SECRET), tools())


TOPIC = "arn:aws:sns:eu-central-1:123456789012:notifications.fifo"
TAKEN = """<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Failed>
{failed}</Failed><Successful/></PublishBatchResult></PublishBatchResponse>"""
FAILED = """<member><Id>1</Id><Code>InvalidParameter</Code><SenderFault>{fault}</SenderFault></member>"""


async def test_a_topic_of_sns_is_written_to_in_batches():
    """Each message is a group of its own; what SNS refuses for good is a dead letter, what it cannot take now is not."""
    fine = Answer.text(200, TAKEN.format(failed=""))
    one_refused = Answer.text(200, TAKEN.format(failed=FAILED.format(fault="true")))
    one_later = Answer.text(200, TAKEN.format(failed=FAILED.format(fault="false")))
    error = "<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>"
    answers = (fine, one_refused, one_later, Answer.text(404, error), Answer.text(503, "busy"))
    async with scripted_server(*answers) as server:
        writer = opened(
            "sns",
            topic_arn=TOPIC,
            endpoint=server.url,
            region="eu-central-1",
            access_key_id="x",
            secret_access_key="y",
        )
        events = [event("a", 1), event("b", 2)]
        assert list(await writer.write(events)) == [None, None]
        asked = parse_qs(server.requests[0].body.decode())
        entry = "PublishBatchRequestEntries.member"
        assert asked["Action"] == ["PublishBatch"]
        assert json.loads(asked[f"{entry}.1.Message"][0])["id"] == "a-1"
        assert asked[f"{entry}.2.MessageGroupId"] == ["b"]
        assert asked[f"{entry}.2.MessageDeduplicationId"] == ["b-2"]
        assert asked[f"{entry}.2.MessageAttributes.entry.1.Value.StringValue"] == ["clarion.message.sent"]
        assert "AWS4-HMAC-SHA256" in server.requests[0].headers["authorization"]
        assert list(await writer.write(events)) == [None, "the receiver refuses it (InvalidParameter)"]
        with pytest.raises(Unavailable, match="InvalidParameter"):
            await writer.write(events)
        with pytest.raises(ConfigError, match="topic_arn"):
            await writer.ping()
        with pytest.raises(Unavailable, match="503"):
            await writer.ping()
        await writer.close()
