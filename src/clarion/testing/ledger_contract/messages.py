"""Claiming and settling, with fences, ladders and records."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import CHANNELS, LANES, Channel, Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.message import MessageFilter
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.suppression import SuppressionFilter
from clarion.model.worker import Process
from clarion.testing.ledger_contract.subject import LedgerSubject, later, rungs, together

QUEUED, DEFERRED, SENDING, SENT = Status.QUEUED, Status.DEFERRED, Status.SENDING, Status.SENT


async def only_what_is_due_is_claimed_oldest_first(subject: LedgerSubject) -> None:
    """Of one lane and channel, at most as many as asked for."""
    soon, sooner, not_yet = (later(subject.planned(), seconds) for seconds in (9, 5, 60))
    elsewhere = [subject.planned(channel=Channel.SMS, fence=0), subject.planned(lane=Lane.BULK, fence=0)]
    free = subject.planned(fence=0, due_at=Instant(subject.now + 7000))
    await subject.plan(soon, sooner, not_yet, free, *elsewhere, subject.planned())
    assert list(await subject.claim()) == []
    subject.clock.advance(10)
    assert [m.id for m in await subject.claim(limit=2)] == [sooner.id, free.id]
    assert [m.id for m in await subject.claim()] == [soon.id]
    assert list(await subject.claim()) == []


async def tenants_take_turns_in_what_is_due(subject: LedgerSubject) -> None:
    """However much of one is due, and for longer, the others are claimed in the same go, the oldest of each first."""
    others = [await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key=f"t{n}")) for n in range(3)]
    people = [await subject.put_user("eve", tenant=other.id) for other in others]
    flood = [subject.planned(fence=0, due_at=Instant(subject.now - 1_000)) for _ in range(120)]
    due = [
        subject.planned(user, fence=0, due_at=Instant(subject.now - 5 + n))
        for user in people
        for n in range(4)
    ]
    await subject.plan(*flood, *due)
    claimed = await subject.claim(limit=32)
    assert len(claimed) == 32
    for user in people:
        assert [m.id for m in claimed if m.user == user.no] == [m.id for m in due if m.user == user.no]
    rest = [m.id for _ in range(4) for m in await subject.claim(limit=32)]
    assert sorted([*rest, *(m.id for m in claimed)]) == sorted(m.id for m in (*flood, *due))


async def tenants_without_a_turn_are_next(subject: LedgerSubject) -> None:
    """With fewer places than tenants, each has had its turn after as many claims as it takes to go round."""
    others = [await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key=f"t{n}")) for n in range(7)]
    people = [await subject.put_user("eve", tenant=other.id) for other in others]
    await subject.plan(*(subject.planned(user, fence=0) for user in people for _ in range(10)))
    turns = [m.tenant for _ in range(3) for m in await subject.claim(limit=3)]
    assert len(turns) == 9
    assert set(turns) == {other.id for other in others}


async def a_claim_can_leave_tenants_out(subject: LedgerSubject) -> None:
    """Those that have enough already."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="other"))
    eve = await subject.put_user("eve", tenant=other.id)
    mine, theirs = subject.planned(fence=0), subject.planned(eve, fence=0)
    await subject.plan(mine, theirs)
    assert [m.id for m in await subject.claim(but=frozenset({subject.tenant}))] == [theirs.id]
    assert list(await subject.claim(but=frozenset({subject.tenant}))) == []
    assert [m.id for m in await subject.claim()] == [mine.id]


async def what_is_claimed_is_held(subject: LedgerSubject) -> None:
    """It comes with a higher fence and the status found, and for nobody else however long it takes."""
    waiting = later(subject.planned(), 0)
    await subject.plan(waiting)
    (claimed,) = await subject.claim()
    assert (claimed.status, claimed.reason) == (DEFERRED, Reason.QUIET_HOURS)
    assert claimed == replace(waiting, fence=waiting.fence + 1, due_at=None)
    stored = await subject.stored(claimed)
    assert (stored.status, stored.due_at) == (QUEUED, None)
    subject.clock.advance(3_600)
    assert list(await subject.claim()) == []
    assert (await subject.settle(claimed)).refused == frozenset()


