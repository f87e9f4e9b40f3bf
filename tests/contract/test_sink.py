"""Every kind of sink writes events durably and in order, on a real server."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from standardwebhooks import Webhook

from clarion.errors import ConfigError, Unavailable
from clarion.plugins import SINKS, sinks
from clarion.ports.sink import EventWriter, OutEvent
from clarion.testing.memory_sink import MemorySink
from clarion.testing.scripted_server import Answer, ScriptedServer, scripted_server
from tests.architecture.source_tree import ROOT
from tests.contract.test_source import tools

REGISTERED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
INSTALLED = sinks()
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(NamedTuple):
    """A writer, what arrived, and one whose receiver cannot be reached."""

    writer: EventWriter
    arrived: Callable[[], Awaitable[Sequence[dict[str, Any]]]]
    """The events, those of one message in the order in which they arrived."""
    nowhere: EventWriter | None


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


def in_memory(request: pytest.FixtureRequest) -> Receiver:
    """The referee."""
    sink, away = MemorySink(), MemorySink()
    away.trouble = "it is away"

    async def arrived() -> Sequence[dict[str, Any]]:
        return [json.loads(one.body) for one in sink.events]

    return Receiver(sink, arrived, away)


def in_kafka(request: pytest.FixtureRequest) -> Receiver:
    """A topic of three partitions."""
    from tests.servers.kafka_topic import consume, new_topic

    servers = request.getfixturevalue("kafka").servers
    topic, plugin = new_topic(servers), INSTALLED["kafka"]
    writer = plugin.open(plugin.config(servers=servers, topic=topic), tools())
    nowhere = plugin.open(plugin.config(servers=servers, topic=f"{topic}-missing"), tools())

    async def arrived() -> Sequence[dict[str, Any]]:
        found = consume(servers, topic)
        assert all(dict(headers)["content-type"] == "application/cloudevents+json" for *_, headers in found)
        events = [json.loads(value) for _, value, _ in found]
        assert [key for key, *_ in found] == [one["subject"] for one in events]
        return events

    return Receiver(writer, arrived, nowhere)


KINDS: dict[str, Callable[[pytest.FixtureRequest], Receiver]] = {"memory": in_memory, "kafka": in_kafka}
ELSEWHERE = {"http"}
"""Kinds with tests of their own below."""


@pytest.mark.parametrize("kind", KINDS)
async def test_events_arrive_in_order(kind, request):
    """Those of each message, all of them, with everything that they say."""
    receiver = KINDS[kind](request)
    try:
        await receiver.writer.ping()
        events = [event(f"message-{n % 3}", n) for n in range(30)]
        assert list(await receiver.writer.write(events)) == [None] * 30
        assert list(await receiver.writer.write([event("message-0", 30)])) == [None]
        arrived = await receiver.arrived()
        assert {one["id"] for one in arrived} == {one.id for one in events} | {"message-0-30"}
        for subject in ("message-0", "message-1", "message-2"):
            sequences = [one["sequence"] for one in arrived if one["subject"] == subject]
            assert sequences == sorted(sequences)
    finally:
        await receiver.writer.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_receiver_that_cannot_be_reached_says_so(kind, request):
    """When it is tried, and when it is written to: nothing is taken for written."""
    receiver = KINDS[kind](request)
    await receiver.writer.close()
    if receiver.nowhere is None:
        return
    try:
        with pytest.raises((ConfigError, Unavailable)):
            await receiver.nowhere.ping()
        with pytest.raises((ConfigError, Unavailable)):
            await receiver.nowhere.write([event("message", 1)])
    finally:
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
