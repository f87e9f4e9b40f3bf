"""Worker leases: a worker owns its messages until its lease ends; later writes are refused."""

from __future__ import annotations

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant
from clarion.model.status import Reason, Status
from clarion.model.worker import Process, Role, Worker
from clarion.testing.ledger_contract.subject import LEASE_MS, LedgerSubject, later, together

QUEUED = (Status.QUEUED, None)


async def nobody_takes_what_a_live_worker_holds(subject: LedgerSubject) -> None:
    """Planned or claimed, however long it has it, and whoever else comes."""
    planned, due = subject.planned(), subject.planned(fence=0)
    await subject.plan(planned, due)
    (claimed,) = await subject.claim()
    for _ in range(5):
        subject.clock.advance(50)
        assert await subject.ledger.leases.beat(subject.worker, Instant(subject.now + LEASE_MS), planned.id)
        await subject.open_worker()
        assert await subject.reap() == 0
    assert list(await subject.claim()) == []
    result = await subject.ledger.messages.settle(
        subject.worker, [subject.settlement(m) for m in (planned, claimed)]
    )
    assert result.refused == frozenset()


async def what_a_dead_worker_held_is_due(subject: LedgerSubject) -> None:
    """Planned or claimed, with a higher fence; what waits is left to its time, what is over is left alone."""
    planned, due, over, waiting = (
        subject.planned(),
        subject.planned(fence=0),
        subject.planned(),
        later(subject.planned(), 999),
    )
    await subject.plan(planned, due, over, waiting)
    (claimed,) = await subject.claim()
    await subject.settle(over)
    assert await subject.replace_worker() == 2
    assert await subject.reap() == 0
    fences = {m.id: m.fence for m in await subject.claim()}
    assert set(fences) == {planned.id, due.id}
    assert fences[planned.id] > planned.fence
    assert fences[due.id] > claimed.fence
    assert await subject.state(over) == (Status.SENT, None)
    assert (await subject.stored(waiting)).due_at == waiting.due_at


async def what_was_planned_out_of_order_is_found_too(subject: LedgerSubject) -> None:
    """The oldest of what a worker holds may be older than what it held at its last beat."""
    old = subject.planned()
    for _ in range(3):
        subject.clock.advance(10)
        newer = subject.planned()
        await subject.plan(newer)
        await subject.settle(newer)
    held = subject.planned()
    await subject.plan(held)
    await subject.ledger.leases.beat(subject.worker, Instant(subject.now + LEASE_MS), held.id)
    await subject.plan(old)
    assert await subject.replace_worker() == 2
    assert {m.id for m in await subject.claim()} == {old.id, held.id}


async def a_beat_forgets_nothing_that_was_planned_meanwhile(subject: LedgerSubject) -> None:
    """It says what was held when it was on its way."""
    first = subject.planned()
    subject.clock.advance(1)
    second = subject.planned()
    await subject.plan(second)
    beat = subject.ledger.leases.beat(subject.worker, Instant(subject.now + LEASE_MS), second.id)
    await together(subject.plan(first), beat)
    assert await subject.replace_worker() == 2


async def many_are_made_due_part_by_part(subject: LedgerSubject) -> None:
    """However many there are, and however many of others lie between them."""
    free = [subject.planned(fence=0) for _ in range(700)]
    await subject.plan(*free)
    claimed = [m for _ in range(7) for m in await subject.claim(limit=100)]
    others = [subject.planned(fence=0, channel=Channel.SMS) for _ in range(300)]
    await subject.plan(*others)
    planned = [subject.planned() for _ in range(700)]
    await subject.plan(*planned)
    assert await subject.replace_worker() == 1_400
    found = [m.id for _ in range(20) for m in await subject.claim(limit=100)]
    assert sorted(found) == sorted(m.id for m in (*claimed, *planned))


async def a_worker_that_was_given_up_writes_nothing(subject: LedgerSubject) -> None:
    """Its settlements, its plans, its notes and its claims are refused whole, also before others hold what it held."""
    held, other, due = subject.planned(), subject.planned(), later(subject.planned(), 0)
    await subject.plan(held, other, due)
    dead = subject.worker
    subject.clock.advance(LEASE_MS / 1_000 + 1)
    await subject.open_worker()
    await subject.ledger.leases.reap(subject.now)
    assert await subject.ledger.leases.beat(dead, Instant(subject.now + LEASE_MS), None) is False
    result = await subject.ledger.messages.settle(dead, [subject.settlement(m) for m in (held, other)])
    assert result.refused == {held.id, other.id}
    assert await subject.call(held) == {held.id}
    late = subject.planned()
    assert (await subject.plan(late)).refused
    assert await subject.ledger.records.get(subject.tenant, late.id) is None
    assert list(await subject.claim()) == []
    await subject.reap()
    assert (await subject.settle(held)).refused == {held.id}
    assert (await subject.plan(late)).refused
    assert await subject.timeline(held) == [QUEUED]


