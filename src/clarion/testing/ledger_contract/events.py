"""Canceling an event, planned or not."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Channel
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


EVENTS_CONTRACT = (
    an_event_is_known_once_it_is_accepted,
    canceling_an_event_stops_what_has_not_begun,
    what_is_planned_of_a_canceled_event_is_canceled,
    a_wide_event_is_canceled_whole,
)
