"""Calls under way: everybody sees which messages are in one, and what a crash leaves in doubt."""

from __future__ import annotations

from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, id_text
from clarion.model.message import MessageFilter
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.ports.terms import Subject
from clarion.testing.ledger_contract.subject import LEASE_MS, LedgerSubject, together

QUEUED, SENDING, SENT, DEFERRED = Status.QUEUED, Status.SENDING, Status.SENT, Status.DEFERRED


async def a_call_shows_in_all_its_messages(subject: LedgerSubject) -> None:
    """Alone, on pages, by their status, in the counts of their event and in their timelines; and in no other message."""
    event_id = subject.event()
    called = [subject.planned(user, event_id=event_id) for user in (subject.ada, subject.bob)]
    other = subject.planned(event_id=event_id, channel=Channel.SMS)
    await subject.plan(*called, other)
    subjects = [Subject(tenant=subject.tenant, kind="message", key=id_text(m.id)) for m in (*called, other)]
    before = [await subject.ledger.tag(tagged) for tagged in subjects]
    subject.clock.advance(2)
    assert await subject.call(*called) == frozenset()
    for message in called:
        stored = await subject.stored(message)
        assert (stored.status, stored.updated_at, stored.fence) == (SENDING, subject.now, message.fence)
        first, begun = await subject.ledger.records.changes(subject.tenant, message.id)
        assert (first.status, begun.status, begun.at) == (QUEUED, SENDING, subject.now)
    assert (await subject.stored(other)).status is QUEUED
    after = [await subject.ledger.tag(tagged) for tagged in subjects]
    assert [now == then for now, then in zip(after, before, strict=True)] == [False, False, True]
    wanted = MessageFilter(statuses=frozenset({SENDING}))
    found, _ = await subject.ledger.records.page(subject.tenant, wanted, None, 10)
    assert {m.id for m in found} == {m.id for m in called}
    queued, _ = await subject.ledger.records.page(
        subject.tenant, MessageFilter(statuses=frozenset({QUEUED})), None, 10
    )
    assert [m.id for m in queued] == [other.id]
    (record,), _ = await subject.ledger.events.page(subject.tenant, None, b"\xff" * 17, 10)
    assert record.counts == {SENDING: 2, QUEUED: 1}
    counts = await subject.ledger.events.counts([subject.event(), event_id])
    assert counts == {event_id: {SENDING: 2, QUEUED: 1}}
    assert {m.id: m.status for m in (await subject.ledger.receipts.messages([called[0].id])).values()} == {
        called[0].id: SENDING
    }


async def a_call_is_over_for_one_message_after_the_other(subject: LedgerSubject) -> None:
    """What is settled, or comes back by a retry, is in no call, while the others of its batch still are."""
    done, again, last = (subject.planned() for _ in range(3))
    await subject.plan(done, again, last)
    await subject.call(done, again, last)
    await subject.settle(done)
    await subject.settle(again, DEFERRED, reason=Reason.RETRY, due_at=subject.now)
    assert [await subject.state(m) for m in (done, again, last)] == [
        (SENT, None),
        (DEFERRED, Reason.RETRY),
        (SENDING, None),
    ]
    (claimed,) = await subject.claim()
    assert claimed.id == again.id
    assert (await subject.stored(again)).status is QUEUED
    assert await subject.call(claimed) == frozenset()
    await subject.settle(last)
    assert (await subject.stored(again)).status is SENDING
    assert (await subject.settle(claimed)).refused == frozenset()
    assert await subject.timeline(again) == [
        (QUEUED, None),
        (SENDING, None),
        (DEFERRED, Reason.RETRY),
        (SENDING, None),
        (SENT, None),
    ]


