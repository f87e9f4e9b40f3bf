"""Events after they were accepted: what they said, canceling them, and those that could not be planned."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.ids import EventId, TenantId
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.subject import LedgerSubject, later

CANCELED = (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def an_event_is_known_once_it_is_accepted(subject: LedgerSubject) -> None:
    """Before it is planned and afterwards; to its tenant only."""
    known = subject.ledger.events.known
    (waiting,) = (await subject.ledger.log.append([subject.entry()], [None]))[0]
    message = subject.planned()
    await subject.plan(message)
    for event_id in (waiting.event_id, message.event_id):
        assert await known(subject.tenant, event_id)
        assert not await known(TenantId(subject.tenant + 1), event_id)
    assert not await known(subject.tenant, EventId(bytes(16)))


async def canceling_an_event_stops_what_has_not_begun(subject: LedgerSubject) -> None:
    """What is queued or deferred, of everybody; what is sent, being sent or another event's stays. Once."""
    event_id = subject.event()
    queued, waiting, sending, sent, begun = (
        subject.planned(user, event_id=event_id, channel=channel)
        for user, channel in (
            (subject.ada, Channel.EMAIL),
            (subject.bob, Channel.EMAIL),
            (subject.ada, Channel.SMS),
            (subject.bob, Channel.SMS),
            (subject.ada, Channel.PUSH),
        )
    )
    other = subject.planned()
    await subject.plan(queued, later(waiting, 60), sending, sent, begun, other)
    await subject.settle(sent)
    await subject.call(sending)
    cancel = subject.ledger.events.cancel
    assert await cancel(event_id, subject.now, {begun.id}) == 2
    assert await subject.state(queued) == await subject.state(waiting) == CANCELED
    assert (await subject.timeline(waiting))[-1] == CANCELED
    assert [(await subject.stored(m)).status for m in (sending, sent, begun, other)] == [
        Status.SENDING,
        Status.SENT,
        Status.QUEUED,
        Status.QUEUED,
    ]
    assert await cancel(event_id, subject.now, {begun.id}) == 0
    assert (await subject.settle(queued)).refused == {queued.id}


async def what_is_planned_of_a_canceled_event_is_canceled(subject: LedgerSubject) -> None:
    """In the transaction that stores the plan, and its explanation says so; what else is planned with it goes."""
    message, other = subject.planned(), subject.planned()
    assert await subject.ledger.events.cancel(message.event_id, subject.now, frozenset()) == 0
    result = await subject.plan(message, other)
    assert result.changed == {message.id: CANCELED}
    assert await subject.state(message) == CANCELED
    assert (await subject.state(other))[0] is Status.QUEUED
    (run,) = await subject.ledger.plans.runs_of(subject.tenant, message.event_id, None)
    (channel,) = run.channels
    assert (channel.status, channel.reason) == CANCELED
    assert channel.verdicts[-1].rule == "cancellation"


async def a_wide_event_is_canceled_whole(subject: LedgerSubject) -> None:
    """However many messages it has."""
    event_id = subject.event()
    wide = [replace(subject.planned(event_id=event_id, step=f"s{n}"), fence=0) for n in range(2_300)]
    await subject.plan(*wide)
    assert await subject.ledger.events.cancel(event_id, subject.now, frozenset()) == len(wide)
    assert list(await subject.claim()) == []


async def bodies_are_found_by_event_and_workflow(subject: LedgerSubject) -> None:
    """In whatever lane, planned or not, each as it was published first; what was never accepted is left out."""
    bodies, log = subject.ledger.events.bodies, subject.ledger.log
    first = subject.entry(sealed=b"first")
    other = replace(subject.entry("other", Lane.BULK, b"other"), event_id=first.event_id)
    later = subject.entry(sealed=b"later")
    appended, _ = await log.append([first, other, later, replace(first, sealed=b"again")], [None] * 4)
    await subject.consume(appended[0], appended[2])
    asked = [first.key, other.key, later.key, (first.event_id, "third"), (EventId(bytes(16)), "news")]
    assert await bodies(asked) == {entry.key: entry for entry in (first, other, later)}
    assert await bodies([other.key]) == {other.key: other}
    assert await bodies([]) == {}


