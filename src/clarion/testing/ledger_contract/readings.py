"""How far sources and sinks have come: one reader each, a position that a dead one cannot move, dead letters."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.ids import TenantId
from clarion.model.reading import (
    DeadRecord,
    DeadRecordFilter,
    DeadRecordKind,
    Reading,
    ReadingKind,
    ReadingPlace,
)
from clarion.testing.ledger_contract.subject import LedgerSubject, together


def place(
    subject: LedgerSubject, key: str = "orders", kind: ReadingKind = ReadingKind.SOURCE
) -> ReadingPlace:
    """A source of the tenant."""
    return ReadingPlace(tenant=subject.tenant, kind=kind, key=key)


async def one_worker_reads_at_a_time(subject: LedgerSubject) -> None:
    """Whoever asks first; others when it has given up."""
    readings, first = subject.ledger.readings, subject.worker
    second = await subject.open_worker()
    taken = await together(readings.take(first, place(subject)), readings.take(second, place(subject)))
    assert sorted(one is not None for one in taken) == [False, True]
    holder, other = (first, second) if taken[0] is not None else (second, first)
    assert await readings.take(holder, place(subject)) is not None
    await readings.give_up(other, place(subject))
    assert await readings.take(other, place(subject)) is None
    await readings.give_up(holder, place(subject))
    assert await readings.take(other, place(subject)) is not None
    assert await readings.take(holder, place(subject, "another")) is not None


async def a_position_is_kept(subject: LedgerSubject) -> None:
    """By partition, with what waits, for whoever reads on."""
    readings = subject.ledger.readings
    reading = await readings.take(subject.worker, place(subject))
    assert reading is not None
    assert reading.position == {}
    moved = replace(reading, position={"0": "41", "1": "7"}, lag=12, at=subject.now)
    assert await readings.move(subject.worker, place(subject), moved)
    assert await readings.of(subject.tenant, ReadingKind.SOURCE) == {"orders": moved}
    assert await readings.of(subject.tenant, ReadingKind.SINK) == {}
    assert await readings.of(TenantId(99), ReadingKind.SOURCE) == {}
    troubled = replace(moved, trouble="the server is away")
    assert await readings.move(subject.worker, place(subject), troubled)
    await readings.give_up(subject.worker, place(subject))
    again = await readings.take(await subject.open_worker(), place(subject))
    assert again == replace(troubled, fence=again.fence if again else 0)


async def a_dead_worker_moves_nothing(subject: LedgerSubject) -> None:
    """Its lease ran out, so another one reads on from its last position, and its late write is refused."""
    readings, dead = subject.ledger.readings, subject.worker
    reading = await readings.take(dead, place(subject))
    assert reading is not None
    assert await readings.move(dead, place(subject), replace(reading, position={"0": "5"}))
    await subject.replace_worker()
    taken = await readings.take(subject.worker, place(subject))
    assert taken is not None
    assert taken.position == {"0": "5"}
    assert taken.fence > reading.fence
    assert not await readings.move(dead, place(subject), replace(reading, position={"0": "9"}))
    assert await readings.take(dead, place(subject, "another")) is None
    assert (await readings.of(subject.tenant, ReadingKind.SOURCE))["orders"].position == {"0": "5"}


async def a_rewound_reader_begins_anew(subject: LedgerSubject) -> None:
    """What it still stores is refused; what it takes up next is the new position."""
    readings = subject.ledger.readings
    reading = await readings.take(subject.worker, place(subject))
    assert reading is not None
    await readings.rewind(place(subject), {"0": "2"}, subject.now, repeat=True)
    assert not await readings.move(subject.worker, place(subject), replace(reading, position={"0": "9"}))
    again = await readings.take(subject.worker, place(subject))
    assert again is not None
    assert (again.position, again.repeat, again.at) == ({"0": "2"}, 1, subject.now)
    await readings.rewind(place(subject), {}, subject.now, repeat=False)
    assert (await readings.of(subject.tenant, ReadingKind.SOURCE))["orders"].repeat == 1
    await readings.rewind(place(subject, "new"), {"0": "1"}, subject.now, repeat=False)
    assert (await readings.of(subject.tenant, ReadingKind.SOURCE))["new"].position == {"0": "1"}


async def a_forgotten_position_is_gone(subject: LedgerSubject) -> None:
    """Whoever reads is refused."""
    readings = subject.ledger.readings
    reading = await readings.take(subject.worker, place(subject))
    assert reading is not None
    await readings.forget(place(subject))
    assert not await readings.move(subject.worker, place(subject), reading)
    assert await readings.of(subject.tenant, ReadingKind.SOURCE) == {}
    assert (await readings.take(subject.worker, place(subject)) or reading).position == Reading().position


async def dead_records_wait_for_a_person(subject: LedgerSubject) -> None:
    """Once each, newest first, per tenant, until they are dropped."""
    dead = subject.ledger.dead_records
    one = DeadRecord(
        tenant=subject.tenant,
        kind=DeadRecordKind.SOURCE_RECORD,
        origin="orders",
        place="orders/0/17",
        reason="mapping_failed",
        detail="there is no field `user`",
        sealed=b"\x00\x01sealed",
        at=subject.now,
    )
    event = replace(one, kind=DeadRecordKind.SINK_EVENT, origin="out")
    await dead.keep([one, replace(one, place="orders/0/18"), event])
    await dead.keep([one, replace(one, tenant=TenantId(99))])
    of_source = DeadRecordFilter(kind=DeadRecordKind.SOURCE_RECORD, origin="orders")
    newest, oldest = await dead.page(subject.tenant, of_source, None, 10)
    assert (newest.place, oldest) == ("orders/0/18", replace(one, seq=oldest.seq))
    assert await dead.page(subject.tenant, of_source, newest.seq, 10) == [oldest]
    assert len(await dead.page(subject.tenant, DeadRecordFilter(), None, 2)) == 2
    assert await dead.count(subject.tenant, of_source, 10) == 2
    assert await dead.count(subject.tenant, DeadRecordFilter(), 2) == 2
    assert await dead.named(subject.tenant, [oldest.seq, 12345, newest.seq]) == [oldest, newest]
    assert await dead.named(TenantId(99), [oldest.seq]) == []
    assert await dead.drop(TenantId(99), [oldest.seq]) == 0
    assert await dead.drop(subject.tenant, [oldest.seq, oldest.seq]) == 1
    assert await dead.page(subject.tenant, of_source, None, 10) == [newest]


READINGS_CONTRACT = (
    one_worker_reads_at_a_time,
    a_position_is_kept,
    a_dead_worker_moves_nothing,
    a_rewound_reader_begins_anew,
    a_forgotten_position_is_gone,
    dead_records_wait_for_a_person,
)
