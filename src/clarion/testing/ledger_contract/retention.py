"""Retention: old rows are deleted, rows that are still needed stay, and the rest is consistent."""

from __future__ import annotations

from collections import Counter

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.inbound import ANY_INBOUND
from clarion.model.inbox import CaptureFilter, InboxCounts
from clarion.model.message import Message, MessageFilter
from clarion.model.operation import (
    Operation,
    OperationFilter,
    OperationId,
    OperationKind,
    OperationStep,
)
from clarion.model.quarantine import ANY_QUARANTINED, Quarantined
from clarion.model.reading import DeadRecord, DeadRecordFilter, DeadRecordKind
from clarion.model.retention import MessageTotal, RetentionKind
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.inbound import message as inbound_message
from clarion.testing.ledger_contract.spending import charge as payment
from clarion.testing.ledger_contract.subject import LedgerSubject, later

DAY_S = 86_400
ALL = MessageFilter()


async def _sweep(
    subject: LedgerSubject, kind: RetentionKind, *, dry: bool = False, **of: int
) -> Counter[TenantId]:
    """Everything of a kind from before yesterday; how many went, by tenant."""
    cutoff = Instant(subject.now - DAY_S * 1000)
    cutoffs = {TenantId(tenant): cutoff for tenant in of.values()} or {subject.tenant: cutoff}
    expired: Counter[TenantId] = Counter()
    after = None
    while True:
        swept = await subject.ledger.retention.sweep(kind, cutoffs, after, dry=dry)
        expired.update(swept.expired)
        if (after := swept.following) is None:
            return expired


async def _totals(subject: LedgerSubject) -> list[MessageTotal]:
    """All there are until now: the subject is younger than this."""
    today = subject.now // (DAY_S * 1000)
    return [*await subject.ledger.retention.totals(subject.tenant, today - 100, today + 1)]


async def _messages(subject: LedgerSubject) -> list[Message]:
    return list((await subject.ledger.records.page(subject.tenant, ALL, None, 100))[0])


async def what_old_messages_cost_stays_in_the_sums(subject: LedgerSubject) -> None:
    """Their charges go with them."""
    old = subject.planned()
    await subject.plan(old)
    await subject.ledger.spending.charge([payment(subject, old)])
    await subject.settle(old, paid=True)
    before = list(await subject.ledger.spending.spent(subject.tenant, "0000", "9999"))
    subject.clock.advance(2 * DAY_S)
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}
    assert list(await subject.ledger.spending.costs([old.id])) == []
    assert list(await subject.ledger.spending.spent(subject.tenant, "0000", "9999")) == before != []


async def old_messages_go_with_their_history(subject: LedgerSubject) -> None:
    """The younger ones keep theirs whole; a second look finds nothing."""
    old = subject.planned()
    await subject.plan(old)
    await subject.settle(old)
    subject.clock.advance(2 * DAY_S)
    young = subject.planned()
    await subject.plan(young)
    await subject.settle(young)
    assert await _sweep(subject, RetentionKind.MESSAGES, dry=True) == {subject.tenant: 1}
    assert len(await _messages(subject)) == 2
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}
    assert [one.id for one in await _messages(subject)] == [young.id]
    assert await subject.ledger.records.changes(subject.tenant, old.id) == []
    assert await subject.timeline(young) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await subject.ledger.plans.runs_of(subject.tenant, old.event_id, None) == []
    assert len(await subject.ledger.plans.runs_of(subject.tenant, young.event_id, None)) == 1
    assert await _sweep(subject, RetentionKind.MESSAGES) == {}


async def what_is_not_over_stays(subject: LedgerSubject) -> None:
    """However old it is; and its timeline stays whole."""
    waiting = later(subject.planned(), 90 * DAY_S)
    over = subject.planned()
    await subject.plan(waiting)
    await subject.plan(over)
    await subject.settle(over)
    subject.clock.advance(30 * DAY_S)
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}
    assert [one.id for one in await _messages(subject)] == [waiting.id]
    assert await subject.timeline(waiting) == [(Status.DEFERRED, Reason.QUIET_HOURS)]
    assert len(await subject.ledger.plans.runs_of(subject.tenant, waiting.event_id, None)) == 1


