"""A topic of Kafka. Events of one message have one key, so they are in one partition and in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.kafka import (
    CALL_S,
    SECRETS,
    KafkaConnection,
    KafkaThread,
    client_settings,
    error_of,
    partitions_of,
    require_package,
)
from clarion.errors import Unavailable
from clarion.ports.provider import ProviderTools
from clarion.ports.sink import MEDIA_TYPE, EventWriter, OutEvent, SinkPlugin

WRITE_S = 30.0
"""Most time that a batch may take to be durable."""
TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "_MSG_SIZE_TOO_LARGE"})


class KafkaSink(KafkaConnection, frozen=True, kw_only=True):
    """A topic that is written to."""


class KafkaWriter:
    """Implements `ports.sink.EventWriter`."""

    def __init__(self, config: KafkaSink, tools: ProviderTools) -> None:
        self._config = config
        self._thread = KafkaThread(config, tools)
        self._producer: Any = None

    async def write(self, events: Sequence[OutEvent]) -> Sequence[str | None]:
        await self._connect()
        return await self._thread.call(lambda: self._write(events))

    async def ping(self) -> None:
        await self._connect()
        await self._thread.call(lambda: partitions_of(self._producer, self._config))

    async def close(self) -> None:
        await self._thread.close(lambda: None)

    async def _connect(self) -> None:
        if self._producer is None:
            from confluent_kafka import Producer

            await self._thread.vet()
            settings = client_settings(self._config) | {
                "enable.idempotence": True,  # with acks=all, and in order
                "delivery.timeout.ms": int(WRITE_S * 1_000),
                "allow.auto.create.topics": False,
                "topic.metadata.propagation.max.ms": 3_000,  # then a topic that is not there is told
                "linger.ms": 0,
            }
            self._producer = await self._thread.connect(Producer, settings)

    # -- in the thread ----------------------------------------------------------------------------------------

    def _write(self, events: Sequence[OutEvent]) -> list[str | None]:
        answers: list[Any] = [None] * len(events)
        for place, event in enumerate(events):

            def told(error: Any, _: Any, place: int = place) -> None:
                answers[place] = error

            self._producer.produce(
                self._config.topic,
                value=event.body,
                key=event.subject,
                headers=[("content-type", MEDIA_TYPE.encode())],
                on_delivery=told,
            )
        if self._producer.flush(WRITE_S + CALL_S):
            raise Unavailable("Kafka did not confirm all events in time: they are written again")
        refused: list[str | None] = []
        for error in answers:
            if error is not None and error.name() not in TOO_LARGE:
                self._producer = None  # A new one forgets what was queued, and numbers anew.
                raise error_of(error, self._config)
            refused.append(None if error is None else "it is larger than the topic allows")
        return refused


def opened(config: KafkaSink, tools: ProviderTools) -> EventWriter:
    """Reaches nobody."""
    require_package()
    return KafkaWriter(config, tools)


plugin = SinkPlugin(
    name="kafka",
    title="Kafka",
    config=KafkaSink,
    open=opened,
    secrets=SECRETS,
    example={"servers": "kafka.example.com:9092", "topic": "notifications"},
)
