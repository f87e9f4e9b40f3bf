"""The event log and idempotency keys."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, IdempotencyRecord, Position
from clarion.model.ids import Instant, TenantId
from clarion.testing.ledger_contract.subject import LedgerSubject, together


def claim(
    subject: LedgerSubject, answer: bytes = b"first", *, key: bytes = b"k" * 16, body: bytes = b"body"
) -> IdempotencyRecord:
    """On a key, for a day."""
    return IdempotencyRecord(
        tenant=subject.tenant,
        key=key,
        fingerprint=body,
        answer=answer,
        expires_at=Instant(subject.now + 86_400_000),
    )


async def entries_come_back_in_order_with_their_positions(subject: LedgerSubject) -> None:
    """What is appended is read in that order, lane by lane, byte for byte."""
    log = subject.ledger.log
    appended, results = await log.append([subject.entry(sealed=bytes([n])) for n in range(5)], [None] * 5)
    await log.append([subject.entry(lane=Lane.BULK)], [None])
    assert list(results) == [None] * 5
    assert list(await log.read(Lane.NORMAL, 0, 10)) == list(appended)
    assert [e.seq for e in appended] == sorted({e.seq for e in appended})
    assert list(await log.read(Lane.NORMAL, appended[1].seq, 2)) == list(appended[2:4])
    assert await log.end(Lane.NORMAL) == appended[-1].seq
    assert len(await log.read(Lane.BULK, 0, 10)) == 1


async def one_call_may_fill_several_lanes(subject: LedgerSubject) -> None:
    """Each entry goes to its own lane."""
    appended, _ = await subject.ledger.log.append(
        [subject.entry(lane=lane) for lane in LANES], [None] * len(LANES)
    )
    for entry in appended:
        assert list(await subject.ledger.log.read(entry.lane, 0, 10)) == [entry]


async def appends_at_once_are_all_kept(subject: LedgerSubject) -> None:
    """Nothing is lost or doubled when many callers append together, and each gets its own positions."""
    done = await together(
        *(subject.ledger.log.append([subject.entry(sealed=b"%d" % n)], [None]) for n in range(200))
    )
    read = await subject.ledger.log.read(Lane.NORMAL, 0, 1000)
    assert {e.sealed: e.seq for (e,), _ in done} == {e.sealed: e.seq for e in read}
    assert len(read) == 200


async def the_cursor_moves_with_the_plan(subject: LedgerSubject) -> None:
    """Up to the first entry that is not planned; what went ahead is not read again."""
    log = subject.ledger.log
    first, second, third, fourth = (await log.append([subject.entry() for _ in range(4)], [None] * 4))[0]
    assert await log.position(Lane.NORMAL) == first.seq - 1
    message = subject.planned()
    await subject.plan(message, consumed=Consumed(Lane.NORMAL, (third.seq,)))
    assert await log.position(Lane.NORMAL) == first.seq - 1
    assert list(await log.read(Lane.NORMAL, 0, 10)) == [first, second, fourth]
    assert list(await log.read(Lane.NORMAL, 0, 2)) == [first, second]
    await together(subject.consume(second), subject.consume(first))
    assert await log.position(Lane.NORMAL) == third.seq
    assert list(await log.read(Lane.NORMAL, await log.position(Lane.NORMAL), 10)) == [fourth]
    assert await log.position(Lane.HIGH) == 0


async def an_entry_is_planned_once(subject: LedgerSubject) -> None:
    """In whatever batch it comes again, in order or ahead: nothing of that is stored."""
    log = subject.ledger.log
    first, second, third = (await log.append([subject.entry() for _ in range(3)], [None] * 3))[0]
    await subject.consume(first, third)
    for again in ((first,), (second, third), (first, second)):
        message = subject.planned()
        rest = subject.left(subject.entry(lane=Lane.BULK))
        consumed = Consumed(Lane.NORMAL, tuple(entry.seq for entry in again))
        result = await subject.plan(message, consumed=consumed, continuations=(rest,))
        assert result.repeated
        assert await subject.ledger.records.get(subject.tenant, message.id) is None
    assert list(await subject.ledger.continuations.claim(subject.worker, Lane.BULK, 9, subject.now)) == []
    results = await together(*(subject.consume(second) for _ in range(5)))
    assert [result.repeated for result in results].count(False) == 1


async def a_plan_that_cannot_be_stored_moves_no_cursor(subject: LedgerSubject) -> None:
    """All of it is stored, or nothing."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    dead = subject.worker
    await subject.replace_worker()
    consumed = Consumed(Lane.NORMAL, (entry.seq,))
    assert (await subject.plan(subject.planned(), worker=dead, consumed=consumed)).refused
    assert list(await subject.ledger.log.read(Lane.NORMAL, 0, 10)) == [entry]
    assert not (await subject.plan(subject.planned(), consumed=consumed)).repeated


