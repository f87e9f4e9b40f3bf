"""The event log and its claims."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, IdempotencyRecord
from clarion.model.ids import Instant
from clarion.testing.ledger_contract.world import World, together


def claim(
    world: World, answer: bytes = b"first", *, key: bytes = b"k" * 16, body: bytes = b"body"
) -> IdempotencyRecord:
    """On a key, for a day."""
    return IdempotencyRecord(
        tenant=world.tenant,
        key=key,
        fingerprint=body,
        answer=answer,
        expires_at=Instant(world.now + 86_400_000),
    )


async def entries_come_back_in_order_with_their_positions(world: World) -> None:
    """What is appended is read in that order, lane by lane, byte for byte."""
    log = world.ledger.log
    appended, results = await log.append([world.entry(sealed=bytes([n])) for n in range(5)], [None] * 5)
    await log.append([world.entry(lane=Lane.BULK)], [None])
    assert list(results) == [None] * 5
    assert list(await log.read(Lane.NORMAL, 0, 10)) == list(appended)
    assert [e.seq for e in appended] == sorted({e.seq for e in appended})
    assert list(await log.read(Lane.NORMAL, appended[1].seq, 2)) == list(appended[2:4])
    assert await log.end(Lane.NORMAL) == appended[-1].seq
    assert len(await log.read(Lane.BULK, 0, 10)) == 1


async def one_call_may_fill_several_lanes(world: World) -> None:
    """Each entry goes to its own lane."""
    appended, _ = await world.ledger.log.append(
        [world.entry(lane=lane) for lane in LANES], [None] * len(LANES)
    )
    for entry in appended:
        assert list(await world.ledger.log.read(entry.lane, 0, 10)) == [entry]


async def appends_at_once_are_all_kept(world: World) -> None:
    """Nothing is lost or doubled when many callers append together, and each gets its own positions."""
    done = await together(
        *(world.ledger.log.append([world.entry(sealed=b"%d" % n)], [None]) for n in range(200))
    )
    read = await world.ledger.log.read(Lane.NORMAL, 0, 1000)
    assert {e.sealed: e.seq for (e,), _ in done} == {e.sealed: e.seq for e in read}
    assert len(read) == 200


async def the_cursor_moves_with_the_plan(world: World) -> None:
    """Up to the first entry that is not planned; what went ahead is not read again."""
    log = world.ledger.log
    first, second, third, fourth = (await log.append([world.entry() for _ in range(4)], [None] * 4))[0]
    assert await log.position(Lane.NORMAL) == first.seq - 1
    message = world.planned()
    await world.plan(message, consumed=Consumed(Lane.NORMAL, (third.seq,)))
    assert await log.position(Lane.NORMAL) == first.seq - 1
    assert list(await log.read(Lane.NORMAL, 0, 10)) == [first, second, fourth]
    assert list(await log.read(Lane.NORMAL, 0, 2)) == [first, second]
    await together(world.consume(second), world.consume(first))
    assert await log.position(Lane.NORMAL) == third.seq
    assert list(await log.read(Lane.NORMAL, await log.position(Lane.NORMAL), 10)) == [fourth]
    assert await log.position(Lane.HIGH) == 0


async def an_entry_is_planned_once(world: World) -> None:
    """In whatever batch it comes again, in order or ahead: nothing of that is stored."""
    log = world.ledger.log
    first, second, third = (await log.append([world.entry() for _ in range(3)], [None] * 3))[0]
    await world.consume(first, third)
    for again in ((first,), (second, third), (first, second)):
        message = world.planned()
        rest = world.entry(lane=Lane.BULK)
        consumed = Consumed(Lane.NORMAL, tuple(entry.seq for entry in again))
        result = await world.plan(message, consumed=consumed, continuations=(rest,))
        assert (result.repeated, result.continued) == (True, ())
        assert await world.ledger.records.get(world.tenant, message.id) is None
    assert list(await log.read(Lane.BULK, 0, 10)) == []
    results = await together(*(world.consume(second) for _ in range(5)))
    assert [result.repeated for result in results].count(False) == 1


async def a_plan_that_cannot_be_stored_moves_no_cursor(world: World) -> None:
    """All of it is stored, or nothing."""
    ((entry,), _) = await world.ledger.log.append([world.entry()], [None])
    dead = world.worker
    await world.replace_worker()
    consumed = Consumed(Lane.NORMAL, (entry.seq,))
    assert (await world.plan(world.planned(), worker=dead, consumed=consumed)).refused
    assert list(await world.ledger.log.read(Lane.NORMAL, 0, 10)) == [entry]
    assert not (await world.plan(world.planned(), consumed=consumed)).repeated


async def a_lane_is_planned_by_one_worker(world: World) -> None:
    """The first that asks, until it is given up; other lanes by others."""
    take, first = world.ledger.log.take, world.worker
    second = await world.hire()
    assert await take(Lane.HIGH, first)
    assert not await take(Lane.HIGH, second)
    assert await take(Lane.BULK, second)
    assert await take(Lane.HIGH, first)
    await world.replace_worker()
    assert await take(Lane.HIGH, world.worker)
    assert not await take(Lane.HIGH, await world.hire())


async def the_first_claim_wins(world: World) -> None:
    """A repeat is not published, and gets the answer of the first, also when the body differs."""
    log = world.ledger.log
    _, (first,) = await log.append([world.entry()], [claim(world)])
    published, (again,) = await log.append([world.entry()], [claim(world, b"second", body=b"other")])
    assert first is not None
    assert again is not None
    assert first.fresh
    assert not again.fresh
    assert (again.answer, again.fingerprint) == (b"first", b"body")
    assert list(published) == []
    assert len(await log.read(Lane.NORMAL, 0, 10)) == 1


async def a_held_answer_is_found_until_it_expires(world: World) -> None:
    """The first one under its key; another tenant's is another one; entries and held answers share their keys."""
    claims, held = world.ledger.claims, claim(world)
    assert await claims.claimed(held.tenant, held.key, world.now) is None
    assert (await claims.hold(held)).fresh
    again = await claims.hold(claim(world, b"second", body=b"other"))
    assert (again.fresh, again.answer, again.fingerprint) == (False, held.answer, held.fingerprint)
    found = await claims.claimed(held.tenant, held.key, world.now)
    assert found is not None
    assert (found.fresh, found.answer, found.fingerprint) == (False, held.answer, held.fingerprint)
    assert await claims.claimed(held.tenant, b"o" * 16, world.now) is None
    assert await claims.claimed(held.tenant, held.key, held.expires_at) is None
    _, (judged,) = await world.ledger.log.append([world.entry()], [held])
    assert judged is not None
    assert not judged.fresh