async def claims_at_once_share_nothing(subject: LedgerSubject) -> None:
    """Every message is claimed by exactly one."""
    await subject.plan(*(subject.planned(fence=0) for _ in range(50)))
    claimed = await together(*(subject.claim(limit=7) for _ in range(10)))
    ids = [m.id for batch in claimed for m in batch]
    assert len(ids) == len(set(ids)) == 50


async def one_claim_names_each_message_once(subject: LedgerSubject) -> None:
    """Also when the lease of whoever claims ends at that very moment, and several tenants take turns."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    eve = await subject.put_user("eve", "eve@example.org", other.id)
    await subject.plan(*(subject.planned(user, fence=0) for user in (subject.ada, eve) for _ in range(20)))
    ending = await subject.ledger.leases.open(Process(), subject.now, subject.now)
    claimed = await subject.ledger.messages.claim(ending, Lane.NORMAL, Channel.EMAIL, 100, subject.now)
    assert len(claimed) == len({m.id for m in claimed}) == 40
    assert list(await subject.claim()) == []


async def what_was_being_sent_says_so_when_claimed(subject: LedgerSubject) -> None:
    """The outcome of an earlier holder's call is unknown, whatever happens in between."""
    message = subject.planned()
    await subject.plan(message)
    assert await subject.call(message) == frozenset()
    assert await subject.timeline(message) == [(QUEUED, None), (SENDING, None)]
    assert await subject.replace_worker() == 1
    (claimed,) = await subject.claim()
    assert claimed.status is SENDING
    assert await subject.replace_worker() == 1
    (claimed,) = await subject.claim()
    assert claimed.status is SENDING
    assert await subject.call(message) == {message.id}
    assert await subject.call(claimed) == frozenset()
    assert (await subject.settle(claimed)).refused == frozenset()


async def a_settlement_is_stored_whole(subject: LedgerSubject) -> None:
    """State, times and one change with everything the attempt said."""
    message = subject.planned()
    await subject.plan(message)
    subject.clock.advance(2)
    await subject.settle(
        message,
        SENT,
        provider_id="abc",
        outcome="accepted",
        took_ms=12,
        detail="queued as \ud83d, \u00e9",
        traceparent="00-1-2-01",
        integration="main",
    )
    stored = await subject.stored(message)
    assert stored == replace(
        message,
        status=SENT,
        due_at=None,
        attempt=1,
        integration="main",
        updated_at=subject.now,
        sent_at=subject.now,
    )
    _, change = await subject.ledger.records.changes(subject.tenant, message.id)
    assert (change.status, change.attempt, change.integration, change.at) == (SENT, 1, "main", subject.now)
    assert (change.outcome, change.provider_id, change.took_ms) == ("accepted", "abc", 12)
    assert (change.detail, change.traceparent) == ("queued as ?, \u00e9", "00-1-2-01")


async def a_retry_waits_for_its_time(subject: LedgerSubject) -> None:
    """Unheld, with its attempts counted; it comes back when due."""
    message = subject.planned()
    await subject.plan(message)
    due = Instant(subject.now + 5000)
    await subject.settle(message, DEFERRED, reason=Reason.RETRY, due_at=due, attempt=1, unknowns=1)
    stored = await subject.stored(message)
    assert (stored.status, stored.due_at, stored.attempt, stored.unknowns) == (DEFERRED, due, 1, 1)
    assert (await subject.settle(message)).refused == {message.id}, "nobody holds it"
    subject.clock.advance(5)
    (claimed,) = await subject.claim()
    assert (claimed.attempt, claimed.reason) == (1, Reason.RETRY)


