"""Publishes to Kafka: idempotent, acknowledged by all replicas that are in sync."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import KafkaException, Producer

from clarion.adapters.kafka import quiet
from clarion.errors import Busy, Unavailable

log = structlog.get_logger(__name__)

SETTINGS: Mapping[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 1,
    "delivery.timeout.ms": 15_000,
    "queue.buffering.max.messages": 200_000,
    "partitioner": "murmur2_random",  # as clients in Java
}
POLL_S = 0.5
LEAVE_S = 5.0


class Publisher:
    """One producer, and another one after an error that ends it. Used from one event loop."""

    def __init__(self, client: Mapping[str, Any], place: str, make: Callable[..., Any] = Producer) -> None:
        self._settings = {**client, **SETTINGS}
        self._place = place
        self._make = make
        self._producer: Any = None
        self._ended = threading.Event()
        """The producer can send nothing more."""
        self._closed = threading.Event()
        self._serving: threading.Thread | None = None

    async def send(self, messages: Mapping[str, Sequence[dict[str, Any]]]) -> None:
        """Messages by topic, with `value` and perhaps `key`. Returns when all are durable. Raises Busy and Unavailable;
        some may be durable then."""
        producer = self._live()
        call = _Call(sum(map(len, messages.values())))
        for topic, some in messages.items():
            queued = producer.produce_batch(topic, list(some), on_delivery=call.delivered)
            call.refused(len(some) - queued)
        await self._done(call)

    async def send_one(self, topic: str, value: bytes, headers: Mapping[str, str]) -> None:
        """The same for a message with headers."""
        call = _Call(1)
        try:
            self._live().produce(
                topic, value=value, headers=list(headers.items()), on_delivery=call.delivered
            )
        except BufferError:
            raise Busy("Kafka is slower than what is sent to it") from None
        except KafkaException as fault:
            raise self._unavailable(fault.args[0]) from None
        await self._done(call)

    async def close(self) -> None:
        """What is on its way is sent first, if that does not take long."""
        self._closed.set()
        if self._serving is not None:
            await asyncio.to_thread(self._serving.join)

    async def _done(self, call: _Call) -> None:
        error = await call.ended
        if call.full:
            raise Busy("Kafka is slower than what is sent to it")
        if error is not None:
            raise self._unavailable(error)

    def _unavailable(self, error: Any) -> Unavailable:
        return Unavailable(f"Kafka at {self._place} did not take it ({error.str()})")

    def _live(self) -> Any:
        if self._closed.is_set():
            raise Unavailable("the connection to Kafka is closing: nothing was published")
        if self._producer is None or self._ended.is_set():
            self._ended = threading.Event()
            self._producer = self._make(
                {**self._settings, "error_cb": self._erred(self._ended)}, logger=quiet
            )
            self._serving = threading.Thread(
                target=_serve,
                args=(self._producer, self._ended, self._closed),
                name="kafka-publisher",
                daemon=True,
            )
            self._serving.start()
        return self._producer

    def _erred(self, ended: threading.Event) -> Callable[[Any], None]:
        def erred(error: Any) -> None:
            if error.fatal():
                log.error("kafka_producer_replaced", error=error.name())
                ended.set()
            else:
                log.warning("kafka_unavailable", error=error.name())

        return erred


def _serve(producer: Any, ended: threading.Event, closed: threading.Event) -> None:
    """Call back for what was delivered, until nobody waits any more."""
    while not ended.is_set() and not closed.is_set():
        producer.poll(POLL_S)
    if ended.is_set():
        producer.purge()  # Whoever waits for these is told now.
    producer.flush(LEAVE_S)


class _Call:
    """Messages that are sent together."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = itertools.count(count - 1, -1)
        """Counts down. Taking the next number needs no lock."""
        self._error: Any = None
        self.full = False
        """Some found no room in the queue."""
        self.ended: asyncio.Future[Any] = self._loop.create_future()
        """The first error, or None."""
        if not count:
            self.ended.set_result(None)

    def delivered(self, error: Any, message: Any) -> None:
        """Called by the thread that serves the producer, for each."""
        if error is not None and self._error is None:
            self._error = error
        if not next(self._left):
            self._loop.call_soon_threadsafe(self._tell)

    def refused(self, count: int) -> None:
        """So many found no room in the queue."""
        for _ in range(count):
            self.full = True
            self.delivered(None, None)

    def _tell(self) -> None:
        if not self.ended.done():  # Whoever waited may have given up.
            self.ended.set_result(self._error)
