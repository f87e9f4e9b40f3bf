"""Events after they were accepted: what they said, canceling them, and those that could not be planned."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.ids import EventId, TenantId
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.world import World, later

CANCELED = (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def an_event_is_known_once_it_is_accepted(world: World) -> None:
    """Before it is planned and afterwards; to its tenant only."""
    known = world.ledger.events.known
    (waiting,) = (await world.ledger.log.append([world.entry()], [None]))[0]
    message = world.planned()
    await world.plan(message)
    for event_id in (waiting.event_id, message.event_id):
        assert await known(world.tenant, event_id)
        assert not await known(TenantId(world.tenant + 1), event_id)
    assert not await known(world.tenant, EventId(bytes(16)))


async def canceling_an_event_stops_what_has_not_begun(world: World) -> None:
    """What is queued or deferred, of everybody; what is sent, being sent or another event's stays. Once."""
    event_id = world.event()
    queued, waiting, sending, sent, begun = (
        world.planned(user, event_id=event_id, channel=channel)
        for user, channel in (
            (world.ada, Channel.EMAIL),
            (world.bob, Channel.EMAIL),
            (world.ada, Channel.SMS),
            (world.bob, Channel.SMS),
            (world.ada, Channel.PUSH),
        )
    )
    other = world.planned()
    await world.plan(queued, later(waiting, 60), sending, sent, begun, other)
    await world.settle(sent)
    await world.mark(sending)
    cancel = world.ledger.events.cancel
    assert await cancel(event_id, world.now, {begun.id}) == 2
    assert await world.state(queued) == await world.state(waiting) == CANCELED
    assert (await world.timeline(waiting))[-1] == CANCELED
    assert [(await world.stored(m)).status for m in (sending, sent, begun, other)] == [
        Status.SENDING,
        Status.SENT,
        Status.QUEUED,
        Status.QUEUED,
    ]
    assert await cancel(event_id, world.now, {begun.id}) == 0
    assert (await world.settle(queued)).refused == {queued.id}


async def what_is_planned_of_a_canceled_event_is_canceled(world: World) -> None:
    """In the transaction that stores the plan, and its explanation says so; what else is planned with it goes."""
    message, other = world.planned(), world.planned()
    assert await world.ledger.events.cancel(message.event_id, world.now, frozenset()) == 0
    result = await world.plan(message, other)
    assert result.changed == {message.id: CANCELED}
    assert await world.state(message) == CANCELED
    assert (await world.state(other))[0] is Status.QUEUED
    (run,) = await world.ledger.plans.runs_of(world.tenant, message.event_id, None)
    (channel,) = run.channels
    assert (channel.status, channel.reason) == CANCELED
    assert channel.verdicts[-1].rule == "cancellation"


async def a_wide_event_is_canceled_whole(world: World) -> None:
    """However many messages it has."""
    event_id = world.event()
    wide = [replace(world.planned(event_id=event_id, step=f"s{n}"), fence=0) for n in range(2_300)]
    await world.plan(*wide)
    assert await world.ledger.events.cancel(event_id, world.now, frozenset()) == len(wide)
    assert list(await world.claim()) == []


async def bodies_are_found_by_event_and_workflow(world: World) -> None:
    """In whatever lane, planned or not, each as it was published first; what was never accepted is left out."""
    bodies, log = world.ledger.events.bodies, world.ledger.log
    first = world.entry(sealed=b"first")
    other = replace(world.entry("other", Lane.BULK, b"other"), event_id=first.event_id)
    later = world.entry(sealed=b"later")
    appended, _ = await log.append([first, other, later, replace(first, sealed=b"again")], [None] * 4)
    await world.consume(appended[0], appended[2])
    asked = [first.key, other.key, later.key, (first.event_id, "third"), (EventId(bytes(16)), "news")]
    assert await bodies(asked) == {entry.key: entry for entry in (first, other, later)}
    assert await bodies([other.key]) == {other.key: other}
    assert await bodies([]) == {}


async def a_body_that_another_broker_brought_is_stored_with_its_plan(world: World) -> None:
    """Once, however often it is delivered; it is planned, and nothing of a plan that is refused stays."""
    entry = world.entry(lane=Lane.BULK, sealed=b"brought")
    ((waiting,), _) = await world.ledger.log.append([world.entry(lane=Lane.BULK)], [None])
    message = world.planned(event_id=entry.event_id)
    dead = world.worker
    await world.replace_worker()
    assert (await world.plan(message, worker=dead, bodies=(entry,))).refused
    assert await world.ledger.events.bodies([entry.key]) == {}
    assert (await world.plan(message, bodies=(entry,))).known == frozenset()
    assert (await world.plan(message, bodies=(replace(entry, seq=7),))).known == {message.id}
    assert await world.ledger.events.bodies([entry.key]) == {entry.key: entry}
    assert list(await world.ledger.log.read(Lane.BULK, 0, 10)) == [waiting]
    await world.consume(waiting)
    log = world.ledger.log
    assert await log.position(Lane.BULK) == await log.end(Lane.BULK)


def _set_aside(world: World, entry: Entry) -> SetAside:
    return SetAside(
        event_id=entry.event_id,
        tenant=entry.tenant,
        lane=entry.lane,
        workflow=entry.workflow,
        reason=Reason.UNREADABLE,
        detail="SealBroken",
        at=world.now,
    )


async def what_could_not_be_planned_is_kept_once(world: World) -> None:
    """It counts as planned, its body stays, also one that another broker brought, and it is found by number until forgotten."""
    store, events = world.ledger.set_aside, world.ledger.events
    ((entry, after), _) = await world.ledger.log.append([world.entry(), world.entry()], [None] * 2)
    brought = world.entry("other")
    kept = [_set_aside(world, one) for one in (entry, brought)]
    for _ in range(2):
        await store.keep(kept, [Consumed(entry.lane, (entry.seq,))], [brought])
    position = await world.ledger.log.position(entry.lane)
    assert list(await world.ledger.log.read(entry.lane, position, 10)) == [after]
    assert {*await events.bodies([entry.key, brought.key])} == {entry.key, brought.key}
    newest, oldest = await store.page(world.tenant, None, 10)
    assert [replace(one, seq=0) for one in (oldest, newest)] == kept
    assert await store.waiting() == 2
    assert list(await store.named(world.tenant, [newest.seq, newest.seq, 999, oldest.seq])) == [
        newest,
        oldest,
    ]
    stranger = TenantId(world.tenant + 1)
    assert list(await store.named(stranger, [newest.seq])) == []
    await store.forget(stranger, [newest.seq])
    await store.forget(world.tenant, [newest.seq, newest.seq, 999])
    assert list(await store.page(world.tenant, None, 10)) == [oldest]
    assert await store.discard(world.tenant, oldest.seq, world.now)
    assert not await store.discard(world.tenant, oldest.seq, world.now)
    assert (await store.waiting(), list(await store.page(world.tenant, None, 10))) == (0, [])
    assert [one.discarded_at for one in await store.named(world.tenant, [oldest.seq])] == [world.now]


EVENTS_CONTRACT = (
    an_event_is_known_once_it_is_accepted,
    canceling_an_event_stops_what_has_not_begun,
    what_is_planned_of_a_canceled_event_is_canceled,
    a_wide_event_is_canceled_whole,
    bodies_are_found_by_event_and_workflow,
    a_body_that_another_broker_brought_is_stored_with_its_plan,
    what_could_not_be_planned_is_kept_once,
)
