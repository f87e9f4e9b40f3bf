"""What every kind of source must do, as checks to run over yours, each on a new and empty topic or queue.

import pytest
from clarion.testing.source_contract import SOURCE_CONTRACT, SourceSubject

@pytest.mark.parametrize("check", SOURCE_CONTRACT, ids=lambda check: check.__name__)
async def test_my_source_keeps_the_contract(check, my_subject):
    await check(my_subject)

`SourceSubject` says how records get into the topic. What follows records (workflows, dead letters, pausing) is the
engine's and the same for every kind.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from clarion.errors import InvalidInput
from clarion.model.source import StartAt
from clarion.ports.source import Position, RecordReader, SourceRecord

TRIES: Final = 60
"""Fetches, each of up to a second, in which what must come comes on however slow a machine."""


class Publication(NamedTuple):
    """What another program puts into the topic."""

    value: bytes
    key: str = ""
    headers: Mapping[str, str] = {}


class SourceSubject(NamedTuple):
    """A new and empty topic, queue or stream."""

    open: Callable[[], RecordReader]
    """Another connection to it."""
    publish: Callable[[Sequence[Publication]], Awaitable[None]]
    """Durable when this returns."""
    positions: bool = True
    """The server keeps positions: records stay when they are done, and it can be rewound."""
    ordered: bool = True
    """Records of one key come in order."""
    keyed: bool = True
    """Records have keys."""
    binary: bool = True
    """Records may be any bytes; else they are JSON."""
    counted: bool = True
    """The server says how many records wait, at once and exactly."""
    competing: bool = False
    """The server hands each record to one of those who read."""


@contextlib.asynccontextmanager
async def reading(subject: SourceSubject, start: Position | StartAt) -> AsyncIterator[RecordReader]:
    """A connection that reads from there."""
    reader = subject.open()
    try:
        await reader.seek(start)
        yield reader
    finally:
        await reader.close()


async def fetched(reader: RecordReader, count: int) -> list[SourceRecord]:
    """So many records, each once. What an earlier connection did not do may come late."""
    found: dict[bytes, SourceRecord] = {}
    for _ in range(TRIES):
        for record in await reader.fetch(100):
            found.setdefault(record.value, record)
        if len(found) >= count:
            break
    assert len(found) == count, f"{len(found)} records came, and not {count}"
    return list(found.values())


async def waiting(reader: RecordReader) -> int | None:
    """What waits in all partitions together."""
    lags = [lag for lag in (await reader.lag()).values() if lag is not None]
    return sum(lags) if lags else None


def position_of(records: Sequence[SourceRecord]) -> Position:
    """The position behind these."""
    return {record.partition: record.offset for record in records if record.offset}


def orders(count: int, named: str = "order", key: str = "") -> list[Publication]:
    """Records that differ; without a key they go round three of them."""
    return [
        Publication(f'{{"{named}":{number}}}'.encode(), key or f"customer-{number % 3}")
        for number in range(count)
    ]


async def every_record_comes(subject: SourceSubject) -> None:
    """With its key, its headers and its value, those of a key in order, each with a place of its own."""
    last = b"\x00\xff binary" if subject.binary else '"\N{PILE OF POO}"'.encode()
    published = [*orders(20), Publication(last, "customer-0", {"trace": "t-1"})]
    async with reading(subject, StartAt.EARLIEST) as reader:
        await subject.publish(published)
        records = await fetched(reader, len(published))
    assert {record.value for record in records} == {one.value for one in published}
    keys = {one.value: one.key for one in published}
    if subject.keyed:
        assert all(record.key == keys[record.value] for record in records)
    (traced,) = [record for record in records if record.value == last]
    assert {name.lower(): value for name, value in traced.headers.items()}["trace"] == "t-1"
    assert len({record.place for record in records}) in (len(records), 1)
    assert all(record.at is None or record.at > 1_600_000_000_000 for record in records)
    if subject.ordered:
        for key in set(keys.values()):
            wanted = [one.value for one in published if one.key == key]
            assert [record.value for record in records if keys[record.value] == key] == wanted


async def what_is_not_done_comes_again(subject: SourceSubject) -> None:
    """To the next connection, as after a crash; what is done does not."""
    await subject.publish(orders(6, key="customer-1"))
    async with reading(subject, StartAt.EARLIEST) as reader:
        records = await fetched(reader, 6)
        done = records[:4]
        await reader.done(done)
    async with reading(subject, position_of(done) or StartAt.EARLIEST) as reader:
        again = await fetched(reader, 2)
        assert {record.value for record in again} == {record.value for record in records[4:]}
        await reader.done(again)


async def a_record_that_comes_again_is_recognised(subject: SourceSubject) -> None:
    """By its offset or its id, where the server has one."""
    await subject.publish(orders(3 if subject.positions else 1, key="customer-1"))
    places = []
    for _ in range(2):
        reader = subject.open()
        try:
            if subject.positions:
                await reader.seek(StartAt.EARLIEST)
                records: Sequence[SourceRecord] = await fetched(reader, 3)
            else:
                records = await reader.peek(1)
            places.append(sorted((record.value, record.place) for record in records))
        finally:
            await reader.close()
    assert places[0] == places[1]


async def an_empty_topic_gives_nothing(subject: SourceSubject) -> None:
    """And nothing hangs."""
    async with reading(subject, StartAt.EARLIEST) as reader:
        assert list(await reader.fetch(10)) == []
        assert list(await reader.peek(10)) == []
        assert await waiting(reader) in (0, None)


async def a_limit_is_kept(subject: SourceSubject) -> None:
    """No fetch brings more, and nothing is lost by it."""
    await subject.publish(orders(12))
    seen = set()
    async with reading(subject, StartAt.EARLIEST) as reader:
        for _ in range(TRIES):
            records = await reader.fetch(3)
            assert len(records) <= 3
            seen |= {record.value for record in records}
            if len(seen) == 12:
                break
            await reader.done(records)
    assert len(seen) == 12


async def a_look_takes_nothing(subject: SourceSubject) -> None:
    """What was shown is still there for whoever reads."""
    await subject.publish(orders(5, key="customer-1"))
    reader = subject.open()
    try:
        shown = await reader.peek(3)
    finally:
        await reader.close()
    assert 0 < len(shown) <= 3
    if subject.positions:
        assert [record.value for record in shown] == [one.value for one in orders(5)[-3:]]
    async with reading(subject, StartAt.EARLIEST) as reader:
        assert len(await fetched(reader, 5)) == 5


async def latest_passes_over_what_was_there(subject: SourceSubject) -> None:
    """From then on everything comes, also what came between two connections."""
    if not subject.positions:
        return
    await subject.publish(orders(4, "old"))
    reader = subject.open()
    try:
        position = await reader.seek(StartAt.LATEST)
    finally:
        await reader.close()
    await subject.publish(orders(4, "new"))
    async with reading(subject, position) as reader:
        assert all(b"new" in record.value for record in await fetched(reader, 4))


async def it_is_rewound(subject: SourceSubject) -> None:
    """To its oldest record, or to a time; a queue that forgets says that it cannot be."""
    await subject.publish(orders(3, "first"))
    async with reading(subject, StartAt.EARLIEST) as reader:
        records = await fetched(reader, 3)
        await reader.done(records)
        newest = max(record.at or 0 for record in records)
        if not subject.positions:
            try:
                await reader.seek({"0": "1"})
            except InvalidInput:
                return
            raise AssertionError("a queue that forgets was rewound")
        await reader.seek(StartAt.EARLIEST)
        assert len(await fetched(reader, 3)) == 3
        await reader.seek(newest + 60_000)  # type: ignore[arg-type]
        assert list(await reader.fetch(10)) == []
        await reader.seek(newest - 3_600_000)  # type: ignore[arg-type]
        assert len(await fetched(reader, 3)) == 3


async def what_waits_is_counted(subject: SourceSubject) -> None:
    """Behind what is done, not behind what was fetched."""
    await subject.publish(orders(7, key="customer-1"))
    async with reading(subject, StartAt.EARLIEST) as reader:
        lag = await waiting(reader)
        if not subject.counted:
            assert lag is None or lag >= 0
            return
        assert lag == 7
        records = await fetched(reader, 7)
        assert await waiting(reader) == 7
        await reader.done(records)
        assert await waiting(reader) == 0


async def partitions_are_read_apart(subject: SourceSubject) -> None:
    """A connection reads those that it is told, from their oldest record where there is no offset, and knows of the others."""
    await subject.publish(orders(12))
    async with reading(subject, StartAt.EARLIEST) as reader:
        partitions = sorted(await reader.lag())
        found = await fetched(reader, 12)
    if len(partitions) == 1:
        return
    for partition in partitions:
        here = [record.value for record in found if record.partition == partition]
        async with reading(subject, {partition: ""}) as reader:
            lags = await reader.lag()
            assert {**lags} == dict.fromkeys(partitions) | {partition: len(here)}
            assert [record.value for record in await fetched(reader, len(here))] == here
            others = {one: "" for one in partitions if one != partition}
            await reader.seek(others)
            assert len(await fetched(reader, 12 - len(here))) == 12 - len(here)


async def readers_share_a_queue(subject: SourceSubject) -> None:
    """Each record comes to one of those who read at the same time."""
    if not subject.competing:
        return
    await subject.publish(orders(30))
    async with (
        reading(subject, StartAt.EARLIEST) as one,
        reading(subject, StartAt.EARLIEST) as another,
    ):
        found: list[bytes] = []
        for _ in range(TRIES):
            for reader in (one, another):
                records = await reader.fetch(5)
                found += [record.value for record in records]
                if records:
                    await reader.done(records)
            if len(found) >= 30:
                break
    assert sorted(found) == sorted(record.value for record in orders(30))


SOURCE_CONTRACT = (
    every_record_comes,
    what_is_not_done_comes_again,
    a_record_that_comes_again_is_recognised,
    an_empty_topic_gives_nothing,
    a_limit_is_kept,
    a_look_takes_nothing,
    latest_passes_over_what_was_there,
    it_is_rewound,
    what_waits_is_counted,
    partitions_are_read_apart,
    readers_share_a_queue,
)
