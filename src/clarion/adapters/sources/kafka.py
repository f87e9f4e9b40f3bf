"""A topic of Kafka. Positions are in the ledger, and so is who reads which partition: no consumer group is joined and no offset
is committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.adapters.kafka import (
    CALL_S,
    SECRETS,
    KafkaConnection,
    KafkaThread,
    client_settings,
    partitions_of,
    require_package,
)
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools
from clarion.ports.source import Position, SourcePlugin, SourceRecord

FETCH_S = 1.0
PEEK_S = 10.0
QUEUE_KB = 16_384
"""Records that wait in memory."""
ENDS = frozenset({"_PARTITION_EOF", "_ALL_BROKERS_DOWN", "_TRANSPORT"})
"""The client connects again by itself; asking for the lag says whether it can."""


class KafkaSource(KafkaConnection, frozen=True, kw_only=True):
    """A topic that is read."""

    group_id: str = "clarion"
    """The name that the permissions of Kafka know the reader by."""


class KafkaReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, config: KafkaSource, tools: ProviderTools) -> None:
        self._config = config
        self._thread = KafkaThread(config, tools)
        self._consumer: Any = None
        self._position: dict[int, int] = {}
        """By partition, the last offset that is done."""

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        await self._connect()
        self._position = await self._thread.call(lambda: self._found(to))
        await self._thread.call(self._assign)
        return {str(partition): str(offset) for partition, offset in self._position.items()}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        return await self._thread.call(lambda: self._fetch(limit))

    async def done(self, records: Sequence[SourceRecord]) -> None:
        for record in records:
            self._position[int(record.partition)] = int(record.offset)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        await self._connect()
        records = await self._thread.call(lambda: self._peek(limit))
        return sorted(records, key=lambda one: (one.at or 0, one.partition, int(one.offset)))[-limit:]

    async def lag(self) -> Mapping[str, int | None]:
        return await self._thread.call(self._lag)

    async def close(self) -> None:
        if self._consumer is not None:
            await self._thread.close(self._consumer.close)

    async def _connect(self) -> None:
        if self._consumer is None:
            from confluent_kafka import Consumer

            await self._thread.vet()
            settings = client_settings(self._config) | {
                "group.id": self._config.group_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                "queued.max.messages.kbytes": QUEUE_KB,
                "fetch.wait.max.ms": 200,  # questions wait behind it
            }
            self._consumer = await self._thread.connect(Consumer, settings)

    # -- in the thread ----------------------------------------------------------------------------------------

    def _found(self, to: Position | StartAt | Instant) -> dict[int, int]:
        partitions = partitions_of(self._consumer, self._config)
        if isinstance(to, StartAt):
            ends = {one: self._ends(one) for one in partitions}
            return {one: (low if to is StartAt.EARLIEST else high) - 1 for one, (low, high) in ends.items()}
        if isinstance(to, int):
            asked = [self._at(one, to) for one in partitions]
            found = self._consumer.offsets_for_times(asked, timeout=CALL_S)
            return {
                one.partition: (one.offset if one.offset >= 0 else self._ends(one.partition)[1]) - 1
                for one in found
            }
        there = {one: to[str(one)] for one in partitions if str(one) in to}
        return {one: int(offset) if offset else self._ends(one)[0] - 1 for one, offset in there.items()}

    def _ends(self, partition: int) -> tuple[int, int]:
        """The oldest offset there is, and the next one that will be."""
        low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=CALL_S)
        return low, high

    def _at(self, partition: int, offset: int = 0) -> Any:
        from confluent_kafka import TopicPartition

        return TopicPartition(self._config.topic, partition, offset)

    def _assign(self) -> None:
        self._consumer.assign([self._at(one, offset + 1) for one, offset in self._position.items()])

    def _fetch(self, limit: int, wait_s: float = FETCH_S) -> list[SourceRecord]:
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        return [
            self._record(message)
            for message in (first, *self._consumer.consume(limit - 1, timeout=0))
            if not self._is_end(message)
        ]

    def _peek(self, limit: int) -> list[SourceRecord]:
        """Reads each partition from a little before its end to its end."""
        ends = {one: self._ends(one) for one in partitions_of(self._consumer, self._config)}
        waiting = {one for one, (low, high) in ends.items() if high > low}
        self._consumer.assign([self._at(one, max(ends[one][0], ends[one][1] - limit)) for one in waiting])
        records = []
        while waiting and (message := self._consumer.poll(PEEK_S)) is not None:
            if self._is_end(message):
                waiting.discard(message.partition())
            else:
                records.append(self._record(message))
        return records

    def _lag(self) -> Mapping[str, int | None]:
        behind: dict[str, int | None] = {
            str(one): None for one in partitions_of(self._consumer, self._config)
        }
        for one, offset in self._position.items():
            behind[str(one)] = max(0, self._end(one) - 1 - offset)
        return behind

    def _end(self, partition: int) -> int:
        """The next offset that will be, as the last answer of the server said."""
        _, high = self._consumer.get_watermark_offsets(self._at(partition), cached=True)
        return high if high >= 0 else self._ends(partition)[1]

    def _is_end(self, message: Any) -> bool:
        """Whether it is no record, but says that there is none further on. Raises KafkaException for errors."""
        from confluent_kafka import KafkaException

        error = message.error()
        if error is not None and error.name() not in ENDS:
            raise KafkaException(error)
        return error is not None

    def _record(self, message: Any) -> SourceRecord:
        key, (_, at) = message.key(), message.timestamp()
        return SourceRecord(
            topic=self._config.topic,
            partition=str(message.partition()),
            offset=str(message.offset()),
            key=None if key is None else key.decode(errors="replace"),
            value=message.value() or b"",
            headers={
                name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()
            },
            at=Instant(at) if at > 0 else None,
        )


def opened(config: KafkaSource, tools: ProviderTools) -> KafkaReader:
    """Reaches nobody."""
    require_package()
    return KafkaReader(config, tools)


plugin = SourcePlugin(
    name="kafka",
    title="Kafka",
    config=KafkaSource,
    open=opened,
    secrets=SECRETS,
    example={"servers": "kafka.example.com:9092", "topic": "orders"},
)