async def several_calls_at_once_are_kept_apart(subject: LedgerSubject) -> None:
    """By integration, tenant and worker; each is refused only what its worker does not hold."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    eve = await subject.put_user("eve", tenant=other.id)
    mine, theirs, third = subject.planned(), subject.planned(eve), subject.planned()
    await subject.plan(mine, theirs)
    second = await subject.open_worker()
    await subject.plan(third, worker=second)
    begin = subject.ledger.messages.begin_calls
    refused = await together(
        begin(subject.worker, {"main": [mine, theirs], "spare": [third]}, subject.now),
        begin(second, {"main": [third, mine]}, subject.now),
    )
    assert refused == [{third.id}, {mine.id}]
    assert [(await subject.stored(m)).status for m in (mine, theirs, third)] == [SENDING] * 3
    await subject.settle(mine)
    assert [(await subject.stored(m)).status for m in (mine, theirs, third)] == [SENT, SENDING, SENDING]


async def an_old_fence_begins_no_call(subject: LedgerSubject) -> None:
    """Nor does it keep out, in the same moment, the one that holds the message."""
    stale = subject.planned(fence=0)
    await subject.plan(stale)
    (held,) = await subject.claim()
    begin = subject.ledger.messages.begin_calls
    refused = await together(
        begin(subject.worker, {"main": [stale]}, subject.now),
        begin(subject.worker, {"main": [held]}, subject.now),
    )
    assert refused == [{stale.id}, frozenset()]
    assert (await subject.stored(held)).status is SENDING
    assert await begin(subject.worker, {}, subject.now) == frozenset()


async def a_dead_worker_leaves_its_calls_in_doubt(subject: LedgerSubject) -> None:
    """What was in one says so, before and after others have it, and through which integration; nothing else does."""
    settled, begun, idle, waits = (subject.planned() for _ in range(4))
    await subject.plan(settled, begun, idle, waits)
    await subject.ledger.messages.begin_calls(subject.worker, {"relay": [settled, begun, waits]}, subject.now)
    called_at = subject.now
    await subject.settle(settled)
    await subject.settle(waits, DEFERRED, reason=Reason.RETRY, due_at=Instant(subject.now + 999_000))
    subject.clock.advance(LEASE_MS / 1_000 + 1)
    subject.worker = await subject.open_worker()
    assert (await subject.stored(begun)).status is SENDING
    assert await subject.reap() == 2
    stored = await subject.stored(begun)
    assert (stored.status, stored.updated_at, stored.integration) == (SENDING, called_at, "relay")
    found = {m.id: m.status for m in await subject.claim()}
    assert found == {begun.id: SENDING, idle.id: QUEUED}
    assert (await subject.stored(begun)).status is SENDING
    assert await subject.timeline(begun) == [(QUEUED, None), (SENDING, None)]


async def what_is_called_is_taken_back_by_nobody(subject: LedgerSubject) -> None:
    """One by one, by the event, or by a hand for many; the rungs behind it stay too."""
    message = subject.planned()
    await subject.plan(message)
    await subject.call(message)
    records = subject.ledger.records
    assert await records.cancel(subject.tenant, message.id, subject.now, frozenset()) is SENDING
    assert await subject.ledger.events.cancel(message.event_id, subject.now, frozenset()) == 0
    assert (
        await records.requeue(subject.tenant, MessageFilter(), [message.id], subject.now, 10, {})
        == frozenset()
    )
    assert await subject.timeline(message) == [(QUEUED, None), (SENDING, None)]
    assert (await subject.settle(message)).refused == frozenset()


async def a_report_in_a_call_leaves_it_under_way(subject: LedgerSubject) -> None:
    """What says nothing of a status: the message stays `sending`, its worker settles it, and a crash leaves it in doubt."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, second)
    await subject.call(first, second)
    begun_at = subject.now
    subject.clock.advance(1)
    opened = [
        ReceiptEffect(message=m, kind=ReceiptKind.OPENED, at=begun_at, status=None) for m in (first, second)
    ]
    assert list(await subject.ledger.receipts.receive(opened)) == [True, True]
    stored = await subject.stored(first)
    assert (stored.status, stored.fence, stored.updated_at) == (SENDING, first.fence, begun_at)
    assert await subject.timeline(first) == [(QUEUED, None), (SENDING, None), (SENDING, None)]
    assert (await subject.settle(first)).refused == frozenset()
    assert await subject.replace_worker() == 1
    (claimed,) = await subject.claim()
    assert (claimed.id, claimed.status) == (second.id, SENDING)


async def a_report_may_end_a_call_early(subject: LedgerSubject) -> None:
    """The message is delivered, and what its worker says afterwards is refused; its neighbour is still called."""
    early, neighbour = subject.planned(), subject.planned()
    await subject.plan(early, neighbour)
    await subject.call(early, neighbour)
    effect = ReceiptEffect(message=early, kind=ReceiptKind.DELIVERED, at=subject.now, status=Status.DELIVERED)
    assert list(await subject.ledger.receipts.receive([effect])) == [True]
    assert (await subject.settle(early)).refused == {early.id}
    assert await subject.timeline(early) == [(QUEUED, None), (SENDING, None), (Status.DELIVERED, None)]
    assert (await subject.stored(neighbour)).status is SENDING


async def whoever_is_erased_is_in_no_call(subject: LedgerSubject) -> None:
    """The message is suppressed, with its whole timeline; the answer of its call is refused, those of others count."""
    theirs, ours = subject.planned(subject.bob), subject.planned()
    await subject.plan(theirs, ours)
    await subject.call(theirs, ours)
    assert await subject.ledger.users.delete(subject.tenant, "bob")
    gone = (Status.SUPPRESSED, Reason.USER_DELETED)
    assert await subject.state(theirs) == gone
    assert await subject.timeline(theirs) == [(QUEUED, None), (SENDING, None), gone]
    result = await subject.ledger.messages.settle(
        subject.worker, [subject.settlement(theirs), subject.settlement(ours)]
    )
    assert result.refused == {theirs.id}
    assert await subject.state(ours) == (SENT, None)


CALLS_CONTRACT = (
    a_call_shows_in_all_its_messages,
    a_call_is_over_for_one_message_after_the_other,
    several_calls_at_once_are_kept_apart,
    an_old_fence_begins_no_call,
    a_dead_worker_leaves_its_calls_in_doubt,
    what_is_called_is_taken_back_by_nobody,
    a_report_in_a_call_leaves_it_under_way,
    a_report_may_end_a_call_early,
    whoever_is_erased_is_in_no_call,
)