async def writes_of_several_workers_are_kept_apart(subject: LedgerSubject) -> None:
    """At once: those of the live are stored, those of the dead refused."""
    dead = subject.worker
    gone, ours = subject.planned(), subject.planned()
    await subject.plan(gone)
    await subject.replace_worker()
    live = subject.worker
    await subject.plan(ours)
    late, early = subject.planned(), subject.planned()
    settle, commit = subject.ledger.messages.settle, subject.ledger.plans.commit
    refused, taken = await together(
        settle(dead, [subject.settlement(gone)]), settle(live, [subject.settlement(ours)])
    )
    assert refused.refused == {gone.id}
    assert taken.refused == frozenset()
    plans = await together(
        commit(subject.plan_of(late, worker=dead)), commit(subject.plan_of(early, worker=live))
    )
    assert [plan.refused for plan in plans] == [True, False]
    assert await subject.state(early) == QUEUED


async def each_holds_its_own(subject: LedgerSubject) -> None:
    """A worker settles nothing that another one holds, dead or alive."""
    first = subject.worker
    message = subject.planned()
    await subject.plan(message)
    subject.worker = await subject.open_worker()
    assert (await subject.settle(message)).refused == {message.id}
    mine = subject.planned()
    at_once = subject.planned()
    await together(subject.plan(mine), subject.plan(at_once, worker=first))
    assert (await subject.settle(at_once)).refused == {at_once.id}
    assert (await subject.settle(mine)).refused == frozenset()
    subject.worker = first
    assert (await subject.settle(at_once)).refused == frozenset()


async def what_is_given_back_is_due_then(subject: LedgerSubject) -> None:
    """If the worker still holds it with the same fence; its status stays, so what was being sent says so."""
    message, sending, moved = subject.planned(), subject.planned(), subject.planned()
    await subject.plan(message, sending, moved)
    await subject.call(sending)
    await subject.settle(moved, Status.DEFERRED, reason=Reason.RETRY, due_at=subject.now)
    (again,) = await subject.claim()
    at = Instant(subject.now + 5_000)
    await subject.ledger.leases.give_back(subject.worker, [message, sending, moved], at)
    assert list(await subject.claim()) == []
    subject.clock.advance(5)
    found = {m.id: m.status for m in await subject.claim(Lane.NORMAL, Channel.EMAIL)}
    assert found == {message.id: Status.QUEUED, sending.id: Status.SENDING}
    assert (await subject.settle(again)).refused == frozenset()
    assert (await subject.settle(message)).refused == {message.id}


async def everybody_sees_who_works(subject: LedgerSubject) -> None:
    """What each said about itself, what it holds, which lanes it plans, and that it stops; not who was given up."""
    (first,) = await subject.ledger.leases.workers()
    assert (first.id, first.process, first.plans) == (subject.worker, Process(), ())
    assert (first.held, first.draining, first.started_at) == (0, False, subject.now)
    pinned = Process(
        node="two:7",
        version="9.9",
        roles=(Role.API, Role.WORKER),
        lanes=(Lane.CRITICAL,),
        channels=(Channel.EMAIL, Channel.SMS),
        lease_ms=4_000,
    )
    subject.clock.advance(1)
    second = await subject.open_worker(pinned)
    for lane in (Lane.BULK, Lane.CRITICAL):
        assert await subject.ledger.log.take(lane, second)
    until = Instant(subject.now + LEASE_MS + 5)
    assert await subject.ledger.leases.beat(second, until, None, 12)
    assert await subject.ledger.leases.drain("two:7") == 1
    assert await subject.ledger.leases.drain("two") == 0
    found = await subject.ledger.leases.workers()
    assert found == [
        first,
        Worker(
            id=second,
            process=pinned,
            started_at=subject.now,
            lease_until=until,
            held=12,
            draining=True,
            plans=(Lane.CRITICAL, Lane.BULK),
        ),
    ]
    subject.clock.advance(LEASE_MS / 1_000)
    await subject.ledger.leases.reap(subject.now)
    assert [one.id for one in await subject.ledger.leases.workers()] == [second]
    assert await subject.ledger.leases.drain("") == 0, "whoever was given up stops by itself"


LEASES_CONTRACT = (
    nobody_takes_what_a_live_worker_holds,
    what_a_dead_worker_held_is_due,
    what_was_planned_out_of_order_is_found_too,
    a_beat_forgets_nothing_that_was_planned_meanwhile,
    many_are_made_due_part_by_part,
    a_worker_that_was_given_up_writes_nothing,
    writes_of_several_workers_are_kept_apart,
    each_holds_its_own,
    what_is_given_back_is_due_then,
    everybody_sees_who_works,
)