async def a_lane_is_planned_by_one_worker(subject: LedgerSubject) -> None:
    """The first that asks, until it is given up; other lanes by others."""
    take, first = subject.ledger.log.take, subject.worker
    second = await subject.open_worker()
    assert await take(Lane.HIGH, first)
    assert not await take(Lane.HIGH, second)
    assert await take(Lane.BULK, second)
    assert await take(Lane.HIGH, first)
    await subject.replace_worker()
    assert await take(Lane.HIGH, subject.worker)
    assert not await take(Lane.HIGH, await subject.open_worker())


async def the_first_claim_wins(subject: LedgerSubject) -> None:
    """A repeat is not published, and gets the answer of the first, also when the body differs."""
    log = subject.ledger.log
    _, (first,) = await log.append([subject.entry()], [claim(subject)])
    published, (again,) = await log.append([subject.entry()], [claim(subject, b"second", body=b"other")])
    assert first is not None
    assert again is not None
    assert first.fresh
    assert not again.fresh
    assert (again.answer, again.fingerprint) == (b"first", b"body")
    assert list(published) == []
    assert len(await log.read(Lane.NORMAL, 0, 10)) == 1


async def a_held_answer_is_found_until_it_expires(subject: LedgerSubject) -> None:
    """The first one under its key; another tenant's is another one; entries and held answers share their keys."""
    claims, held = subject.ledger.claims, claim(subject)
    assert await claims.claimed(held.tenant, [held.key], subject.now) == {}
    assert (await claims.hold(held)).fresh
    again = await claims.hold(claim(subject, b"second", body=b"other"))
    assert (again.fresh, again.answer, again.fingerprint) == (False, held.answer, held.fingerprint)
    found = (await claims.claimed(held.tenant, [b"o" * 16, held.key], subject.now))[held.key]
    assert (found.fresh, found.answer, found.fingerprint) == (False, held.answer, held.fingerprint)
    assert await claims.claimed(held.tenant, [b"o" * 16], subject.now) == {}
    assert await claims.claimed(held.tenant, [held.key], held.expires_at) == {}
    assert await claims.claimed(TenantId(subject.tenant + 1), [held.key], subject.now) == {}
    _, (judged,) = await subject.ledger.log.append([subject.entry()], [held])
    assert judged is not None
    assert not judged.fresh


async def of_claims_at_once_exactly_one_wins(subject: LedgerSubject) -> None:
    """However the calls interleave, one is published and everybody gets its answer."""
    calls = [subject.ledger.log.append([subject.entry()], [claim(subject, b"%d" % n)]) for n in range(50)]
    done = await together(*calls)
    winners = [result for _, (result,) in done if result is not None and result.fresh]
    assert len(winners) == 1
    assert {result.answer for _, (result,) in done if result is not None} == {winners[0].answer}
    assert len(await subject.ledger.log.read(Lane.NORMAL, 0, 100)) == 1


