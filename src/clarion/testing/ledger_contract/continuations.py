"""What is left of events to topics: due rows that one worker at a time holds."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Lane
from clarion.model.event import Consumed, Continuation
from clarion.model.ids import EventId, Instant, TenantId, WorkerId
from clarion.testing.ledger_contract.subject import LedgerSubject


async def _due(
    subject: LedgerSubject, *, worker: WorkerId | None = None, lane: Lane = Lane.NORMAL, limit: int = 9
) -> list[Continuation]:
    who = worker or subject.worker
    return [*await subject.ledger.continuations.claim(who, lane, limit, subject.now)]


async def what_is_left_is_stored_with_its_plan(subject: LedgerSubject) -> None:
    """And not again when the plan is repeated; nothing of a plan that is refused."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    left = subject.left(entry)
    plan = subject.plan_of(
        subject.planned(event_id=entry.event_id),
        continuations=(left,),
        consumed=Consumed(entry.lane, (entry.seq,)),
    )
    dead = subject.worker
    await subject.replace_worker()
    assert (await subject.ledger.plans.commit(plan)).refused
    assert await _due(subject) == []
    plan = replace(plan, worker=subject.worker)
    assert not (await subject.ledger.plans.commit(plan)).repeated
    assert await _due(subject, worker=dead) == []
    assert await _due(subject, lane=Lane.HIGH) == []
    (claimed,) = await _due(subject)
    assert claimed == replace(left, fence=1)
    await subject.plan(continued=claimed)
    assert (await subject.ledger.plans.commit(plan)).repeated
    assert await _due(subject) == []


async def a_page_is_planned_once(subject: LedgerSubject) -> None:
    """By whoever holds it, with what is left behind it; a plan of what somebody else has by now is refused."""
    entry = subject.entry()
    await subject.plan(continuations=(subject.left(entry),))
    (first,) = await _due(subject)
    (again,) = await _due(subject)  # The answer to the first claim may have been lost.
    assert again == replace(first, fence=2)
    other = await subject.open_worker()
    assert await _due(subject, worker=other) == []
    message = subject.planned(event_id=entry.event_id)
    for wrong in ({"continued": first}, {"continued": again, "worker": other}):
        assert (await subject.plan(message, **wrong)).repeated
        assert await subject.ledger.records.get(subject.tenant, message.id) is None
    following = subject.left(entry, 2)
    assert not (await subject.plan(message, continued=again, continuations=(following,))).repeated
    assert (await subject.plan(message, continued=again)).repeated
    (last,) = await _due(subject, worker=other)
    assert last == replace(following, fence=1)
    assert not (await subject.plan(continued=last, worker=other)).repeated
    assert await _due(subject) == []


async def what_a_dead_worker_held_is_due(subject: LedgerSubject) -> None:
    """Whatever it does later is refused."""
    await subject.plan(continuations=(subject.left(subject.entry()),))
    (held,) = await _due(subject)
    dead = subject.worker
    await subject.replace_worker()
    (claimed,) = await _due(subject)
    assert claimed.fence > held.fence
    assert replace(claimed, fence=0) == replace(held, fence=0)
    assert (await subject.plan(continued=held, worker=dead)).refused
    assert not (await subject.plan(continued=claimed)).repeated


async def tenants_take_turns_in_what_is_left(subject: LedgerSubject) -> None:
    """Of each the one that has waited longest, whoever has many; nothing before its time."""
    start = subject.now
    many = [subject.left(subject.entry(), due_at=Instant(start - n)) for n in range(5)]
    few = subject.left(subject.entry(), tenant=TenantId(7))
    later = subject.left(subject.entry(), tenant=TenantId(8), due_at=Instant(start + 1))
    await subject.plan(continuations=(*many, few, later))
    assert {one.event_id for one in await _due(subject)} == {many[4].event_id, few.event_id}
    other = await subject.open_worker()
    assert [one.event_id for one in await _due(subject, worker=other, limit=1)] == [many[3].event_id]


async def an_event_waits_until_nothing_is_left_of_it(subject: LedgerSubject) -> None:
    """Whoever asks is told so; it is kept as long, and planned again from its beginning it goes on from there."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    found = subject.ledger.events.found

    async def waits(event_id: EventId) -> bool:
        shown = await found(subject.tenant, event_id, None, 1, 1)
        return shown is not None and shown.waits

    async def left(event_id: EventId) -> bool:
        (listed,), _ = await subject.ledger.events.page(subject.tenant, None, b"\xff" * 17, 10)
        return listed.id == event_id and listed.left

    message = replace(subject.planned(event_id=entry.event_id), fence=0)
    consumed = Consumed(entry.lane, (entry.seq,))
    await subject.plan(message, consumed=consumed, continuations=(subject.left(entry, 5),))
    assert await waits(entry.event_id)
    assert await left(entry.event_id)
    await _due(subject)
    await subject.plan(continuations=(subject.left(entry, 1),))
    (claimed,) = await _due(subject)
    assert claimed.after == 1
    await subject.plan(continued=claimed)
    assert not await waits(entry.event_id)
    assert not await left(entry.event_id)


CONTINUATIONS_CONTRACT = (
    what_is_left_is_stored_with_its_plan,
    a_page_is_planned_once,
    what_a_dead_worker_held_is_due,
    tenants_take_turns_in_what_is_left,
    an_event_waits_until_nothing_is_left_of_it,
)