async def the_status_never_goes_back(subject: LedgerSubject) -> None:
    """A finished message is not touched, whatever fence the late one holds."""
    message = subject.planned()
    await subject.plan(message)
    await subject.settle(message, Status.DELIVERED)
    for status in (SENT, DEFERRED, Status.FAILED):
        reason = None if status is SENT else Reason.RETRY
        assert (await subject.settle(message, status, reason=reason)).refused == {message.id}
    assert await subject.timeline(message) == [(QUEUED, None), (Status.DELIVERED, None)]


async def a_refused_settlement_leaves_nothing_behind(subject: LedgerSubject) -> None:
    """No change, no inbox item, no capture, no suppression, no step of the ladder; its neighbours are stored."""
    ladder = rungs(subject, Channel.IN_APP, Channel.SMS, until="delivered")
    good, stale, captured = ladder[0], subject.planned(channel=Channel.IN_APP), subject.planned()
    await subject.plan(*ladder, stale, captured)
    await subject.ledger.leases.give_back(subject.worker, [good, stale], subject.now)
    await subject.claim(channel=Channel.IN_APP)
    gone = subject.gone(subject.ada.profile.contacts[0].hash)
    result = await subject.ledger.messages.settle(
        subject.worker,
        [
            subject.settlement(stale, Status.DELIVERED, record=subject.item(stale), suppressions=gone),
            subject.settlement(
                good, Status.DELIVERED, record=subject.item(good), cancels=good.later_rungs, suppressions=gone
            ),
            subject.settlement(captured, SENT, record=subject.captured(captured)),
        ],
    )
    assert result.refused == {stale.id, good.id}
    assert result.inbox == ()
    assert (await subject.ledger.inboxes.head(subject.ada.no))[0] == 0
    assert await subject.state(ladder[1]) == (DEFERRED, Reason.WAITING_FOR_EARLIER_CHANNEL)
    assert await subject.timeline(good) == [(QUEUED, None)]
    assert await subject.reread(subject.ada) == subject.ada
    assert len(await subject.ledger.captures.of(subject.tenant, captured.id)) == 1


async def a_batch_may_name_a_message_twice(subject: LedgerSubject) -> None:
    """The first word counts."""
    message = subject.planned()
    await subject.plan(message)
    await subject.ledger.messages.settle(
        subject.worker, [subject.settlement(message, SENT), subject.settlement(message, Status.DELIVERED)]
    )
    assert await subject.timeline(message) == [(QUEUED, None), (SENT, None)]


async def settlements_at_once_are_kept_apart(subject: LedgerSubject) -> None:
    """Each caller learns only of its own refusals."""
    messages = [subject.planned() for _ in range(30)]
    await subject.plan(*messages)
    stale = replace(messages[11], fence=0)
    results = await together(*(subject.settle(stale if n == 11 else m) for n, m in enumerate(messages)))
    assert [bool(result.refused) for result in results] == [n == 11 for n in range(30)]


async def the_inbox_item_comes_with_its_offset(subject: LedgerSubject) -> None:
    """Grouped by user, in order, without gaps, also for items of one batch."""
    messages = [
        subject.planned(user, channel=Channel.IN_APP) for user in (subject.ada, subject.bob, subject.ada)
    ]
    await subject.plan(*messages)
    result = await subject.ledger.messages.settle(
        subject.worker, [subject.settlement(m, Status.DELIVERED, record=subject.item(m)) for m in messages]
    )
    offsets = {change.user: [item.offset for item in change.items] for change in result.inbox}
    assert offsets == {subject.ada.no: [1, 2], subject.bob.no: [1]}
    by_user = {change.user: change for change in result.inbox}
    assert list(await subject.ledger.inboxes.since(subject.ada.no, 0, 10)) == list(
        by_user[subject.ada.no].items
    )
    stored = await subject.stored(messages[0])
    assert (stored.sent_at, stored.delivered_at) == (subject.now, subject.now)


