"""Workers: what one holds is its own until it is given up, and then everything it still writes is refused."""

from __future__ import annotations

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.world import LEASE_MS, World, later, together

QUEUED = (Status.QUEUED, None)


async def nobody_takes_what_a_live_worker_holds(world: World) -> None:
    """Planned or claimed, however long it has it, and whoever else comes."""
    planned, due = world.planned(), world.planned(fence=0)
    await world.plan(planned, due)
    (claimed,) = await world.claim()
    for _ in range(5):
        world.clock.advance(50)
        assert await world.ledger.leases.beat(world.worker, Instant(world.now + LEASE_MS), planned.id)
        await world.hire()
        assert await world.reap() == 0
    assert list(await world.claim()) == []
    result = await world.ledger.messages.settle(
        world.worker, [world.settlement(m) for m in (planned, claimed)]
    )
    assert result.refused == frozenset()


async def what_a_dead_worker_held_is_due(world: World) -> None:
    """Planned or claimed, with a higher fence; what waits is left to its time, what is over is left alone."""
    planned, due, over, waiting = (
        world.planned(),
        world.planned(fence=0),
        world.planned(),
        later(world.planned(), 999),
    )
    await world.plan(planned, due, over, waiting)
    (claimed,) = await world.claim()
    await world.settle(over)
    assert await world.replace_worker() == 2
    assert await world.reap() == 0
    fences = {m.id: m.fence for m in await world.claim()}
    assert set(fences) == {planned.id, due.id}
    assert fences[planned.id] > planned.fence
    assert fences[due.id] > claimed.fence
    assert await world.state(over) == (Status.SENT, None)
    assert (await world.stored(waiting)).due_at == waiting.due_at


async def what_was_planned_out_of_order_is_found_too(world: World) -> None:
    """The oldest of what a worker holds may be older than what it held at its last beat."""
    old = world.planned()
    for _ in range(3):
        world.clock.advance(10)
        newer = world.planned()
        await world.plan(newer)
        await world.settle(newer)
    held = world.planned()
    await world.plan(held)
    await world.ledger.leases.beat(world.worker, Instant(world.now + LEASE_MS), held.id)
    await world.plan(old)
    assert await world.replace_worker() == 2
    assert {m.id for m in await world.claim()} == {old.id, held.id}


async def a_beat_forgets_nothing_that_was_planned_meanwhile(world: World) -> None:
    """It says what was held when it was on its way."""
    first = world.planned()
    world.clock.advance(1)
    second = world.planned()
    await world.plan(second)
    beat = world.ledger.leases.beat(world.worker, Instant(world.now + LEASE_MS), second.id)
    await together(world.plan(first), beat)
    assert await world.replace_worker() == 2


async def many_are_made_due_part_by_part(world: World) -> None:
    """However many there are, and however many of others lie between them."""
    free = [world.planned(fence=0) for _ in range(700)]
    await world.plan(*free)
    claimed = [m for _ in range(7) for m in await world.claim(limit=100)]
    others = [world.planned(fence=0, channel=Channel.SMS) for _ in range(300)]
    await world.plan(*others)
    planned = [world.planned() for _ in range(700)]
    await world.plan(*planned)
    assert await world.replace_worker() == 1_400
    found = [m.id for _ in range(20) for m in await world.claim(limit=100)]
    assert sorted(found) == sorted(m.id for m in (*claimed, *planned))


async def a_worker_that_was_given_up_writes_nothing(world: World) -> None:
    """Its settlements, its plans, its notes and its claims are refused whole, also before others hold what it held."""
    held, other, due = world.planned(), world.planned(), later(world.planned(), 0)
    await world.plan(held, other, due)
    dead = world.worker
    world.clock.advance(LEASE_MS / 1_000 + 1)
    await world.hire()
    await world.ledger.leases.reap(world.now)
    assert await world.ledger.leases.beat(dead, Instant(world.now + LEASE_MS), None) is False
    result = await world.ledger.messages.settle(dead, [world.settlement(m) for m in (held, other)])
    assert result.refused == {held.id, other.id}
    assert await world.mark(held) == {held.id}
    late = world.planned()
    assert (await world.plan(late)).refused
    assert await world.ledger.records.get(world.tenant, late.id) is None
    assert list(await world.claim()) == []
    await world.reap()
    assert (await world.settle(held)).refused == {held.id}
    assert (await world.plan(late)).refused
    assert await world.timeline(held) == [QUEUED]


async def writes_of_several_workers_are_kept_apart(world: World) -> None:
    """At once: those of the live are stored, those of the dead refused."""
    dead = world.worker
    gone, ours = world.planned(), world.planned()
    await world.plan(gone)
    await world.replace_worker()
    live = world.worker
    await world.plan(ours)
    late, early = world.planned(), world.planned()
    settle, commit = world.ledger.messages.settle, world.ledger.plans.commit
    refused, taken = await together(
        settle(dead, [world.settlement(gone)]), settle(live, [world.settlement(ours)])
    )
    assert refused.refused == {gone.id}
    assert taken.refused == frozenset()
    plans = await together(
        commit(world.plan_of(late, worker=dead)), commit(world.plan_of(early, worker=live))
    )
    assert [plan.refused for plan in plans] == [True, False]
    assert await world.state(early) == QUEUED


async def each_holds_its_own(world: World) -> None:
    """A worker settles nothing that another one holds, dead or alive."""
    first = world.worker
    message = world.planned()
    await world.plan(message)
    world.worker = await world.hire()
    assert (await world.settle(message)).refused == {message.id}
    mine = world.planned()
    at_once = world.planned()
    await together(world.plan(mine), world.plan(at_once, worker=first))
    assert (await world.settle(at_once)).refused == {at_once.id}
    assert (await world.settle(mine)).refused == frozenset()
    world.worker = first
    assert (await world.settle(at_once)).refused == frozenset()


async def what_is_given_back_is_due_then(world: World) -> None:
    """If the worker still holds it with the same fence; its status stays, so what was being sent says so."""
    message, sending, moved = world.planned(), world.planned(), world.planned()
    await world.plan(message, sending, moved)
    await world.mark(sending)
    await world.settle(moved, Status.DEFERRED, reason=Reason.RETRY, due_at=world.now)
    (again,) = await world.claim()
    at = Instant(world.now + 5_000)
    await world.ledger.leases.give_back(world.worker, [message, sending, moved], at)
    assert list(await world.claim()) == []
    world.clock.advance(5)
    found = {m.id: m.status for m in await world.claim(Lane.NORMAL, Channel.EMAIL)}
    assert found == {message.id: Status.QUEUED, sending.id: Status.SENDING}
    assert (await world.settle(again)).refused == frozenset()
    assert (await world.settle(message)).refused == {message.id}


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
)