async def entries_of_one_submission_share_its_claim(subject: LedgerSubject) -> None:
    """All of them are published by the first, none by the repeat."""
    log = subject.ledger.log
    shared = claim(subject)
    published, results = await log.append(
        [subject.entry(), subject.entry("other"), subject.entry()], [shared, shared, None]
    )
    assert len(published) == 3
    assert [r.fresh for r in results if r is not None] == [True, True]
    published, _ = await log.append([subject.entry(), subject.entry()], [claim(subject, b"2")] * 2)
    assert len(published) == 0


async def one_call_may_hold_two_submissions_with_one_key(subject: LedgerSubject) -> None:
    """The second is a repeat of the first, though both came together."""
    entries = [subject.entry(), subject.entry()]
    published, results = await subject.ledger.log.append(
        entries, [claim(subject, b"1"), claim(subject, b"2")]
    )
    assert [r.fresh for r in results if r is not None] == [True, False]
    assert [e.event_id for e in published] == [entries[0].event_id]


async def claims_of_tenants_do_not_meet(subject: LedgerSubject) -> None:
    """The same key means something else to somebody else."""
    other = replace(claim(subject), tenant=subject.tenant + 1)
    _, results = await subject.ledger.log.append([subject.entry(), subject.entry()], [claim(subject), other])
    assert [r.fresh for r in results if r is not None] == [True, True]


async def an_expired_claim_is_free_again(subject: LedgerSubject) -> None:
    """After its time the key may be used for something new."""
    await subject.ledger.log.append([subject.entry()], [claim(subject)])
    subject.clock.advance(86_401)
    _, (result,) = await subject.ledger.log.append([subject.entry()], [claim(subject, b"later")])
    assert result is not None
    assert result.fresh
    _, (again,) = await subject.ledger.log.append([subject.entry()], [claim(subject, b"even later")])
    assert again is not None
    assert again.answer == b"later"


async def a_reserved_claim_is_confirmed_when_its_events_are_published(subject: LedgerSubject) -> None:
    """Until then whoever repeats it is told so, and reserves it anew; then it is a claim like any other."""
    claims, mine = subject.ledger.claims, claim(subject)
    first = await claims.reserve([mine, claim(subject, key=b"o" * 16)], [])
    assert [result.fresh for result in first.results] == [True, True]
    assert await claims.claimed(mine.tenant, [mine.key], subject.now) == {}
    again = await claims.reserve([claim(subject, b"second")], [])
    (held,) = again.results
    assert (held.fresh, held.confirmed, held.answer) == (False, False, b"first")
    assert again.number not in (0, first.number)
    (other,) = (await claims.reserve([claim(subject, b"third", body=b"other")], [first.number])).results
    assert (other.confirmed, other.fingerprint) == (False, b"body")
    await claims.reserve([], [again.number])
    found = await claims.claimed(mine.tenant, [mine.key, b"o" * 16], subject.now)
    assert {key: (result.answer, result.confirmed) for key, result in found.items()} == {
        mine.key: (b"first", True),
        b"o" * 16: (b"first", True),
    }
    late = await claims.reserve([claim(subject, b"late")], [])
    assert late.number == 0
    assert [(result.fresh, result.confirmed) for result in late.results] == [(False, True)]


async def a_reservation_confirms_others_before_it_claims(subject: LedgerSubject) -> None:
    """A repeat that says with its own call that the first was published is told so. Of two under one key the first counts."""
    claims = subject.ledger.claims
    first = await claims.reserve([claim(subject)], [])
    told = await claims.reserve(
        [claim(subject, b"second"), claim(subject, b"new", key=b"n" * 16)] * 2, [first.number]
    )
    assert [(result.fresh, result.confirmed) for result in told.results] == [
        (False, True),
        (True, True),
        (False, True),
        (False, True),
    ]
    assert {result.answer for result in told.results} == {b"first", b"new"}