async def a_satisfied_ladder_stops(subject: LedgerSubject) -> None:
    """Later rungs that have not started are cancelled."""
    ladder = rungs(subject, Channel.PUSH, Channel.SMS, Channel.EMAIL, until="sent")
    await subject.plan(*ladder)
    await subject.settle(ladder[0], SENT, cancels=ladder[0].later_rungs)
    for rung in ladder[1:]:
        assert await subject.state(rung) == (Status.CANCELED, Reason.LADDER_SATISFIED)
        assert (await subject.timeline(rung))[-1] == (Status.CANCELED, Reason.LADDER_SATISFIED)
    subject.clock.advance(100)
    assert list(await subject.claim()) == []


async def a_satisfied_ladder_stops_a_rung_that_is_claimed(subject: LedgerSubject) -> None:
    """Whoever holds it is refused. One whose call has begun is left alone."""
    ladder = rungs(subject, Channel.PUSH, Channel.SMS, Channel.EMAIL, until="sent")
    await subject.plan(*ladder)
    subject.clock.advance(61)
    (text,) = await subject.claim(channel=Channel.SMS)
    (mail,) = await subject.claim(channel=Channel.EMAIL)
    await subject.call(mail)
    await subject.settle(ladder[0], SENT, cancels=ladder[0].later_rungs)
    assert await subject.state(text) == (Status.CANCELED, Reason.LADDER_SATISFIED)
    assert (await subject.settle(text, SENT)).refused == {text.id}
    assert (await subject.state(mail))[0] is Status.SENDING
    assert (await subject.settle(mail, SENT)).refused == frozenset()


async def what_waits_for_its_receipt_was_sent(subject: LedgerSubject) -> None:
    """Since its provider took it; a retry by hand begins anew. Why it went that way is kept with the attempt."""
    message = subject.planned()
    await subject.plan(message)
    due = subject.now
    waits = {
        "reason": Reason.WAITING_FOR_RECEIPT,
        "due_at": due,
        "outcome": "accepted",
        "choice": "a 100; b 50",
    }
    await subject.settle(message, Status.DEFERRED, **waits)
    changes = await subject.ledger.records.changes(message.tenant, message.id)
    assert [change.choice for change in changes] == [None, "a 100; b 50"]
    subject.clock.advance(5)
    (held,) = await subject.claim()
    assert held.sent_at == due
    await subject.settle(held, Status.FAILED, reason=Reason.OUTCOME_UNKNOWN)
    everything, ids = MessageFilter(), [message.id]
    await subject.ledger.records.requeue(subject.tenant, everything, ids, subject.now, 1, {})
    assert (await subject.stored(message)).sent_at is None


async def a_message_knows_when_it_was_tried_first(subject: LedgerSubject) -> None:
    """While it is tried again; waiting is no try."""
    message = subject.planned()
    await subject.plan(message)
    await subject.settle(message, Status.DEFERRED, reason=Reason.QUIET_HOURS, due_at=subject.now)
    assert (await subject.stored(message)).tried_at is None
    first = None
    for _ in range(2):
        (held,) = await subject.claim()
        first = first or subject.now
        await subject.settle(held, Status.DEFERRED, reason=Reason.RETRY, due_at=subject.now, outcome="retry")
        assert (await subject.stored(message)).tried_at == first
        subject.clock.advance(5)


async def a_failed_rung_calls_the_next(subject: LedgerSubject) -> None:
    """At once instead of at its own time; one that started already is left alone."""
    ladder = rungs(subject, Channel.PUSH, Channel.SMS, until="sent")
    await subject.plan(*ladder)
    subject.clock.advance(1)
    await subject.settle(ladder[0], Status.FAILED, reason=Reason.OUTCOME_UNKNOWN, advances=ladder[1].id)
    (second,) = await subject.claim(channel=Channel.SMS)
    assert second.id == ladder[1].id
    other = rungs(subject, Channel.PUSH, Channel.SMS, until="sent")
    await subject.plan(*other)
    subject.clock.advance(31)
    (held,) = await subject.claim(channel=Channel.SMS)
    await subject.settle(other[0], SENT, advances=other[1].id)
    assert (await subject.stored(held)).fence == held.fence


