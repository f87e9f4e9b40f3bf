"""What is older than its tenant keeps it goes; what is still needed stays, and what is left is whole."""

from __future__ import annotations

from collections import Counter

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
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
from clarion.model.retention import MessageTotal, RetentionKind
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.world import World, later

DAY_S = 86_400
ALL = MessageFilter()


async def _sweep(world: World, kind: RetentionKind, *, dry: bool = False, **of: int) -> Counter[TenantId]:
    """Everything of a kind from before yesterday; how many went, by tenant."""
    cutoff = Instant(world.now - DAY_S * 1000)
    cutoffs = {TenantId(tenant): cutoff for tenant in of.values()} or {world.tenant: cutoff}
    expired: Counter[TenantId] = Counter()
    after = None
    while True:
        swept = await world.ledger.retention.sweep(kind, cutoffs, after, dry=dry)
        expired.update(swept.expired)
        if (after := swept.following) is None:
            return expired


async def _totals(world: World) -> list[MessageTotal]:
    """All there are until now."""
    return [*await world.ledger.retention.totals(world.tenant, 0, world.now // (DAY_S * 1000) + 1)]


async def _messages(world: World) -> list[Message]:
    return list((await world.ledger.records.page(world.tenant, ALL, None, 100))[0])


async def old_messages_go_with_their_history(world: World) -> None:
    """The younger ones keep theirs whole; a second look finds nothing."""
    old = world.planned()
    await world.plan(old)
    await world.settle(old)
    world.clock.advance(2 * DAY_S)
    young = world.planned()
    await world.plan(young)
    await world.settle(young)
    assert await _sweep(world, RetentionKind.MESSAGES, dry=True) == {world.tenant: 1}
    assert len(await _messages(world)) == 2
    assert await _sweep(world, RetentionKind.MESSAGES) == {world.tenant: 1}
    assert [one.id for one in await _messages(world)] == [young.id]
    assert await world.ledger.records.changes(world.tenant, old.id) == []
    assert await world.timeline(young) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await world.ledger.plans.runs_of(world.tenant, old.event_id, None) == []
    assert len(await world.ledger.plans.runs_of(world.tenant, young.event_id, None)) == 1
    assert await _sweep(world, RetentionKind.MESSAGES) == {}


async def what_is_not_over_stays(world: World) -> None:
    """However old it is; and its timeline stays whole."""
    waiting = later(world.planned(), 90 * DAY_S)
    over = world.planned()
    await world.plan(waiting)
    await world.plan(over)
    await world.settle(over)
    world.clock.advance(30 * DAY_S)
    assert await _sweep(world, RetentionKind.MESSAGES) == {world.tenant: 1}
    assert [one.id for one in await _messages(world)] == [waiting.id]
    assert await world.timeline(waiting) == [(Status.DEFERRED, Reason.QUIET_HOURS)]
    assert len(await world.ledger.plans.runs_of(world.tenant, waiting.event_id, None)) == 1


async def numbers_of_what_went_stay(world: World) -> None:
    """By day, workflow, channel, status and reason, as they were before."""
    for status, reason in ((Status.SENT, None), (Status.SENT, None), (Status.FAILED, Reason.TEMPLATE_ERROR)):
        message = world.planned()
        await world.plan(message)
        await world.settle(message, status, reason=reason)
    day = world.now // (DAY_S * 1000)
    world.clock.advance(2 * DAY_S)
    before = await _totals(world)
    await _sweep(world, RetentionKind.MESSAGES)
    totals = await _totals(world)
    assert totals == before
    assert await world.ledger.retention.totals(world.tenant, day + 1, day + 3) == []
    assert {(one.day, one.workflow, one.channel, one.status, one.reason): one.count for one in totals} == {
        (day, "news", Channel.EMAIL, Status.SENT, None): 2,
        (day, "news", Channel.EMAIL, Status.FAILED, Reason.TEMPLATE_ERROR): 1,
    }


async def a_dry_look_adds_no_numbers(world: World) -> None:
    """Nor does it delete."""
    message = world.planned()
    await world.plan(message)
    await world.settle(message)
    world.clock.advance(2 * DAY_S)
    before = await _totals(world)
    for kind in RetentionKind:
        await _sweep(world, kind, dry=True)
    assert await _totals(world) == before
    assert [one.count for one in before] == [1]
    assert len(await _messages(world)) == 1


async def tenants_keep_what_is_theirs(world: World) -> None:
    """Who is not named keeps everything."""
    other = await world.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    eve = await world.person("eve", "eve@example.org", other.id)
    for user in (world.ada, eve):
        message = world.planned(user)
        await world.plan(message)
        await world.settle(message)
    world.clock.advance(2 * DAY_S)
    assert await _sweep(world, RetentionKind.MESSAGES) == {world.tenant: 1}
    assert len((await world.ledger.records.page(other.id, ALL, None, 10))[0]) == 1
    assert await _sweep(world, RetentionKind.MESSAGES, theirs=other.id) == {other.id: 1}


async def a_message_stays_as_long_as_its_inbox_item(world: World) -> None:
    """First the item goes, then the message."""
    await world.delivered()
    world.clock.advance(2 * DAY_S)
    assert await _sweep(world, RetentionKind.MESSAGES) == {}
    assert await _sweep(world, RetentionKind.INBOX, dry=True) == {world.tenant: 1}
    assert len(await world.ledger.inboxes.page(world.ada.no, None, 10)) == 1
    assert await _sweep(world, RetentionKind.INBOX) == {world.tenant: 1}
    assert await world.ledger.inboxes.page(world.ada.no, None, 10) == []
    assert len(await _messages(world)) == 1
    assert await _sweep(world, RetentionKind.MESSAGES) == {world.tenant: 1}


async def counters_of_an_inbox_stay_exact(world: World) -> None:
    """Also when the newest change was of an item that went; offsets go on from where they were."""
    inboxes, ada = world.ledger.inboxes, world.ada.no
    old = [await world.delivered() for _ in range(4)]
    await inboxes.mark(ada, "seen", [old[0].id], world.now)
    await inboxes.mark(ada, "read", [old[1].id], world.now)
    await inboxes.mark(ada, "archived", [old[2].id], world.now)
    before, _ = await inboxes.head(ada)
    world.clock.advance(2 * DAY_S)
    assert await _sweep(world, RetentionKind.INBOX) == {world.tenant: 4}
    assert await inboxes.head(ada) == (before, InboxCounts(unseen=0, unread=0, total=0))
    assert await inboxes.since(ada, 0, 10) == []
    young = await world.delivered()
    assert await inboxes.head(ada) == (before + 1, InboxCounts(unseen=1, unread=1, total=1))
    assert [one.message_id for one in await inboxes.since(ada, before, 10)] == [young.id]
    assert await inboxes.mark(ada, "read", [old[0].id], world.now) is None


async def younger_items_and_their_changes_stay(world: World) -> None:
    """Whoever comes back gets exactly what is left of what they missed."""
    inboxes, ada = world.ledger.inboxes, world.ada.no
    await world.delivered()
    await world.delivered()
    world.clock.advance(2 * DAY_S)
    first, second = [await world.delivered() for _ in range(2)]
    await inboxes.mark(ada, "seen", [first.id], world.now)
    assert await _sweep(world, RetentionKind.INBOX) == {world.tenant: 2}
    assert (await inboxes.head(ada))[1] == InboxCounts(unseen=1, unread=2, total=2)
    assert {one.message_id for one in await inboxes.since(ada, 0, 10)} == {first.id, second.id}
    assert {one.message_id for one in await inboxes.page(ada, None, 10)} == {first.id, second.id}


async def events_go_when_nothing_needs_them(world: World) -> None:
    """Planned, not set aside, and without a message that may still be rendered from it."""
    log = world.ledger.log
    entries, _ = await log.append([world.entry() for _ in range(3)], [None] * 3)
    waiting = later(world.planned(event_id=entries[1].event_id), 90 * DAY_S)
    await world.plan(waiting)
    world.clock.advance(2 * DAY_S)
    assert await _sweep(world, RetentionKind.EVENTS) == {}, "what is not planned is needed"
    await world.consume(*entries)
    assert await _sweep(world, RetentionKind.EVENTS) == {world.tenant: 2}
    left = await world.ledger.events.bodies([entry.key for entry in entries])
    assert {*left} == {entries[1].key}


async def captures_and_quarantined_mail_go_by_age(world: World) -> None:
    """The younger ones stay."""

    async def keep(number: int) -> None:
        message = world.planned()
        await world.plan(message)
        await world.settle(message, Status.SENT, record=world.captured(message))
        digest = bytes([number]) * 16
        mail = Quarantined(
            tenant=world.tenant, why="no_message", sealed=b"sealed", digest=digest, at=world.now
        )
        await world.ledger.quarantine.keep(mail)

    await keep(1)
    world.clock.advance(2 * DAY_S)
    await keep(2)
    for kind in (RetentionKind.CAPTURES, RetentionKind.QUARANTINE):
        assert await _sweep(world, kind) == {world.tenant: 1}
    assert len(await world.ledger.captures.page(world.tenant, CaptureFilter(), None, 10)) == 1
    left = await world.ledger.quarantine.page(world.tenant, ANY_QUARANTINED, None, 10)
    assert [mail.digest for mail in left] == [bytes([2]) * 16]


async def finished_operations_go_with_what_failed(world: World) -> None:
    """By when they finished; one that is not over stays."""
    operations = world.ledger.operations

    async def asked() -> Operation:
        operation = Operation(
            id=OperationId(world.event()),
            tenant=world.tenant,
            kind=OperationKind.RETRY_MESSAGES,
            where=ALL,
            created_at=world.now,
            updated_at=world.now,
        )
        assert await operations.add(operation, 10)
        return operation

    async def finished(operation: Operation) -> Operation:
        gone = MessageId(b"m" * 16)
        step = OperationStep(ids=[gone], at=world.now, total=1)
        done = (await world.ledger.steps.advance(operation, step)).operation
        return (await world.ledger.steps.advance(done, OperationStep(ids=[], at=world.now))).operation

    old, unfinished = await finished(await asked()), await asked()
    late = await asked()
    assert old.finished_at is not None
    assert len(await operations.errors(world.tenant, old.id, -1, 10)) == 1
    world.clock.advance(2 * DAY_S)
    late = await finished(late)
    assert await _sweep(world, RetentionKind.OPERATIONS, dry=True) == {world.tenant: 1}
    assert await _sweep(world, RetentionKind.OPERATIONS) == {world.tenant: 1}
    left = await operations.page(world.tenant, OperationFilter(), None, 10)
    assert {one.id for one in left} == {unfinished.id, late.id}
    assert await operations.errors(world.tenant, old.id, -1, 10) == []
    assert len(await operations.errors(world.tenant, late.id, -1, 10)) == 1


async def that_an_event_was_canceled_is_known_as_long_as_the_event(world: World) -> None:
    """What is planned of it is canceled however late that is; with the event the knowledge goes."""
    ((entry,), _) = await world.ledger.log.append([world.entry()], [None])
    await world.ledger.events.cancel(entry.event_id, world.now, frozenset())
    world.clock.advance(60 * DAY_S)
    await _sweep(world, RetentionKind.EVENTS)
    late = world.planned(event_id=entry.event_id)
    assert (await world.plan(late)).changed == {late.id: (Status.CANCELED, Reason.CANCELED_BY_CALLER)}
    await world.consume(entry)
    assert await _sweep(world, RetentionKind.EVENTS) == {world.tenant: 1}
    again = world.planned(world.bob, event_id=entry.event_id)
    assert (await world.plan(again)).changed == {}


async def a_key_whose_message_went_begins_anew(world: World) -> None:
    """A thread and a collapse key of long ago hold up nobody."""
    old = world.planned()
    await world.plan(old, turns=(world.turn(old),), collapses=(world.collapse(old),))
    await world.settle(old)
    world.clock.advance(2 * DAY_S)
    await _sweep(world, RetentionKind.MESSAGES)
    young = world.planned()
    result = await world.plan(young, turns=(world.turn(young),), collapses=(world.collapse(young),))
    assert result.changed == {}


async def erased_people_stay_erased(world: World) -> None:
    """What is left of their messages goes too, and only numbers stay."""
    await world.delivered()
    await world.ledger.users.delete(world.tenant, world.ada.id)
    world.clock.advance(2 * DAY_S)
    await _sweep(world, RetentionKind.INBOX)
    assert await _sweep(world, RetentionKind.MESSAGES) == {world.tenant: 1}
    assert await world.ledger.users.find(world.tenant, [world.ada.id]) == {}
    totals = await _totals(world)
    assert [(one.channel, one.count) for one in totals] == [(Channel.IN_APP, 1)]


RETENTION_CONTRACT = (
    old_messages_go_with_their_history,
    what_is_not_over_stays,
    numbers_of_what_went_stay,
    a_dry_look_adds_no_numbers,
    tenants_keep_what_is_theirs,
    a_message_stays_as_long_as_its_inbox_item,
    counters_of_an_inbox_stay_exact,
    younger_items_and_their_changes_stay,
    events_go_when_nothing_needs_them,
    captures_and_quarantined_mail_go_by_age,
    finished_operations_go_with_what_failed,
    that_an_event_was_canceled_is_known_as_long_as_the_event,
    a_key_whose_message_went_begins_anew,
    erased_people_stay_erased,
)