async def numbers_of_what_went_stay(subject: LedgerSubject) -> None:
    """By day, workflow, channel, status and reason, as they were before."""
    for status, reason in ((Status.SENT, None), (Status.SENT, None), (Status.FAILED, Reason.TEMPLATE_ERROR)):
        message = subject.planned()
        await subject.plan(message)
        await subject.settle(message, status, reason=reason)
    day = subject.now // (DAY_S * 1000)
    subject.clock.advance(2 * DAY_S)
    before = await _totals(subject)
    await _sweep(subject, RetentionKind.MESSAGES)
    totals = await _totals(subject)
    assert totals == before
    assert await subject.ledger.retention.totals(subject.tenant, day + 1, day + 3) == []
    assert {(one.day, one.workflow, one.channel, one.status, one.reason): one.count for one in totals} == {
        (day, "news", Channel.EMAIL, Status.SENT, None): 2,
        (day, "news", Channel.EMAIL, Status.FAILED, Reason.TEMPLATE_ERROR): 1,
    }


async def a_dry_look_adds_no_numbers(subject: LedgerSubject) -> None:
    """Nor does it delete."""
    message = subject.planned()
    await subject.plan(message)
    await subject.settle(message)
    subject.clock.advance(2 * DAY_S)
    before = await _totals(subject)
    for kind in RetentionKind:
        await _sweep(subject, kind, dry=True)
    assert await _totals(subject) == before
    assert [one.count for one in before] == [1]
    assert len(await _messages(subject)) == 1


async def tenants_keep_what_is_theirs(subject: LedgerSubject) -> None:
    """Who is not named keeps everything."""
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    eve = await subject.put_user("eve", "eve@example.org", other.id)
    for user in (subject.ada, eve):
        message = subject.planned(user)
        await subject.plan(message)
        await subject.settle(message)
    subject.clock.advance(2 * DAY_S)
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}
    assert len((await subject.ledger.records.page(other.id, ALL, None, 10))[0]) == 1
    assert await _sweep(subject, RetentionKind.MESSAGES, theirs=other.id) == {other.id: 1}


async def a_message_stays_as_long_as_its_inbox_item(subject: LedgerSubject) -> None:
    """First the item goes, then the message."""
    await subject.delivered()
    subject.clock.advance(2 * DAY_S)
    assert await _sweep(subject, RetentionKind.MESSAGES) == {}
    assert await _sweep(subject, RetentionKind.INBOX, dry=True) == {subject.tenant: 1}
    assert len(await subject.ledger.inboxes.page(subject.ada.no, None, 10)) == 1
    assert await _sweep(subject, RetentionKind.INBOX) == {subject.tenant: 1}
    assert await subject.ledger.inboxes.page(subject.ada.no, None, 10) == []
    assert len(await _messages(subject)) == 1
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}


