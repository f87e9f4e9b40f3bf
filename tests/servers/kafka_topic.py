"""Topics of Kafka that other programs write to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from clarion.testing.source_contract import Publication


def new_topic(servers: str, partitions: int = 3, *, config: dict[str, str] | None = None) -> str:
    """A topic that nobody else has."""
    name = f"orders-{uuid4().hex[:12]}"
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(name, partitions, config=config or {})])[name].result(30)
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "tests"})
    while not all(_has_leader(consumer, TopicPartition(name, number)) for number in range(partitions)):
        time.sleep(0.05)
    consumer.close()
    return name


def _has_leader(consumer: Consumer, partition: TopicPartition) -> bool:
    try:
        return consumer.get_watermark_offsets(partition, timeout=5) == (0, 0)
    except KafkaException:
        return False


def produce(servers: str, topic: str, records: Iterable[Publication]) -> None:
    """Durable when this returns."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    for value, key, headers in records:
        producer.produce(topic, value=value, key=key or None, headers=[*headers.items()])
    assert producer.flush(30) == 0


def consume(servers: str, topic: str) -> list[tuple[str, bytes, list[tuple[str, str]]]]:
    """Everything that is in a topic: key, value and headers, those of a key in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "tests",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, open_ = [], set(partitions)
    while open_:
        message = consumer.poll(30)
        assert message is not None, "the topic does not answer"
        if message.error() is not None:
            open_.discard(message.partition())
            continue
        given: Any = message.headers() or ()
        headers = [(name, (value or b"").decode()) for name, value in given]
        found.append(((message.key() or b"").decode(), message.value() or b"", headers))
    consumer.close()
    return found
