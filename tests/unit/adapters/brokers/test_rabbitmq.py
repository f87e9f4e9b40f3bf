"""RabbitMQ as the broker: its URL, its errors, and how deliveries are acknowledged over a channel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import Any

import pytest
import trustme
from aiormq import spec
from aiormq.exceptions import DeliveryError
from msgspec.structs import replace

from clarion.adapters.brokers import rabbitmq
from clarion.adapters.brokers.queue_broker import QueueBroker
from clarion.adapters.brokers.rabbitmq import RabbitMqQueues
from clarion.adapters.rabbitmq import RabbitMqConnection, RabbitMqUrl, connect, declare, parse
from clarion.errors import Busy, ConfigError, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import NO_USER, EventId, TenantId
from clarion.testing.ports import ManualClock
from tests.needs import DEEP
from tests.servers.process import free_port, home_for
from tests.servers.rabbitmq import one_node

EVENT = Entry(
    event_id=EventId(bytes(16)),
    tenant=TenantId(1),
    lane=Lane.NORMAL,
    workflow="news",
    sealed=b"x",
    sealed_for=NO_USER,
)


def test_a_url_says_where_how_and_as_whom():
    """The nodes of a cluster, TLS, and what is escaped in names and passwords."""
    assert parse("amqp://localhost", "broker") == RabbitMqUrl(nodes=(("localhost", 5672),))
    url = "amqps://clarion:p%40ss@one,two:5999/our%2Fhost?ca=/etc/ca.pem&prefix=shop"
    assert parse(url, "broker") == RabbitMqUrl(
        nodes=(("one", 5671), ("two", 5999)),
        user="clarion",
        password="p@ss",
        vhost="our/host",
        tls=True,
        ca="/etc/ca.pem",
        prefix="shop",
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp:", "must be like amqp://"),
        ("amqp://:secret@/", "is not a host"),
        ("amqp://host/?heartbeet=3", "no option `heartbeet`"),
        ("amqp://host/?ca=/x.pem", "begin the URL with amqps://"),
    ],
)
def test_a_wrong_url_says_what_is_wrong_and_shows_no_password(url, says):
    """It names the setting."""
    with pytest.raises(ConfigError, match=says) as caught:
        parse(url, "broker")
    assert str(caught.value).startswith("broker: ")
    assert "secret" not in str(caught.value)


class Noted:
    """A channel that notes what it is told, and says what a test wants to everything that is published over it."""

    is_closed = closed = False

    def __init__(self, refusal: Exception | None = None) -> None:
        self.said: list[tuple[str, int, bool]] = []
        self.published: list[bytes] = []
        self._refusal = refusal

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool = True) -> None:
        self.said.append(("ack", tag, multiple))

    async def basic_nack(self, tag: int, *, wait: bool = True) -> None:
        self.said.append(("nack", tag, False))

    async def basic_publish(self, body: bytes, **more: Any) -> None:
        assert more["mandatory"]
        assert more["properties"].delivery_mode == 2
        if self._refusal is not None:
            raise self._refusal
        self.published.append(body)

    async def close(self) -> None:
        self.closed = True


async def test_acknowledgements_in_any_order_take_few_frames():
    """One covers everything before it once all of that is settled; what was given back counts as settled."""
    noted: Any = Noted()
    channel = rabbitmq._Channel(noted)
    await channel.ack([3, 4])
    await channel.give_back([2])
    await channel.ack([1])
    await channel.ack([5, 6, 7])
    assert noted.said == [
        ("ack", 3, False),
        ("ack", 4, False),
        ("nack", 2, False),
        ("ack", 1, True),
        ("ack", 7, True),
    ]


class Lines:
    """Hands out channels one after the other."""

    def __init__(self, *channels: Noted, alarm: bool = False) -> None:
        self._channels = list(channels)
        self._alarm = alarm

    async def channel(self, *, confirms: bool = False) -> Noted:
        return self._channels.pop(0) if len(self._channels) > 1 else self._channels[0]

    async def blocked(self) -> bool:
        return self._alarm


def publishing_over(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> RabbitMqQueues:
    monkeypatch.setattr(rabbitmq, "PAUSE_S", 0.0)
    queues = RabbitMqQueues(RabbitMqUrl(nodes=(("localhost", 1),)), "broker")
    monkeypatch.setattr(queues, "_publishing", lines)
    return queues


async def test_what_is_refused_goes_over_a_new_channel(monkeypatch):
    """RabbitMQ 3.10 may refuse everything over a channel that met a queue without a leader."""
    stuck, fresh = Noted(DeliveryError(None, spec.Basic.Nack(delivery_tag=1))), Noted()
    queues = publishing_over(monkeypatch, Lines(stuck, fresh))
    await queues.send(Lane.NORMAL, [(EVENT, b"one"), (EVENT, b"two")])
    assert stuck.closed
    assert fresh.published == [b"one", b"two"]


async def test_what_nobody_takes_is_unavailable_in_the_end(monkeypatch):
    """And says why."""
    monkeypatch.setattr(rabbitmq, "PUBLISH_S", 0.1)
    queues = publishing_over(monkeypatch, Lines(Noted(DeliveryError(None, spec.Basic.Nack(delivery_tag=1)))))
    with pytest.raises(Unavailable, match="a queue is full, or has no leader"):
        await queues.send(Lane.NORMAL, [(EVENT, b"one")])


async def test_a_resource_alarm_is_busy(monkeypatch):
    """The server takes nothing until it has memory or disk again."""
    queues = publishing_over(monkeypatch, Lines(Noted(), alarm=True))
    with pytest.raises(Busy, match="resource alarm"):
        await queues.send(Lane.NORMAL, [(EVENT, b"one")])


async def test_a_deleted_queue_is_made_again(rabbitmq):
    """What was published meanwhile is in the new one."""
    queues = RabbitMqQueues(parse(f"{rabbitmq.url}?prefix=u{os.getpid()}", "broker"), "broker")
    try:
        await queues.open()
        channel = await queues._consuming.channel()
        await channel.queue_delete(f"u{os.getpid()}.normal.1")
        await queues.send(Lane.NORMAL, [(EVENT, b"one")])
        found = await channel.basic_get(f"u{os.getpid()}.normal.1")
        assert found.body == b"one"
        await channel.queue_delete(f"u{os.getpid()}.dead")
        await declare(channel, f"u{os.getpid()}.dead", {"x-max-length": 5}, "broker")
        with pytest.raises(ConfigError, match=r"`u\d+\.dead` exists with other arguments"):
            await queues.open()
    finally:
        await queues.close()


async def test_a_cut_connection_is_made_again(rabbitmq):
    """What was not acknowledged comes again over the next one, with what was published meanwhile; a late acknowledgement of
    what came over the old one does no harm."""
    queues = RabbitMqQueues(parse(f"{rabbitmq.url}?prefix=c{os.getpid()}", "broker"), "broker")
    aside: Any = None
    broker = QueueBroker(queues, aside, ManualClock())
    try:
        await queues.open()
        await broker.publish([EVENT])
        async with contextlib.aclosing(broker.consume(Lane.NORMAL, 10)) as batches:
            old = await anext(batches)
            for line in (queues._publishing, queues._consuming):
                assert line._connection is not None
                await line._connection.close(ConnectionResetError())
            await broker.publish([replace(EVENT, sealed=b"later")])
            found: set[bytes] = set()
            while found != {b"x", b"later"}:
                batch = await anext(batches)
                found.update(entry.sealed for entry in batch.entries)
                await broker.ack(batch)
            await broker.ack(old)
        assert (await broker.backlog(Lane.NORMAL)).entries == 0
        await broker.leave()
    finally:
        await queues.close()


async def test_wrong_credentials_are_the_operators_to_mend(rabbitmq):
    """Waiting would not help. The password is not shown."""
    for wrong in ("guest:secret@", "guest:guest@"):
        place = f"amqp://{wrong}127.0.0.1:{rabbitmq.port}/{'missing' if wrong.startswith('guest:g') else ''}"
        with pytest.raises(ConfigError, match="refuses the login") as caught:
            await connect(parse(place, "broker"), "broker")
        assert "secret" not in str(caught.value)


async def test_a_node_that_is_down_is_passed_over(rabbitmq):
    """The next one in the URL takes the connection; if none does, that is said."""
    down = free_port()
    line = RabbitMqConnection(
        parse(f"amqp://127.0.0.1:{down},127.0.0.1:{rabbitmq.port}/", "broker"), "broker"
    )
    channel = await line.channel()
    assert not channel.is_closed
    assert not await line.blocked()
    await line.close()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{down} cannot be reached"):
        await connect(parse(f"amqp://127.0.0.1:{down}/", "broker"), "broker")


async def became(queues: RabbitMqQueues, *, busy: bool) -> bool:
    """Publish until the server is busy, or is no longer: a node looks at its memory now and then."""
    async with asyncio.timeout(60):
        while True:
            try:
                await queues.send(Lane.NORMAL, [(EVENT, b"x")])
                if not busy:
                    return True
            except Busy as alarm:
                if busy:
                    return "resource alarm" in alarm.detail
            await asyncio.sleep(0.05)


@pytest.mark.skipif(not DEEP, reason="one more start of RabbitMQ: only in the deep profile")
async def test_alarms_and_certificates_of_a_real_node(tmp_path):
    """Over TLS; a node without memory takes nothing, and everything again once it has some."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pems = {
        "cacertfile": authority.cert_pem,
        "keyfile": issued.private_key_pem,
        "certfile": issued.cert_chain_pems[0],
    }
    folder, port = home_for("certificates"), free_port()
    for name, pem in pems.items():
        pem.write_to_path(str(folder / name))
    lines = [
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        *(f"ssl_options.{name} = {folder / name}" for name in pems),
    ]
    with one_node("\n".join(lines) + "\n") as node:
        place = f"amqps://guest:guest@127.0.0.1:{port}/"
        with pytest.raises(ConfigError, match="name the authority"):
            await connect(parse(place, "broker"), "broker")
        queues = RabbitMqQueues(parse(f"{place}?ca={folder / 'cacertfile'}", "broker"), "broker")
        try:
            await queues.open()
            await queues.send(Lane.NORMAL, [(EVENT, b"before")])
            await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "absolute", "1MB")
            assert await became(queues, busy=True)
            await asyncio.to_thread(node.control, "set_vm_memory_high_watermark", "absolute", "500MB")
            assert await became(queues, busy=False)
        finally:
            await queues.close()
            shutil.rmtree(folder)