async def counters_of_an_inbox_stay_exact(subject: LedgerSubject) -> None:
    """Also when the newest change was of an item that went; offsets go on from where they were."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    old = [await subject.delivered() for _ in range(4)]
    await inboxes.mark(ada, "seen", [old[0].id], subject.now)
    await inboxes.mark(ada, "read", [old[1].id], subject.now)
    await inboxes.mark(ada, "archived", [old[2].id], subject.now)
    before, _ = await inboxes.head(ada)
    subject.clock.advance(2 * DAY_S)
    assert await _sweep(subject, RetentionKind.INBOX) == {subject.tenant: 4}
    assert await inboxes.head(ada) == (before, InboxCounts(unseen=0, unread=0, total=0))
    assert await inboxes.since(ada, 0, 10) == []
    young = await subject.delivered()
    assert await inboxes.head(ada) == (before + 1, InboxCounts(unseen=1, unread=1, total=1))
    assert [one.message_id for one in await inboxes.since(ada, before, 10)] == [young.id]
    assert await inboxes.mark(ada, "read", [old[0].id], subject.now) is None


async def younger_items_and_their_changes_stay(subject: LedgerSubject) -> None:
    """Whoever comes back gets exactly what is left of what they missed."""
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    await subject.delivered()
    await subject.delivered()
    subject.clock.advance(2 * DAY_S)
    first, second = [await subject.delivered() for _ in range(2)]
    await inboxes.mark(ada, "seen", [first.id], subject.now)
    assert await _sweep(subject, RetentionKind.INBOX) == {subject.tenant: 2}
    assert (await inboxes.head(ada))[1] == InboxCounts(unseen=1, unread=2, total=2)
    assert {one.message_id for one in await inboxes.since(ada, 0, 10)} == {first.id, second.id}
    assert {one.message_id for one in await inboxes.page(ada, None, 10)} == {first.id, second.id}


async def events_go_when_nothing_needs_them(subject: LedgerSubject) -> None:
    """Planned, not set aside, and without a message that may still be rendered from it."""
    log = subject.ledger.log
    entries, _ = await log.append([subject.entry() for _ in range(3)], [None] * 3)
    waiting = later(subject.planned(event_id=entries[1].event_id), 90 * DAY_S)
    await subject.plan(waiting)
    subject.clock.advance(2 * DAY_S)
    assert await _sweep(subject, RetentionKind.EVENTS) == {}, "what is not planned is needed"
    await subject.consume(*entries)
    assert await _sweep(subject, RetentionKind.EVENTS) == {subject.tenant: 2}
    left = await subject.ledger.events.bodies([entry.key for entry in entries])
    assert {*left} == {entries[1].key}


async def captures_inbound_messages_quarantined_mail_and_dead_records_go_by_age(
    subject: LedgerSubject,
) -> None:
    """The younger ones stay."""

    async def keep(number: int) -> None:
        message = subject.planned()
        await subject.plan(message)
        await subject.settle(message, Status.SENT, record=subject.captured(message))
        digest = bytes([number]) * 16
        mail = Quarantined(
            tenant=subject.tenant, why="no_message", sealed=b"sealed", digest=digest, at=subject.now
        )
        await subject.ledger.quarantine.keep(mail)
        await subject.ledger.inbound.take([inbound_message(subject, digest=digest)])
        dead = DeadRecord(
            tenant=subject.tenant,
            kind=DeadRecordKind.SOURCE_RECORD,
            origin="orders",
            place=f"orders/0/{number}",
            reason="mapping_failed",
            detail="there is no field `user`",
            sealed=b"sealed",
            at=subject.now,
        )
        await subject.ledger.dead_records.keep([dead])

    await keep(1)
    subject.clock.advance(2 * DAY_S)
    await keep(2)
    for kind in (
        RetentionKind.CAPTURES,
        RetentionKind.INBOUND,
        RetentionKind.QUARANTINE,
        RetentionKind.DEAD_RECORDS,
    ):
        assert await _sweep(subject, kind) == {subject.tenant: 1}
    assert len(await subject.ledger.captures.page(subject.tenant, CaptureFilter(), None, 10)) == 1
    left = await subject.ledger.quarantine.page(subject.tenant, ANY_QUARANTINED, None, 10)
    assert [mail.digest for mail in left] == [bytes([2]) * 16]
    inbound = await subject.ledger.inbound.page(subject.tenant, ANY_INBOUND, None, 10)
    assert [one.digest for one in inbound] == [bytes([2]) * 16]
    (dead,) = await subject.ledger.dead_records.page(subject.tenant, DeadRecordFilter(), None, 10)
    assert dead.place == "orders/0/2"


async def finished_operations_go_with_what_failed(subject: LedgerSubject) -> None:
    """By when they finished; one that is not over stays."""
    operations = subject.ledger.operations

    async def asked() -> Operation:
        operation = Operation(
            id=OperationId(subject.event()),
            tenant=subject.tenant,
            kind=OperationKind.RETRY_MESSAGES,
            where=ALL,
            created_at=subject.now,
            updated_at=subject.now,
        )
        assert await operations.add(operation, 10)
        return operation

    async def finished(operation: Operation) -> Operation:
        gone = MessageId(b"m" * 16)
        step = OperationStep(ids=[gone], at=subject.now, total=1)
        done = (await subject.ledger.steps.advance(operation, step)).operation
        return (await subject.ledger.steps.advance(done, OperationStep(ids=[], at=subject.now))).operation

    old, unfinished = await finished(await asked()), await asked()
    late = await asked()
    assert old.finished_at is not None
    assert len(await operations.errors(subject.tenant, old.id, -1, 10)) == 1
    subject.clock.advance(2 * DAY_S)
    late = await finished(late)
    assert await _sweep(subject, RetentionKind.OPERATIONS, dry=True) == {subject.tenant: 1}
    assert await _sweep(subject, RetentionKind.OPERATIONS) == {subject.tenant: 1}
    left = await operations.page(subject.tenant, OperationFilter(), None, 10)
    assert {one.id for one in left} == {unfinished.id, late.id}
    assert await operations.errors(subject.tenant, old.id, -1, 10) == []
    assert len(await operations.errors(subject.tenant, late.id, -1, 10)) == 1


async def that_an_event_was_canceled_is_known_as_long_as_the_event(subject: LedgerSubject) -> None:
    """What is planned of it is canceled however late that is; with the event the knowledge goes."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    await subject.ledger.events.cancel(entry.event_id, subject.now, frozenset())
    subject.clock.advance(60 * DAY_S)
    await _sweep(subject, RetentionKind.EVENTS)
    late = subject.planned(event_id=entry.event_id)
    assert (await subject.plan(late)).changed == {late.id: (Status.CANCELED, Reason.CANCELED_BY_CALLER)}
    await subject.consume(entry)
    assert await _sweep(subject, RetentionKind.EVENTS) == {subject.tenant: 1}
    again = subject.planned(subject.bob, event_id=entry.event_id)
    assert (await subject.plan(again)).changed == {}