async def what_is_not_confirmed_expires_and_is_free_for_the_log(subject: LedgerSubject) -> None:
    """An entry of the ledger's log is published with its claim, whoever reserved that before."""
    claims, log = subject.ledger.claims, subject.ledger.log
    await claims.reserve([claim(subject), claim(subject, key=b"o" * 16)], [])
    published, (judged,) = await log.append([subject.entry()], [claim(subject, b"second")])
    assert judged is not None
    assert (len(published), judged.fresh) == (1, True)
    (held,) = (await claims.reserve([claim(subject, b"third")], [])).results
    assert (held.confirmed, held.answer) == (True, b"second")
    subject.clock.advance(86_401)
    (free,) = (await claims.reserve([claim(subject, b"later", key=b"o" * 16)], [])).results
    assert free.fresh


async def reservations_at_once_hold_each_claim_once(subject: LedgerSubject) -> None:
    """One is fresh, and all others are told the same answer."""
    calls = [subject.ledger.claims.reserve([claim(subject, b"%d" % n)], []) for n in range(30)]
    results = [reserved.results[0] for reserved in await together(*calls)]
    assert [result.fresh for result in results].count(True) == 1
    assert len({result.answer for result in results}) == 1


async def a_partition_stands_where_its_plans_say(subject: LedgerSubject) -> None:
    """It begins at 0, and never goes back."""
    partitions, plan = subject.ledger.partitions, subject.plan
    one, two = await partitions.take(["events/0", "events/1"])
    assert (one, two) == (Position("events/0", 0, 1), Position("events/1", 0, 1))
    await plan(subject.planned(), positions=(replace(one, offset=7), replace(two, offset=3)))
    await plan(positions=(replace(one, offset=5),))
    assert list(await partitions.offsets(["events/1", "events/0", "new/0"])) == [3, 7, 0]
    assert list(await partitions.take(["events/0"])) == [Position("events/0", 7, 2)]


async def a_plan_by_an_earlier_owner_is_refused_as_a_whole(subject: LedgerSubject) -> None:
    """Another process has taken one of its partitions: nothing is stored, and no other one moves."""
    partitions = subject.ledger.partitions
    kept, lost = await partitions.take(["events/0", "events/1"])
    (mine,) = await partitions.take(["events/1"])
    message, body = subject.planned(), subject.entry()
    moved = (replace(kept, offset=4), replace(lost, offset=4))
    assert (await subject.plan(message, positions=moved, bodies=(body,))).repeated
    assert await subject.ledger.records.get(subject.tenant, message.id) is None
    assert await subject.ledger.events.bodies([body.key]) == {}
    assert list(await partitions.offsets(["events/0", "events/1"])) == [0, 0]
    assert not (await subject.plan(message, positions=(replace(mine, offset=4),))).repeated
    assert list(await partitions.offsets(["events/1"])) == [4]


LOG_CONTRACT = (
    entries_come_back_in_order_with_their_positions,
    one_call_may_fill_several_lanes,
    appends_at_once_are_all_kept,
    the_cursor_moves_with_the_plan,
    an_entry_is_planned_once,
    a_plan_that_cannot_be_stored_moves_no_cursor,
    a_lane_is_planned_by_one_worker,
    the_first_claim_wins,
    a_held_answer_is_found_until_it_expires,
    of_claims_at_once_exactly_one_wins,
    entries_of_one_submission_share_its_claim,
    one_call_may_hold_two_submissions_with_one_key,
    claims_of_tenants_do_not_meet,
    an_expired_claim_is_free_again,
    a_reserved_claim_is_confirmed_when_its_events_are_published,
    a_reservation_confirms_others_before_it_claims,
    what_is_not_confirmed_expires_and_is_free_for_the_log,
    reservations_at_once_hold_each_claim_once,
    a_partition_stands_where_its_plans_say,
    a_plan_by_an_earlier_owner_is_refused_as_a_whole,
)
