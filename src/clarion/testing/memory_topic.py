"""A topic in memory: the referee for sources, and what tests of applications read from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from clarion.errors import Unavailable
from clarion.model.ids import Instant
from clarion.model.source import StartAt
from clarion.ports.provider import ProviderTools
from clarion.ports.source import Position, SourcePlugin, SourceRecord

PARTITIONS = 2


class MemoryTopic:
    """Records in partitions, which stay; the records of a key are in one partition."""

    def __init__(self, name: str = "orders") -> None:
        self.name = name
        self.partitions: tuple[list[SourceRecord], ...] = tuple([] for _ in range(PARTITIONS))
        self.came = asyncio.Event()
        self.trouble = ""
        """Why it cannot be reached."""

    def publish(
        self,
        value: bytes,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        at: Instant | None = None,
    ) -> SourceRecord:
        """Add a record."""
        number = sum(key.encode()) % PARTITIONS
        partition = self.partitions[number]
        record = SourceRecord(
            topic=self.name,
            partition=str(number),
            offset=str(len(partition)),
            key=key or None,
            value=value,
            headers=headers or {},
            at=at,
        )
        partition.append(record)
        self.came.set()
        return record

    def plugin(self) -> SourcePlugin:
        """The kind `memory`, which reads this topic."""
        return SourcePlugin(
            name="memory",
            title="Memory",
            secrets=frozenset({"password"}),
            config=MemorySource,
            open=lambda config, tools: MemoryReader(self, tools),
        )


class MemorySource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is nothing to set but a secret that nobody needs."""

    password: str = ""


class MemoryReader:
    """Implements `ports.source.RecordReader`."""

    def __init__(self, topic: MemoryTopic, tools: ProviderTools) -> None:
        self._topic = topic
        self._clock = tools.clock
        self._done: dict[int, int] = {}
        """By partition that is read."""
        self._fetched: dict[int, int] = {}

    async def seek(self, to: Position | StartAt | Instant) -> Position:
        self._check()
        self._done = {
            number: self._found(number, records, to)
            for number, records in enumerate(self._topic.partitions)
            if not isinstance(to, Mapping) or str(number) in to
        }
        self._fetched = dict(self._done)
        return {str(number): str(offset) for number, offset in self._done.items()}

    async def fetch(self, limit: int) -> Sequence[SourceRecord]:
        self._check()
        found: list[SourceRecord] = []
        for number in self._fetched:
            some = self._topic.partitions[number][self._fetched[number] + 1 :][: limit - len(found)]
            self._fetched[number] += len(some)
            found += some
        if not found:
            self._topic.came.clear()
            try:
                async with self._clock.timeout(1.0):
                    await self._topic.came.wait()
            except TimeoutError:
                pass
        return found

    async def done(self, records: Sequence[SourceRecord]) -> None:
        for record in records:
            self._done[int(record.partition)] = int(record.offset)

    async def peek(self, limit: int) -> Sequence[SourceRecord]:
        self._check()
        every = [record for records in self._topic.partitions for record in records]
        return sorted(every, key=lambda one: (one.at or 0, one.partition, int(one.offset)))[-limit:]

    async def lag(self) -> Mapping[str, int | None]:
        self._check()
        return {
            str(number): len(records) - 1 - self._done[number] if number in self._done else None
            for number, records in enumerate(self._topic.partitions)
        }

    async def close(self) -> None:
        """Nothing is open."""

    def _found(self, number: int, records: Sequence[SourceRecord], to: Position | StartAt | Instant) -> int:
        if to is StartAt.EARLIEST:
            return -1
        if to is StartAt.LATEST:
            return len(records) - 1
        if isinstance(to, int):
            return sum((record.at or 0) < to for record in records) - 1
        assert isinstance(to, Mapping)
        return int(to[str(number)] or -1)

    def _check(self) -> None:
        if self._topic.trouble:
            raise Unavailable(self._topic.trouble)
