"""Publishes to the topics of Kafka, and delivers from them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from clarion.adapters.admission import Admission
from clarion.adapters.brokers.entry_encoding import encoded
from clarion.adapters.brokers.kafka.address import KafkaAddress
from clarion.adapters.brokers.kafka.publisher import Publisher
from clarion.adapters.brokers.kafka.reader import LaneReader, ReadTogether, settings_of
from clarion.adapters.brokers.kafka.topics import ANSWER_S, LaneTopic, LaneTopics
from clarion.errors import InvalidInput, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry, Position
from clarion.model.ids import NO_USER
from clarion.ports.broker import Backlog, Batch
from clarion.ports.clock import Clock
from clarion.ports.ledger import Partitions

AROUND = 512
"""Bytes that a message has besides its data, at most."""


class KafkaBroker:
    """`ports.Broker` over the topics of one Kafka."""

    def __init__(
        self, address: KafkaAddress, admin: AdminClient, topics: LaneTopics, ledger: Partitions, clock: Clock
    ) -> None:
        self._address = address
        self._admin = admin
        self._topics = topics
        self._ledger = ledger
        self._clock = clock
        self._admission = Admission()
        largest = max(topic.largest for topic in topics.lanes.values())
        self._publisher = Publisher({**address.client, "message.max.bytes": largest}, address.place)
        self._readers: dict[Lane, LaneReader] = {}
        self._closed = False

    async def publish(self, entries: Sequence[Entry]) -> None:
        """See `ports.Broker.publish`. Entries of one person keep their order."""
        admitted = self._admission.enter(entries)
        try:
            messages: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
            for entry in entries:
                topic = self._topics.lanes[entry.lane]
                messages[topic.name].append({"key": _key(entry), "value": _value(entry, topic)})
            await self._publisher.send(messages)
        finally:
            self._admission.leave(admitted)

    async def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """See `ports.Broker.consume`. Once the broker is closed, what was taken may still be acknowledged, until `leave`."""
        if self._closed:
            return
        mine = self._readers[lane] = LaneReader(
            settings_of(self._address, lane),
            self._topics.lanes[lane],
            lane,
            self._topics.dead_letters,
            self._publisher,
            self._ledger,
            self._clock,
        )
        try:
            while not self._closed:
                mine.arrived.clear()  # first: what arrives during the look wakes it up again
                if receipt := mine.take(limit):
                    yield Batch(
                        lane=lane, entries=tuple([read.entry for read in receipt.reads]), receipt=receipt
                    )
                else:
                    await mine.arrived.wait()
        finally:
            if not self._closed:
                await mine.stop()

    def positions(self, batch: Batch) -> tuple[Position, ...]:
        """See `ports.Broker.positions`."""
        receipt: ReadTogether = batch.receipt
        return receipt.reader.positions(receipt)

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`: the ledger knows it by the positions."""
        receipt: ReadTogether = batch.receipt
        receipt.reader.finish(receipt)

    async def backlog(self, lane: Lane) -> Backlog:
        """See `ports.Broker.backlog`. The oldest is that of what this process has read."""
        topic = self._topics.lanes[lane]
        planned = await self._ledger.offsets(topic.names())
        first, end = await asyncio.to_thread(self._ends, topic)
        mine = self._readers.get(lane)
        return Backlog(
            entries=sum(
                max(0, to - max(since, at)) for since, to, at in zip(first, end, planned, strict=True)
            ),
            oldest_at=mine.oldest_at if mine is not None else None,
        )

    async def close(self) -> None:
        """See `ports.Broker.close`."""
        self._closed = True
        for one in self._readers.values():
            one.arrived.set()

    async def leave(self) -> None:
        """End all connections; what is not acknowledged comes to other processes."""
        await self.close()
        for one in self._readers.values():
            await one.stop()
        await self._publisher.close()

    def _ends(self, topic: LaneTopic) -> tuple[list[int], list[int]]:
        """The first and the next offset of each partition."""
        places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
        found = []
        try:
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
                asked = self._admin.list_offsets(dict.fromkeys(places, spec), request_timeout=ANSWER_S)
                by_number = {
                    place.partition: answer.result(ANSWER_S).offset for place, answer in asked.items()
                }
                found.append([by_number[number] for number in range(topic.partitions)])
        except KafkaException as fault:
            raise Unavailable(
                f"Kafka at {self._address.place} does not answer ({fault.args[0].str()})"
            ) from None
        first, end = found
        return first, end


def _key(entry: Entry) -> bytes:
    """What one person gets is in one partition; what several get, in any."""
    return entry.event_id if entry.sealed_for == NO_USER else b"%d" % entry.sealed_for


def _value(entry: Entry, topic: LaneTopic) -> bytes:
    value = encoded(entry)
    if len(value) + AROUND > topic.largest:
        raise InvalidInput(
            f"the event is {len(value):,} bytes when it is sealed, and the topic {topic.name} takes {topic.largest - AROUND:,}: "
            "send less, or raise max.message.bytes of the topic and start Clarion again",
            status=413,
        )
    return value