async def a_key_whose_message_went_begins_anew(subject: LedgerSubject) -> None:
    """A thread and a collapse key of long ago hold up nobody."""
    old = subject.planned()
    await subject.plan(old, turns=(subject.turn(old),), collapses=(subject.collapse(old),))
    await subject.settle(old)
    subject.clock.advance(2 * DAY_S)
    await _sweep(subject, RetentionKind.MESSAGES)
    young = subject.planned()
    result = await subject.plan(young, turns=(subject.turn(young),), collapses=(subject.collapse(young),))
    assert result.changed == {}


async def erased_people_stay_erased(subject: LedgerSubject) -> None:
    """What is left of their messages goes too, and only numbers stay."""
    await subject.delivered()
    await subject.ledger.users.delete(subject.tenant, subject.ada.id)
    subject.clock.advance(2 * DAY_S)
    await _sweep(subject, RetentionKind.INBOX)
    assert await _sweep(subject, RetentionKind.MESSAGES) == {subject.tenant: 1}
    assert await subject.ledger.users.find(subject.tenant, [subject.ada.id]) == {}
    totals = await _totals(subject)
    assert [(one.channel, one.count) for one in totals] == [(Channel.IN_APP, 1)]


RETENTION_CONTRACT = (
    old_messages_go_with_their_history,
    what_old_messages_cost_stays_in_the_sums,
    what_is_not_over_stays,
    numbers_of_what_went_stay,
    a_dry_look_adds_no_numbers,
    tenants_keep_what_is_theirs,
    a_message_stays_as_long_as_its_inbox_item,
    counters_of_an_inbox_stay_exact,
    younger_items_and_their_changes_stay,
    events_go_when_nothing_needs_them,
    captures_inbound_messages_quarantined_mail_and_dead_records_go_by_age,
    finished_operations_go_with_what_failed,
    that_an_event_was_canceled_is_known_as_long_as_the_event,
    a_key_whose_message_went_begins_anew,
    erased_people_stay_erased,
)
