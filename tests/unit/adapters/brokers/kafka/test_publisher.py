"""The producer by itself: what it is told by the client, and what it tells whoever publishes."""

import asyncio
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException

from clarion.adapters.brokers.kafka.publisher import Publisher
from clarion.errors import Busy, Unavailable

FATAL = KafkaError(KafkaError._FATAL, "fenced", True)
AWAY = KafkaError(KafkaError._MSG_TIMED_OUT, "timed out")


class FakeProducer:
    """Takes messages, and calls back when the test says so."""

    def __init__(self, settings, logger=None):
        self.settings = settings
        self.waiting = []
        self.room = 1_000
        self.purged = False
        self._told = threading.Event()

    def produce_batch(self, topic, messages, on_delivery):
        taken = messages[: self.room]
        self.waiting += [on_delivery] * len(taken)
        return len(taken)

    def produce(self, topic, value, headers, on_delivery):
        if not self.room:
            raise BufferError
        if value == b"too large":
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.waiting.append(on_delivery)

    def poll(self, timeout):
        self._told.wait(0.01)

    def purge(self):
        self.purged = True

    def flush(self, timeout):
        while self.waiting:
            self.waiting.pop()(KafkaError(KafkaError._PURGE_QUEUE), None)

    def deliver(self, error=None):
        """All that waits is answered."""
        while self.waiting:
            self.waiting.pop(0)(error, None)


@pytest.fixture
async def made():
    """The producers that were made, and the publisher over them."""
    producers = []

    def make(settings, logger):
        producers.append(FakeProducer(settings))
        return producers[-1]

    publisher = Publisher({"bootstrap.servers": "one:9092"}, "one:9092", make)
    yield producers, publisher
    await publisher.close()


async def sent(publisher, *messages):
    """A call that has begun."""
    call = asyncio.ensure_future(publisher.send({"t": [{"value": one} for one in messages]}))
    await asyncio.sleep(0)
    return call


async def test_a_call_returns_when_all_of_it_is_durable(made):
    """Not when the first message is."""
    producers, publisher = made
    call = await sent(publisher, b"1", b"2")
    producers[0].waiting.pop()(None, None)
    await asyncio.sleep(0.01)
    assert not call.done()
    producers[0].deliver()
    await call
    assert producers[0].settings["enable.idempotence"]
    assert producers[0].settings["acks"] == "all"
    await publisher.send({})


async def test_what_was_not_delivered_is_said(made):
    """Whoever called does not know whether it was stored."""
    producers, publisher = made
    call = await sent(publisher, b"1", b"2")
    producers[0].deliver(AWAY)
    with pytest.raises(Unavailable, match="one:9092 did not take it"):
        await call


async def test_a_full_queue_refuses(made):
    """Calls that come faster than Kafka takes them have to wait."""
    producers, publisher = made
    call = await sent(publisher, b"1")
    producers[0].deliver()
    await call
    producers[0].room = 1
    call = await sent(publisher, b"1", b"2")
    producers[0].deliver()
    with pytest.raises(Busy):
        await call
    producers[0].room = 0
    with pytest.raises(Busy):
        await publisher.send_one("t", b"1", {})


async def test_a_fatal_error_makes_another_producer(made):
    """Who waits for the old one is told, and what comes next goes through the new one."""
    producers, publisher = made
    call = await sent(publisher, b"1")
    producers[0].settings["error_cb"](AWAY)
    assert not call.done()
    producers[0].settings["error_cb"](FATAL)
    with pytest.raises(Unavailable):
        await call
    assert producers[0].purged
    call = await sent(publisher, b"2")
    producers[1].deliver()
    await call


async def test_what_kafka_refuses_at_once_is_said(made):
    """Such as a dead letter that is too large."""
    _, publisher = made
    with pytest.raises(Unavailable, match="too large"):
        await publisher.send_one("t", b"too large", {})


async def test_nothing_is_published_after_closing(made):
    """Whoever still tries is told."""
    _, publisher = made
    await publisher.close()
    with pytest.raises(Unavailable, match="closing"):
        await publisher.send({"t": [{"value": b"1"}]})