async def a_body_that_another_broker_brought_is_stored_with_its_plan(subject: LedgerSubject) -> None:
    """Once, however often it is delivered; it is planned, and nothing of a plan that is refused stays."""
    entry = subject.entry(lane=Lane.BULK, sealed=b"brought")
    ((waiting,), _) = await subject.ledger.log.append([subject.entry(lane=Lane.BULK)], [None])
    message = subject.planned(event_id=entry.event_id)
    dead = subject.worker
    await subject.replace_worker()
    assert (await subject.plan(message, worker=dead, bodies=(entry,))).refused
    assert await subject.ledger.events.bodies([entry.key]) == {}
    assert (await subject.plan(message, bodies=(entry,))).known == frozenset()
    assert (await subject.plan(message, bodies=(replace(entry, seq=7),))).known == {message.id}
    assert await subject.ledger.events.bodies([entry.key]) == {entry.key: entry}
    assert list(await subject.ledger.log.read(Lane.BULK, 0, 10)) == [waiting]
    await subject.consume(waiting)
    log = subject.ledger.log
    assert await log.position(Lane.BULK) == await log.end(Lane.BULK)


def _set_aside(subject: LedgerSubject, entry: Entry) -> SetAside:
    return SetAside(
        event_id=entry.event_id,
        tenant=entry.tenant,
        lane=entry.lane,
        workflow=entry.workflow,
        reason=Reason.UNREADABLE,
        detail="SealBroken",
        at=subject.now,
    )


async def what_could_not_be_planned_is_kept_once(subject: LedgerSubject) -> None:
    """It counts as planned, its body stays, also one that another broker brought, and it is found by number until forgotten."""
    store, events = subject.ledger.set_aside, subject.ledger.events
    ((entry, after), _) = await subject.ledger.log.append([subject.entry(), subject.entry()], [None] * 2)
    brought = subject.entry("other")
    kept = [_set_aside(subject, one) for one in (entry, brought)]
    for _ in range(2):
        await store.keep(kept, [Consumed(entry.lane, (entry.seq,))], [brought])
    position = await subject.ledger.log.position(entry.lane)
    assert list(await subject.ledger.log.read(entry.lane, position, 10)) == [after]
    assert {*await events.bodies([entry.key, brought.key])} == {entry.key, brought.key}
    newest, oldest = await store.page(subject.tenant, None, 10)
    assert [replace(one, seq=0) for one in (oldest, newest)] == kept
    assert await store.waiting() == 2
    assert list(await store.named(subject.tenant, [newest.seq, newest.seq, 999, oldest.seq])) == [
        newest,
        oldest,
    ]
    stranger = TenantId(subject.tenant + 1)
    assert list(await store.named(stranger, [newest.seq])) == []
    await store.forget(stranger, [newest.seq])
    await store.forget(subject.tenant, [newest.seq, newest.seq, 999])
    assert list(await store.page(subject.tenant, None, 10)) == [oldest]
    assert await store.discard(subject.tenant, oldest.seq, subject.now)
    assert not await store.discard(subject.tenant, oldest.seq, subject.now)
    assert (await store.waiting(), list(await store.page(subject.tenant, None, 10))) == (0, [])
    assert [one.discarded_at for one in await store.named(subject.tenant, [oldest.seq])] == [subject.now]


EVENTS_CONTRACT = (
    an_event_is_known_once_it_is_accepted,
    canceling_an_event_stops_what_has_not_begun,
    what_is_planned_of_a_canceled_event_is_canceled,
    a_wide_event_is_canceled_whole,
    bodies_are_found_by_event_and_workflow,
    a_body_that_another_broker_brought_is_stored_with_its_plan,
    what_could_not_be_planned_is_kept_once,
)
