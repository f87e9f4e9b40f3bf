"""How far sources and sinks have come: one reader each, a position that a dead one cannot move, dead letters."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.device import Device, Platform
from clarion.model.ids import TenantId, WorkerId
from clarion.model.reading import (
    FOLLOWED,
    USERS,
    WHOLE,
    DeadRecord,
    DeadRecordFilter,
    DeadRecordKind,
    Reading,
    ReadingKind,
    ReadingPlace,
)
from clarion.model.setup import Tenant
from clarion.model.user import Preferences, UserPut
from clarion.model.user_change import UserChangeKind
from clarion.testing.ledger_contract.subject import LedgerSubject, together


def place(
    subject: LedgerSubject, key: str = "orders", kind: ReadingKind = ReadingKind.SOURCE
) -> ReadingPlace:
    """A source of the tenant."""
    return ReadingPlace(tenant=subject.tenant, kind=kind, key=key)


async def taken(
    subject: LedgerSubject, worker: WorkerId, of: ReadingPlace | None = None, *partitions: str
) -> Mapping[str, Reading]:
    """What this worker reads in these partitions from now on, which begin with nothing if they are new."""
    names = partitions or (WHOLE,)
    at = of or place(subject)
    return await subject.ledger.readings.take(worker, at, dict.fromkeys(names), {name: {} for name in names})


async def of_orders(subject: LedgerSubject) -> Mapping[str, Reading]:
    """How far the source is."""
    every = await subject.ledger.readings.of(subject.tenant, ReadingKind.SOURCE)
    return every.get("orders", {})


async def one_worker_reads_at_a_time(subject: LedgerSubject) -> None:
    """Whoever asks first; others when it has given up."""
    readings, first = subject.ledger.readings, subject.worker
    second = await subject.open_worker()
    both = await together(taken(subject, first), taken(subject, second))
    assert sorted(map(len, both)) == [0, 1]
    holder, other = (first, second) if both[0] else (second, first)
    assert (await of_orders(subject))[WHOLE].reader == holder
    assert await taken(subject, holder)
    await readings.give_up(other, place(subject))
    assert not await taken(subject, other)
    await readings.give_up(holder, place(subject))
    assert (await of_orders(subject))[WHOLE].reader is None
    assert await taken(subject, other)
    assert await taken(subject, holder, place(subject, "another"))


async def a_position_is_kept(subject: LedgerSubject) -> None:
    """By partition, with what waits, for whoever reads on."""
    readings, worker = subject.ledger.readings, subject.worker
    begun = await taken(subject, worker, None, "0", "1")
    assert [one.position for one in begun.values()] == [{}, {}]
    moved = {
        partition: replace(one, position={partition: "41"}, lag=12, at=subject.now)
        for partition, one in begun.items()
    }
    assert await readings.move(worker, place(subject), moved) == {"0", "1"}
    assert await readings.of(subject.tenant, ReadingKind.SOURCE) == {"orders": moved}
    assert await readings.of(subject.tenant, ReadingKind.SINK) == {}
    assert await readings.of(TenantId(99), ReadingKind.SOURCE) == {}
    troubled = {"1": replace(moved["1"], trouble="the server is away")}
    assert await readings.move(worker, place(subject), troubled) == {"1"}
    assert await readings.move(worker, place(subject), {}) == frozenset()
    await readings.give_up(worker, place(subject))
    other = await subject.open_worker()
    again = await taken(subject, other, None, "0", "1")
    assert again == {
        partition: replace(one, fence=one.fence + 1, reader=other)
        for partition, one in (moved | troubled).items()
    }


async def partitions_have_readers_of_their_own(subject: LedgerSubject) -> None:
    """A partition that another worker takes over is moved by it alone; the others are moved as before."""
    readings, one = subject.ledger.readings, subject.worker
    another = await subject.open_worker()
    held = await taken(subject, one, None, "0", "1", "2")
    assert set(held) == {"0", "1", "2"}
    assert not await taken(subject, another, None, "0", "1")
    wrong = await readings.take(another, place(subject), {"0": another}, {})
    assert not wrong, "it is taken over from whoever reads it, and from nobody else"
    over = await readings.take(another, place(subject), {"0": one, "3": None}, {"3": {"3": "7"}})
    assert {partition: reading.position for partition, reading in over.items()} == {"0": {}, "3": {"3": "7"}}
    late = {partition: replace(reading, position={partition: "5"}) for partition, reading in held.items()}
    assert await readings.move(one, place(subject), late) == {"1", "2"}
    assert await readings.move(another, place(subject), over) == {"0", "3"}
    await readings.give_up(one, place(subject))
    now = await of_orders(subject)
    assert [now[name].reader for name in "0123"] == [another, None, None, another]
    assert [now[name].position for name in "0123"] == [{}, {"1": "5"}, {"2": "5"}, {"3": "7"}]


async def partitions_begin_once(subject: LedgerSubject) -> None:
    """Whoever reads the whole source says where; others who found other ends at the same time change nothing."""
    readings, one = subject.ledger.readings, subject.worker
    another = await subject.open_worker()
    assert await taken(subject, one)
    late: Mapping[str, Mapping[str, str]] = {"0": {"0": "9"}, "1": {"1": "9"}}
    assert not await readings.take(another, place(subject), dict.fromkeys(late), late)
    ends: Mapping[str, Mapping[str, str]] = {"0": {"0": "4"}, "1": {"1": "6"}}
    assert set(await readings.take(one, place(subject), {"0": None}, ends)) == {"0"}
    assert set(await readings.take(another, place(subject), dict.fromkeys(late), late)) == {"1"}
    now = await of_orders(subject)
    assert {partition: reading.position for partition, reading in now.items()} == ends


async def a_dead_worker_moves_nothing(subject: LedgerSubject) -> None:
    """Its lease ran out, so another one reads on from its last position, and its late write is refused."""
    readings, dead = subject.ledger.readings, subject.worker
    first = await taken(subject, dead, None, "0")
    moved = {"0": replace(first["0"], position={"0": "5"})}
    assert await readings.move(dead, place(subject), moved) == {"0"}
    await subject.replace_worker()
    assert (await of_orders(subject))["0"].reader is None
    again = await taken(subject, subject.worker, None, "0")
    assert again["0"].position == {"0": "5"}
    assert again["0"].fence > first["0"].fence
    late = {"0": replace(first["0"], position={"0": "9"})}
    assert await readings.move(dead, place(subject), late) == frozenset()
    assert not await taken(subject, dead, place(subject, "another"))
    assert (await of_orders(subject))["0"].position == {"0": "5"}


async def a_rewound_reader_begins_anew(subject: LedgerSubject) -> None:
    """What it still stores is refused; what it takes up next is the new position. Partitions that are not named begin anew."""
    readings, worker = subject.ledger.readings, subject.worker
    first = await taken(subject, worker, None, "0", "1")
    await readings.rewind(place(subject), {"0": {"0": "2"}}, subject.now, repeat=True)
    assert await readings.move(worker, place(subject), first) == frozenset()
    again = await readings.take(worker, place(subject), {"0": None, "1": None}, {})
    assert set(again) == {"0"}
    assert (again["0"].position, again["0"].repeat, again["0"].at) == ({"0": "2"}, 1, subject.now)
    assert again["0"].fence > first["0"].fence
    await readings.rewind(place(subject), {"0": {"0": "1"}}, subject.now, repeat=False)
    assert (await of_orders(subject))["0"].repeat == 1
    await readings.rewind(place(subject, "new"), {"0": {"0": "1"}}, subject.now, repeat=False)
    every = await readings.of(subject.tenant, ReadingKind.SOURCE)
    assert every["new"]["0"].position == {"0": "1"}


async def a_forgotten_position_is_gone(subject: LedgerSubject) -> None:
    """Whoever reads is refused."""
    readings = subject.ledger.readings
    first = await taken(subject, subject.worker, None, "0", "1")
    await readings.forget(place(subject))
    assert await readings.move(subject.worker, place(subject), first) == frozenset()
    assert await readings.of(subject.tenant, ReadingKind.SOURCE) == {}
    assert (await taken(subject, subject.worker, None, "0"))["0"].position == {}


async def what_becomes_of_users_is_recorded_while_a_sink_follows(subject: LedgerSubject) -> None:
    """In one order with what becomes of messages, each once; nothing before and after, and nothing of other tenants."""
    ledger, tenant = subject.ledger, subject.tenant
    readings, following = ledger.readings, place(subject, "crm", ReadingKind.SINK)
    await subject.put_user("early")
    reading = (await readings.take(subject.worker, following, {WHOLE: None}, {WHOLE: {}}))[WHOLE]

    async def follow(value: str) -> None:
        moved = {WHOLE: replace(reading, position={USERS: value})}
        assert await readings.move(subject.worker, following, moved) == {WHOLE}

    await follow(FOLLOWED)
    other = await ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    await subject.put_user("stranger", tenant=other.id)
    (eve,) = await ledger.users.put(tenant, [UserPut(id="eve")])
    await ledger.users.put(tenant, [UserPut(id="eve"), UserPut(id="$test:eve")])
    german = replace(eve.profile, locale="de")
    await ledger.users.put(tenant, [UserPut(id="eve", profile=german)])
    await ledger.users.put(tenant, [UserPut(id="eve", profile=german)])
    await subject.plan(subject.planned())
    silent = replace(german, preferences=Preferences(channels={Channel.SMS: False}))
    await ledger.users.put(tenant, [UserPut(id="eve", profile=silent)])
    phone = Device(id="phone", platform=Platform.ANDROID, address="fcm:token")
    await ledger.devices.put(tenant, eve.no, phone, subject.now)
    await ledger.devices.put(tenant, subject.bob.no, phone, subject.now)
    assert await ledger.devices.delete(tenant, subject.bob.no, "phone")
    assert await ledger.users.delete(tenant, "eve")
    await follow("")
    await subject.put_user("late")
    whole = await ledger.journal.page(tenant, 0, 1_000)
    kinds = UserChangeKind
    assert sorted((one.user, one.kind) for one in whole.users if one.user == subject.bob.no) == [
        (subject.bob.no, kinds.DETACHED),
        (subject.bob.no, kinds.REGISTERED),
    ]
    of_eve = [one for one in whole.users if one.user == eve.no]
    assert [one.kind for one in of_eve] == [
        kinds.CREATED,
        kinds.UPDATED,
        kinds.PREFERENCES,
        kinds.REGISTERED,
        kinds.DETACHED,
        kinds.ERASED,
    ]
    assert len(whole.users) == len(of_eve) + 2
    assert all((one.tenant, one.at) == (tenant, subject.now) for one in whole.users)
    assert [bool(one.sealed_id) for one in of_eve] == [False] * 5 + [True]
    assert b"eve" not in of_eve[-1].sealed_id
    planned = whole.changes[-1].seq
    assert of_eve[1].seq < planned < of_eve[2].seq
    found: list[int] = []
    while (
        last := (page := await ledger.journal.page(tenant, found[-1] if found else 0, 2)).last
    ) is not None:
        assert page.size <= 2
        found += sorted([one.seq for one in page.changes] + [one.seq for one in page.users])
        assert found[-1] == last.seq
    assert found == sorted([one.seq for one in whole.changes] + [one.seq for one in whole.users])
    assert len(set(found)) == len(found)


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
    partitions_have_readers_of_their_own,
    partitions_begin_once,
    a_dead_worker_moves_nothing,
    a_rewound_reader_begins_anew,
    a_forgotten_position_is_gone,
    what_becomes_of_users_is_recorded_while_a_sink_follows,
    dead_records_wait_for_a_person,
)