async def an_address_that_is_gone_is_suppressed(subject: LedgerSubject) -> None:
    """For everybody who has it, from the moment the settlement is acknowledged."""
    message = subject.planned()
    await subject.plan(message)
    gone = subject.ada.profile.contacts[0].hash
    twin = await subject.put_user("twin", "ada@example.org")
    await subject.settle(message, Status.BOUNCED, reason=Reason.ADDRESS_GONE, suppressions=subject.gone(gone))
    for user in (subject.ada, twin):
        now = await subject.reread(user)
        assert now is not None
        assert now.suppressed == {gone}
    (row,) = await subject.ledger.suppressions.page(subject.tenant, SuppressionFilter(), None, 10)
    assert (row.hash, row.channel, row.reason) == (gone, Channel.EMAIL, "address_gone")


async def due_names_the_queues_with_work(subject: LedgerSubject) -> None:
    """And only those, as of the given moment."""
    await subject.plan(
        subject.planned(fence=0),
        subject.planned(fence=0, lane=Lane.CRITICAL, channel=Channel.SMS),
        later(subject.planned(channel=Channel.PUSH), 10),
    )
    due = subject.ledger.messages.due
    assert set(await due(subject.now)) == {(Lane.NORMAL, Channel.EMAIL), (Lane.CRITICAL, Channel.SMS)}
    assert (Lane.NORMAL, Channel.PUSH) in await due(Instant(subject.now + 10_000))
    assert set(await due(Instant(0))) == set()


async def every_queue_can_be_claimed(subject: LedgerSubject) -> None:
    """Each lane and channel is a queue of its own."""
    everything = [
        subject.planned(fence=0, lane=lane, channel=channel) for lane in LANES for channel in CHANNELS
    ]
    await subject.plan(*everything)
    for message in everything:
        (claimed,) = await subject.claim(message.lane, message.channel)
        assert claimed.id == message.id


async def depth_counts_what_waits(subject: LedgerSubject) -> None:
    """Per queue; what somebody holds does not count, and what is finished neither."""
    done, waiting = subject.planned(), [subject.planned(fence=0) for _ in range(3)]
    await subject.plan(done, subject.planned(), *waiting, later(subject.planned(channel=Channel.SMS), 9))
    await subject.settle(done)
    await subject.claim(limit=1)
    assert await subject.ledger.messages.depth() == {
        (Lane.NORMAL, Channel.EMAIL): 2,
        (Lane.NORMAL, Channel.SMS): 1,
    }


MESSAGES_CONTRACT = (
    only_what_is_due_is_claimed_oldest_first,
    tenants_take_turns_in_what_is_due,
    tenants_without_a_turn_are_next,
    a_claim_can_leave_tenants_out,
    what_is_claimed_is_held,
    claims_at_once_share_nothing,
    one_claim_names_each_message_once,
    what_was_being_sent_says_so_when_claimed,
    a_settlement_is_stored_whole,
    a_retry_waits_for_its_time,
    the_status_never_goes_back,
    a_refused_settlement_leaves_nothing_behind,
    a_batch_may_name_a_message_twice,
    settlements_at_once_are_kept_apart,
    the_inbox_item_comes_with_its_offset,
    a_satisfied_ladder_stops,
    a_satisfied_ladder_stops_a_rung_that_is_claimed,
    what_waits_for_its_receipt_was_sent,
    a_message_knows_when_it_was_tried_first,
    a_failed_rung_calls_the_next,
    an_address_that_is_gone_is_suppressed,
    due_names_the_queues_with_work,
    every_queue_can_be_claimed,
    depth_counts_what_waits,
)