async def of_claims_at_once_exactly_one_wins(world: World) -> None:
    """However the calls interleave, one is published and everybody gets its answer."""
    calls = [world.ledger.log.append([world.entry()], [claim(world, b"%d" % n)]) for n in range(50)]
    done = await together(*calls)
    winners = [result for _, (result,) in done if result is not None and result.fresh]
    assert len(winners) == 1
    assert {result.answer for _, (result,) in done if result is not None} == {winners[0].answer}
    assert len(await world.ledger.log.read(Lane.NORMAL, 0, 100)) == 1


async def entries_of_one_submission_share_its_claim(world: World) -> None:
    """All of them are published by the first, none by the repeat."""
    log = world.ledger.log
    shared = claim(world)
    published, results = await log.append(
        [world.entry(), world.entry("other"), world.entry()], [shared, shared, None]
    )
    assert len(published) == 3
    assert [r.fresh for r in results if r is not None] == [True, True]
    published, _ = await log.append([world.entry(), world.entry()], [claim(world, b"2")] * 2)
    assert len(published) == 0


async def one_call_may_hold_two_submissions_with_one_key(world: World) -> None:
    """The second is a repeat of the first, though both came together."""
    entries = [world.entry(), world.entry()]
    published, results = await world.ledger.log.append(entries, [claim(world, b"1"), claim(world, b"2")])
    assert [r.fresh for r in results if r is not None] == [True, False]
    assert [e.event_id for e in published] == [entries[0].event_id]


async def claims_of_tenants_do_not_meet(world: World) -> None:
    """The same key means something else to somebody else."""
    other = replace(claim(world), tenant=world.tenant + 1)
    _, results = await world.ledger.log.append([world.entry(), world.entry()], [claim(world), other])
    assert [r.fresh for r in results if r is not None] == [True, True]


async def an_expired_claim_is_free_again(world: World) -> None:
    """After its time the key may be used for something new."""
    await world.ledger.log.append([world.entry()], [claim(world)])
    world.clock.advance(86_401)
    _, (result,) = await world.ledger.log.append([world.entry()], [claim(world, b"later")])
    assert result is not None
    assert result.fresh
    _, (again,) = await world.ledger.log.append([world.entry()], [claim(world, b"even later")])
    assert again is not None
    assert again.answer == b"later"


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
)
