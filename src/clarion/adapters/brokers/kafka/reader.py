"""Reads the topic of a lane: a thread waits for Kafka, tenants take turns in what it has read.

Where each partition stands is in the ledger (`ports.ledger.Partitions`). What was read and not planned is held in order of
offsets, so that a partition never stands behind something that is not planned.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from clarion.adapters.brokers.entry_encoding import UnreadableEntry, decoded
from clarion.adapters.brokers.kafka.address import KafkaAddress
from clarion.adapters.brokers.kafka.publisher import Publisher
from clarion.adapters.brokers.kafka.topics import LaneTopic, topic_name
from clarion.adapters.brokers.turns import Turns
from clarion.adapters.brokers.unfinished import Unfinished
from clarion.adapters.kafka import quiet
from clarion.errors import Busy, Unavailable
from clarion.model.channel import Lane
from clarion.model.event import Entry, Position
from clarion.model.ids import Instant, time_of
from clarion.ports.clock import Clock
from clarion.ports.ledger import Partitions

T = TypeVar("T")

log = structlog.get_logger(__name__)

SETTINGS: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 2_000,
}
MOST_BYTES = 32 * 1024 * 1024
"""Memory that what was read of a lane may take, roughly."""
MOST_ENTRIES = 8_192
ENTRY_BYTES = 1_000
"""What an entry takes in memory besides its data."""
AT_ONCE = 1_000
POLL_S = 0.1
TELL_S = 5.0
"""Between two times that Kafka is told where we stand, for those who watch the lag there."""
HANDING_OVER_S = 5.0
"""How long a partition that another process is to have waits for what of it is being planned."""
AGAIN_S = 1.0
"""Before the next try to reach what is away."""


def settings_of(address: KafkaAddress, lane: Lane) -> Mapping[str, Any]:
    """What a consumer is made with: one of the group of all processes that read the lane."""
    group: dict[str, Any] = {"group.id": topic_name(address, lane), "group.protocol": address.group}
    if address.group == "classic":
        session_ms = address.session_s * 1_000
        group |= {
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": session_ms // 3,
        }
    return {**address.client, **SETTINGS, **group}


class Partition:
    """One partition that this process reads."""

    def __init__(self, position: Position) -> None:
        self.name = position.partition
        self.epoch = position.epoch
        self.unfinished = Unfinished()
        self.taken = 0
        """Entries that were taken to be planned."""
        self.revoked = False
        self._read = position.offset
        self._told = position.offset

    @property
    def position(self) -> int:
        """Up to where all is planned."""
        first = self.unfinished.first()
        return self._read if first is None else first

    def begin(self, offset: int) -> None:
        """It was read."""
        self.unfinished.begin(offset)
        self._read = offset + 1

    def moved(self) -> bool:
        """Whether it stands elsewhere than it was when this was asked last."""
        told, self._told = self._told, self.position
        return told != self._told


class Read(NamedTuple):
    """An entry, and where it was read."""

    entry: Entry
    partition: Partition
    offset: int


class ReadTogether:
    """What was taken together."""

    def __init__(self, reader: LaneReader, reads: Sequence[Read]) -> None:
        self.reader = reader
        self.reads = reads
        self.planned = False


class LaneReader:
    """Reads one lane, as one of the group that shares its partitions. Used from one event loop."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        topic: LaneTopic,
        lane: Lane,
        dead_letters: str,
        publisher: Publisher,
        ledger: Partitions,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._lane = lane
        self._dead_letters = dead_letters
        self._publisher = publisher
        self._ledger = ledger
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._full = threading.Event()
        self._caught_up = False
        """Everything was read once that was there at the start, or as much as there is room for: until then nobody knows whose
        turn it is."""
        self._thread = threading.Thread(target=self._run, name=f"kafka-{lane}", daemon=True)
        self._partitions: dict[int, Partition] = {}
        self._waiting: Turns[Read] = Turns()
        self._held: dict[int, Read] = {}
        """By the `seq` of the entry, in order."""
        self._bytes = 0
        self._began: dict[int, int] = {}
        """Where the reading of each partition began; the thread's."""
        self._numbered = 0
        """The last `seq` of an entry; the thread's."""
        self._burying: set[asyncio.Task[None]] = set()
        self._given_back = asyncio.Event()
        self.arrived = asyncio.Event()
        """Set when there is something new to look at."""
        self._thread.start()

    # -- on the event loop ------------------------------------------------------------------------------------

    def take(self, limit: int) -> ReadTogether | None:
        """Up to `limit` entries, the tenants in turn; None when there are none."""
        if not self._caught_up and not self._full.is_set():
            return None
        reads: list[Read] = []
        while len(reads) < limit and (some := self._waiting.take(limit - len(reads))):
            reads += [read for read in some if not read.partition.revoked]
        for read in reads:
            read.partition.taken += 1
        return ReadTogether(self, reads) if reads else None

    def positions(self, receipt: ReadTogether) -> tuple[Position, ...]:
        """Where the partitions stand when these are planned, as all before them are."""
        if not receipt.planned:
            receipt.planned = True
            for partition, reads in _by_partition(receipt.reads).items():
                partition.unfinished.finish([read.offset for read in reads])
        moved = {partition for partition in self._partitions.values() if partition.moved()}
        moved |= {read.partition for read in receipt.reads}
        return tuple([Position(p.name, p.position, p.epoch) for p in moved])

    def finish(self, receipt: ReadTogether) -> None:
        """Their plan is stored."""
        for read in receipt.reads:
            read.partition.taken -= 1
        self._drop(receipt.reads)
        self._given_back.set()

    @property
    def oldest_at(self) -> Instant | None:
        """When the oldest entry was accepted that was read and is not planned."""
        return min((time_of(read.entry.event_id) for read in self._held.values()), default=None)

    async def stop(self) -> None:
        """Leave the group; what was read comes to somebody else."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)
        for task in self._burying:
            task.cancel()

    def _own(self, numbered: Mapping[int, Position]) -> None:
        self._forget(numbered)
        for number, position in numbered.items():
            self._partitions[number] = Partition(position)

    def _arrived(self, number: int, read: Sequence[tuple[int, Entry | UnreadableEntry, bytes]]) -> None:
        partition = self._partitions.get(number)
        if partition is None:
            return  # It was taken away meanwhile.
        for offset, found, raw in read:
            partition.begin(offset)
            if isinstance(found, UnreadableEntry):
                task = asyncio.ensure_future(self._bury(partition, offset, raw, str(found)))
                self._burying.add(task)
                task.add_done_callback(self._burying.discard)
                continue
            one = Read(found, partition, offset)
            self._held[found.seq] = one
            self._waiting.put(found.tenant, one)
            self._bytes += _size(found)
        self._look_for_room()
        self.arrived.set()

    def _catch_up(self) -> None:
        self._caught_up = True
        self.arrived.set()

    async def _give_back(self, numbers: Iterable[int]) -> None:
        """Deliver nothing more of these, and wait a while for what is being planned."""
        leaving = self._forget(numbers)
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(0 if self._stopping.is_set() else HANDING_OVER_S):
                while any(partition.taken for partition in leaving):
                    self._given_back.clear()
                    await self._given_back.wait()

    def _forget(self, numbers: Iterable[int]) -> Sequence[Partition]:
        """What was read of these and not taken is not delivered."""
        leaving = [self._partitions.pop(number) for number in numbers if number in self._partitions]
        for partition in leaving:
            partition.revoked = True
        self._drop([read for read in self._held.values() if read.partition.revoked])
        return leaving

    async def _bury(self, partition: Partition, offset: int, raw: bytes, reason: str) -> None:
        """Only when the dead letter is durable does the partition pass it."""
        log.error("entry_unreadable", lane=self._lane, reason=reason, partition=partition.name, offset=offset)
        headers = {
            "reason": reason,
            "lane": self._lane.value,
            "partition": partition.name,
            "offset": str(offset),
        }
        while True:
            try:
                await self._publisher.send_one(self._dead_letters, raw, headers)
                break
            except (Unavailable, Busy):
                await self._clock.sleep(AGAIN_S)
        partition.unfinished.finish([offset])

    def _drop(self, reads: Iterable[Read]) -> None:
        for read in list(reads):
            if self._held.pop(read.entry.seq, None) is not None:
                self._bytes -= _size(read.entry)
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self._bytes > MOST_BYTES or len(self._held) > MOST_ENTRIES:
            self._full.set()
        elif self._bytes < MOST_BYTES // 2 and len(self._held) < MOST_ENTRIES // 2:
            self._full.clear()

    # -- in the thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = Consumer(dict(self._settings), logger=quiet)
            try:
                self._read(consumer)
            except KafkaException as fault:
                log.error("kafka_consumer_replaced", lane=self._lane, error=fault.args[0].name())
                self._stopping.wait(AGAIN_S)
            finally:
                consumer.close()

    def _read(self, consumer: Any) -> None:
        """Until we stop, or an error ends the consumer."""
        consumer.subscribe(
            [self._topic.name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        paused, tell_s = False, self._clock.monotonic() + TELL_S
        while not self._stopping.is_set():
            if self._full.is_set():
                consumer.pause(consumer.assignment())
                paused = True
            elif paused:
                consumer.resume(consumer.assignment())
                paused = False
            messages = [m for m in (consumer.poll(POLL_S), *consumer.consume(AT_ONCE, 0)) if m is not None]
            read: defaultdict[int, list[tuple[int, Entry | UnreadableEntry, bytes]]] = defaultdict(list)
            for message in messages:
                if (error := message.error()) is not None:
                    if error.fatal():
                        raise KafkaException(error)
                    if error.name() != "_PARTITION_EOF":
                        log.warning("kafka_unavailable", lane=self._lane, error=error.name())
                    continue
                self._numbered += 1
                raw = message.value() or b""
                try:
                    found: Entry | UnreadableEntry = decoded(raw, self._lane, self._numbered)
                except UnreadableEntry as wrong:
                    found = wrong
                read[message.partition()].append((message.offset(), found, raw))
            for number, some in read.items():
                self._loop.call_soon_threadsafe(self._arrived, number, some)
            if not self._caught_up and self._at_end(consumer):
                self._loop.call_soon_threadsafe(self._catch_up)
            if self._clock.monotonic() >= tell_s:
                tell_s = self._clock.monotonic() + TELL_S
                self._tell(consumer)
        self._tell(consumer)

    def _assigned(self, consumer: Any, assigned: Sequence[Any]) -> None:
        """These are ours, perhaps none yet: begin where the ledger says that all before is planned."""
        if not assigned:
            return
        numbers = [one.partition for one in assigned]
        names = [self._topic.partition(number) for number in numbers]
        taken: Sequence[Position] = ()
        while not taken and not self._stopping.is_set():
            try:
                taken = self._ask(self._ledger.take(names))
            except Unavailable:
                self._stopping.wait(AGAIN_S)
        positions = dict(zip(numbers, taken, strict=bool(taken)))
        self._began.update((number, position.offset) for number, position in positions.items())
        self._loop.call_soon_threadsafe(self._own, positions)
        consumer.incremental_assign(
            [
                TopicPartition(self._topic.name, number, position.offset or OFFSET_BEGINNING)
                for number, position in positions.items()
            ]
        )

    def _revoked(self, consumer: Any, revoked: Sequence[Any]) -> None:
        self._tell(consumer)
        self._ask(self._give_back([one.partition for one in revoked]))
        consumer.incremental_unassign(revoked)

    def _at_end(self, consumer: Any) -> bool:
        """Whether it has read all that was there when it asked Kafka last."""
        assigned = consumer.assignment()
        for place in consumer.position(assigned):
            first, end = consumer.get_watermark_offsets(place, cached=True)
            if end < 0 or max(place.offset, first, self._began[place.partition]) < end:
                return False
        return bool(assigned)

    def _tell(self, consumer: Any) -> None:
        """Kafka shows its own lag by this; nothing of ours reads it."""
        offsets = [
            TopicPartition(self._topic.name, number, partition.position)
            for number, partition in list(self._partitions.items())
            if partition.position
        ]
        if offsets:
            with contextlib.suppress(KafkaException):
                consumer.commit(offsets=offsets, asynchronous=True)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        """What the event loop answers."""
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result()
        except concurrent.futures.CancelledError:
            raise Unavailable("the process ends") from None


def _by_partition(reads: Iterable[Read]) -> Mapping[Partition, Sequence[Read]]:
    found: defaultdict[Partition, list[Read]] = defaultdict(list)
    for read in reads:
        found[read.partition].append(read)
    return found


def _size(entry: Entry) -> int:
    return ENTRY_BYTES + len(entry.sealed)
