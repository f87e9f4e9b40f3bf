"""Reading messages, manual changes, inboxes and captures."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.model.channel import Channel
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.inbox import CaptureFilter, InboxCounts
from clarion.model.message import Message, MessageFilter
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.subject import LedgerSubject, rungs, together


async def _all(subject: LedgerSubject, where: MessageFilter, limit: int = 2) -> list[MessageId]:
    """Every page of a filter."""
    found: list[MessageId] = []
    before: MessageId | None = None
    while True:
        page, before = await subject.ledger.records.page(subject.tenant, where, before, limit)
        found += [m.id for m in page]
        if before is None:
            return found


def _newest_first(messages: list[Message]) -> list[MessageId]:
    return sorted((m.id for m in messages), reverse=True)


async def a_message_is_found_by_its_tenant_only(subject: LedgerSubject) -> None:
    """To anybody else it does not exist."""
    message = subject.planned()
    await subject.plan(message)
    records, stranger = subject.ledger.records, TenantId(subject.tenant + 1)
    assert await records.get(stranger, message.id) is None
    assert list(await records.changes(stranger, message.id)) == []
    assert await records.cancel(stranger, message.id, subject.now, frozenset()) is None
    assert await subject.ledger.records.get(subject.tenant, MessageId(b"x" * 16)) is None


async def pages_come_newest_first(subject: LedgerSubject) -> None:
    """Whole and without doubles, whatever the filter."""
    messages: list[Message] = []
    for n in range(6):
        event_id = subject.event()
        for user in (subject.ada, subject.bob):
            channel = Channel.SMS if n % 3 == 0 else Channel.EMAIL
            messages.append(subject.planned(user, event_id=event_id, channel=channel, workflow=f"w{n % 2}"))
        subject.clock.advance(1)
    await subject.plan(*messages)
    failed = messages[3]
    await subject.settle(failed, Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED)
    start = messages[0].created_at

    async def check(expected: list[Message], **fields: object) -> None:
        where = MessageFilter(**fields)  # type: ignore[arg-type]
        assert await _all(subject, where) == _newest_first(expected), fields

    await check(messages)
    await check([m for m in messages if m.user == subject.bob.no], user=subject.bob.no)
    await check([m for m in messages if m.event_id == messages[4].event_id], event_id=messages[4].event_id)
    await check([m for m in messages if m.workflow == "w1"], workflows=frozenset({"w1"}))
    await check([m for m in messages if m.channel is Channel.SMS], channels=frozenset({Channel.SMS}))
    await check([failed], statuses=frozenset({Status.DEAD_LETTERED}))
    await check([failed], reasons=frozenset({Reason.ATTEMPTS_EXHAUSTED, Reason.OPTED_OUT}), user=failed.user)
    await check([m for m in messages if m is not failed], statuses=frozenset({Status.QUEUED}))
    await check(messages, statuses=frozenset({Status.QUEUED, Status.DEAD_LETTERED}))
    await check(messages[4:8], since=Instant(start + 2000), before=Instant(start + 4000))
    await check([], workflows=frozenset({"unknown"}))
    await check(messages, workflows=frozenset({"w0", "w1"}), channels=frozenset(Channel))


async def the_tail_follows_all_changes(subject: LedgerSubject) -> None:
    """Behind a position, or the newest few."""
    messages = [subject.planned() for _ in range(3)]
    await subject.plan(*messages)
    await subject.settle(messages[1])
    tail = subject.ledger.records.tail
    everything = await tail(subject.tenant, 0, 10)
    assert len(everything) == 4
    assert [c.message_id for c in everything[3:]] == [messages[1].id]
    assert list(await tail(subject.tenant, everything[1].seq, 10)) == list(everything[2:])
    assert list(await tail(subject.tenant, -1, 2)) == list(everything[2:])
    assert list(await tail(TenantId(subject.tenant + 1), 0, 10)) == []


async def a_message_is_cancelled_before_it_starts(subject: LedgerSubject) -> None:
    """And only then: the caller learns where it is."""
    waiting, sending, sent = (subject.planned() for _ in range(3))
    await subject.plan(waiting, sending, sent)
    await subject.call(sending)
    await subject.settle(sent)
    cancel = subject.ledger.records.cancel
    assert await cancel(subject.tenant, waiting.id, subject.now, frozenset()) is Status.CANCELED
    assert await cancel(subject.tenant, sending.id, subject.now, frozenset()) is Status.SENDING
    assert await cancel(subject.tenant, sent.id, subject.now, frozenset()) is Status.SENT
    assert await subject.state(waiting) == (Status.CANCELED, Reason.CANCELED_BY_CALLER)
    assert (await subject.settle(waiting)).refused == {waiting.id}


async def a_cancelled_rung_takes_the_later_ones_with_it(subject: LedgerSubject) -> None:
    """Who cancels the push does not want the text message either. What went beside the ladder stops no rung."""
    first, second = rungs(subject, Channel.PUSH, Channel.SMS, until="seen")
    beside = replace(subject.planned(channel=Channel.IN_APP), later_rungs=(first.id, second.id))
    await subject.plan(first, second, beside)
    await subject.ledger.records.cancel(subject.tenant, beside.id, subject.now, frozenset())
    assert (await subject.state(second))[0] is Status.DEFERRED
    await subject.ledger.records.cancel(subject.tenant, first.id, subject.now, frozenset())
    assert await subject.state(second) == (Status.CANCELED, Reason.CANCELED_BY_CALLER)


async def what_failed_can_be_put_back(subject: LedgerSubject) -> None:
    """With fresh attempts, by id or by filter, at most as many as asked for; what did not fail stays."""
    messages = [subject.planned(workflow=f"w{n % 2}") for n in range(6)]
    sent = subject.planned()
    await subject.plan(*messages, sent)
    await subject.settle(sent)
    for message in messages:
        await subject.settle(message, Status.DEAD_LETTERED, reason=Reason.ATTEMPTS_EXHAUSTED, attempt=7)
    requeue, everything = subject.ledger.records.requeue, MessageFilter()
    ids = [messages[0].id, sent.id, MessageId(b"x" * 16)]
    assert len(await requeue(subject.tenant, everything, ids, subject.now, 10, {})) == 1
    assert len(await requeue(TenantId(subject.tenant + 1), everything, None, subject.now, 10, {})) == 0
    assert (
        len(
            await requeue(
                subject.tenant, MessageFilter(workflows=frozenset({"w1"})), None, subject.now, 2, {}
            )
        )
        == 2
    )
    assert len(await requeue(subject.tenant, everything, None, subject.now, 10, {})) == 3
    back = await subject.stored(messages[0])
    assert (back.status, back.reason, back.attempt, back.tried_at) == (
        Status.QUEUED,
        Reason.RETRIED,
        0,
        None,
    )
    assert (await subject.timeline(messages[0]))[-1] == (Status.QUEUED, Reason.RETRIED)
    assert len(await subject.claim()) == 6


# ── inboxes ───────────────────────────────────────────────────────────────────────────────────────────────


async def a_client_misses_nothing(subject: LedgerSubject) -> None:
    """All items behind an offset are exactly what changed since, each once and in its latest state."""
    messages = [await subject.delivered() for _ in range(4)]
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    seen = (await inboxes.head(ada))[0]
    assert seen == 4
    await inboxes.mark(ada, "read", [messages[1].id], subject.now)
    await inboxes.mark(ada, "archived", [messages[1].id], subject.now)
    missed = await inboxes.since(ada, seen, 10)
    assert [item.message_id for item in missed] == [messages[1].id]
    assert (missed[0].read_at, missed[0].archived_at) == (subject.now, subject.now)
    assert [item.offset for item in await inboxes.since(ada, 0, 10)] == [1, 3, 4, 6]
    assert len(await inboxes.since(ada, 0, 2)) == 2


async def the_counters_are_exact(subject: LedgerSubject) -> None:
    """Over what is not archived, after every kind of change."""
    messages = [await subject.delivered() for _ in range(3)]
    inboxes, ada = subject.ledger.inboxes, subject.ada.no

    async def counts() -> tuple[int, int, int]:
        now = (await inboxes.head(ada))[1]
        return now.unseen, now.unread, now.total

    assert await counts() == (3, 3, 3)
    await inboxes.mark(ada, "seen", await inboxes.matching(ada), subject.now)
    assert await counts() == (0, 3, 3)
    await inboxes.mark(ada, "read", [messages[0].id], subject.now)
    assert await counts() == (0, 2, 3)
    await inboxes.mark(ada, "unread", [messages[0].id], subject.now)
    assert await counts() == (0, 3, 3)
    await inboxes.mark(ada, "archived", [messages[0].id, messages[1].id], subject.now)
    assert await counts() == (0, 1, 1)
    await inboxes.mark(ada, "unarchived", [messages[1].id], subject.now)
    assert await counts() == (0, 2, 2)
    await subject.delivered()
    assert await counts() == (1, 3, 3)
    assert await inboxes.head(subject.bob.no) == (0, InboxCounts(unseen=0, unread=0, total=0))
    unread = await inboxes.unread([subject.ada.no, subject.bob.no])
    assert unread == {subject.ada.no: 3, subject.bob.no: 0}


async def a_change_carries_the_counters_if_any(subject: LedgerSubject) -> None:
    """What a change says it counted is what a look at that moment counts."""
    await subject.delivered()
    message = subject.planned(channel=Channel.IN_APP)
    await subject.plan(message)
    settled = await subject.settle(message, Status.DELIVERED, record=subject.item(message))
    for change in settled.inbox:
        assert change.counts in (None, (await subject.ledger.inboxes.head(subject.ada.no))[1])
    marked = await subject.ledger.inboxes.mark(subject.ada.no, "read", [message.id], subject.now)
    assert marked is not None
    assert marked.counts in (None, (await subject.ledger.inboxes.head(subject.ada.no))[1])


async def marking_moves_the_items(subject: LedgerSubject) -> None:
    """To new offsets, without gaps, stamped on the messages too; nothing changed is nothing said."""
    messages = [await subject.delivered() for _ in range(3)]
    stranger = await subject.delivered(subject.bob)
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    subject.clock.advance(5)
    change = await inboxes.mark(ada, "read", [messages[0].id, messages[2].id, stranger.id], subject.now)
    assert change is not None
    assert [(item.message_id, item.offset) for item in change.items] == [
        (messages[0].id, 4),
        (messages[2].id, 5),
    ]
    assert all(item.seen_at == item.read_at == subject.now for item in change.items)
    assert await inboxes.mark(ada, "read", [messages[0].id], subject.now) is None
    assert await inboxes.mark(ada, "read", [], subject.now) is None
    stored = await subject.stored(messages[0])
    assert (stored.seen_at, stored.read_at) == (subject.now, subject.now)
    assert (await subject.stored(stranger)).read_at is None
    everything = await inboxes.mark(ada, "seen", await inboxes.matching(ada), subject.now)
    assert everything is not None
    assert [item.message_id for item in everything.items] == [messages[1].id]


async def a_recorded_mark_is_in_the_timelines(subject: LedgerSubject) -> None:
    """Behind what was there, before what comes; only of what changed, and only if that is wanted."""
    first, second = await subject.delivered(), await subject.delivered()
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    ends = [change.seq for change in await subject.ledger.records.tail(subject.tenant, 0, 100)]
    await inboxes.mark(ada, "seen", [second.id], subject.now)
    await inboxes.mark(ada, "read", [first.id], subject.now, recorded=True)
    await inboxes.mark(ada, "read", [first.id, second.id], subject.now, recorded=True)
    await inboxes.mark(ada, "archived", [first.id], subject.now, recorded=True)
    told = await subject.ledger.records.tail(subject.tenant, ends[-1], 100)
    assert [(change.message_id, change.outcome) for change in told] == [
        (first.id, "read"),
        (second.id, "read"),
        (first.id, "archived"),
    ]
    assert {(change.status, change.reason, change.at) for change in told} == {
        (Status.DELIVERED, None, subject.now)
    }
    timeline = await subject.ledger.records.changes(subject.tenant, first.id)
    assert [change.outcome for change in timeline][-2:] == ["read", "archived"]
    assert len(timeline) == 2 + len(await subject.ledger.records.changes(subject.tenant, second.id)) - 1


async def matching_names_what_a_page_would_show(subject: LedgerSubject) -> None:
    """Newest first, live or archived, all or only the unread."""
    messages = [await subject.delivered() for _ in range(4)]
    await subject.delivered(subject.bob)
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    await inboxes.mark(ada, "archived", [messages[0].id], subject.now)
    await inboxes.mark(ada, "read", [messages[3].id], subject.now)
    for archived in (False, True):
        for unread in (False, True):
            page = await inboxes.page(ada, None, 10, archived=archived, unread=unread)
            found = await inboxes.matching(ada, archived=archived, unread=unread)
            assert list(found) == [item.message_id for item in page]
    assert set(await inboxes.matching(ada, unread=True)) == {messages[1].id, messages[2].id}


async def marks_and_deliveries_at_once_share_no_offset(subject: LedgerSubject) -> None:
    """However they interleave, the stream has no gaps and no doubles."""
    first = await subject.delivered()
    done = await together(
        *(
            subject.ledger.inboxes.mark(subject.ada.no, action, [first.id], subject.now)
            for action in ("read", "unread", "archived", "unarchived")
        ),
        *(subject.delivered() for _ in range(10)),
    )
    changed = sum(mark is not None for mark in done[:4])  # what was not read cannot become unread
    offsets = [item.offset for item in await subject.ledger.inboxes.since(subject.ada.no, 0, 100)]
    assert len(offsets) == 11
    assert offsets == sorted(set(offsets))
    assert (await subject.ledger.inboxes.head(subject.ada.no))[0] == offsets[-1] == 11 + changed


async def reading_stops_a_ladder_that_waits_for_it(subject: LedgerSubject) -> None:
    """`seen` stops one that waits for seen; `read` implies seen; another ladder goes on."""
    for until, action, stops in (
        ("seen", "seen", True),
        ("seen", "read", True),
        ("read", "seen", False),
        ("read", "read", True),
        ("delivered", "read", False),
    ):
        first, second = rungs(subject, Channel.IN_APP, Channel.SMS, until=until)
        await subject.plan(first, second)
        await subject.settle(first, Status.DELIVERED, record=subject.item(first))
        await subject.ledger.inboxes.mark(subject.ada.no, action, [first.id], subject.now)  # type: ignore[arg-type]
        expected = (
            (Status.CANCELED, Reason.LADDER_SATISFIED)
            if stops
            else (Status.DEFERRED, Reason.WAITING_FOR_EARLIER_CHANNEL)
        )
        assert await subject.state(second) == expected, (until, action)


async def reading_what_went_beside_a_ladder_stops_it_too(subject: LedgerSubject) -> None:
    """An item without an `until` of its own: what the rungs it names wait for decides. One that has begun goes on."""
    for until, action, stops in (
        ("seen", "seen", True),
        ("read", "seen", False),
        ("delivered", "read", False),
    ):
        first, second = rungs(subject, Channel.PUSH, Channel.SMS, until=until)
        beside = replace(subject.planned(channel=Channel.IN_APP), later_rungs=(first.id, second.id))
        await subject.plan(first, second, beside)
        await subject.settle(beside, Status.DELIVERED, record=subject.item(beside))
        await subject.ledger.inboxes.mark(subject.ada.no, action, [beside.id], subject.now)  # type: ignore[arg-type]
        expected = Reason.LADDER_SATISFIED if stops else Reason.WAITING_FOR_EARLIER_CHANNEL
        assert (await subject.state(second))[1] == expected, (until, action)
        assert (await subject.state(first))[0] is Status.QUEUED


async def an_inbox_is_paged_newest_first(subject: LedgerSubject) -> None:
    """Archived apart from the rest, unread only if asked."""
    messages = []
    for _ in range(5):
        messages.append(await subject.delivered())
        subject.clock.advance(1)
    inboxes, ada = subject.ledger.inboxes, subject.ada.no
    await inboxes.mark(ada, "archived", [messages[0].id], subject.now)
    await inboxes.mark(ada, "read", [messages[3].id], subject.now)

    def ids(items: object) -> list[MessageId]:
        return [item.message_id for item in items]  # type: ignore[attr-defined]

    newest = [m.id for m in reversed(messages)]
    first = await inboxes.page(ada, None, 2)
    assert ids(first) == newest[:2]
    assert ids(await inboxes.page(ada, first[-1].message_id, 9)) == newest[2:4]
    assert ids(await inboxes.page(ada, None, 9, archived=True)) == [messages[0].id]
    assert ids(await inboxes.page(ada, None, 9, unread=True)) == [
        i for i in newest[:4] if i != messages[3].id
    ]
    assert first[0].sealed == b"content"
    assert (first[0].workflow, first[0].category, first[0].tenant) == ("news", "updates", subject.tenant)


# ── captures ──────────────────────────────────────────────────────────────────────────────────────────────


async def captures_are_kept_and_paged(subject: LedgerSubject) -> None:
    """Newest first, by user and channel if asked; a retried message has several, in order."""
    made: list[Message] = []
    for n in range(5):
        user = subject.ada if n % 2 else subject.bob
        made.append(subject.planned(user, channel=Channel.SMS if n < 2 else Channel.EMAIL))
    await subject.plan(*made)
    for message in made:
        await subject.settle(message, Status.SENT, record=subject.captured(message, message.id))
    captures = subject.ledger.captures

    async def page(before: int | None = None, limit: int = 9, **fields: object) -> list[MessageId]:
        where = CaptureFilter(**fields)  # type: ignore[arg-type]
        found = await captures.page(subject.tenant, where, before, limit)
        assert all(c.sealed == c.message_id for c in found)
        return [c.message_id for c in found]

    ids = [m.id for m in reversed(made)]
    assert await page() == ids
    first = await captures.page(subject.tenant, CaptureFilter(), None, 2)
    assert await page(first[-1].seq) == ids[2:]
    assert await page(user=subject.ada.no) == [m.id for m in reversed(made) if m.user == subject.ada.no]
    sms = frozenset({Channel.SMS})
    assert await page(channels=sms) == ids[3:]
    assert await page(channels=frozenset(Channel), since=first[-1].at) == ids
    assert await page(since=Instant(first[0].at + 1)) == []
    assert await page(user=subject.ada.no, channels=sms) == [made[1].id]
    assert list(await captures.page(TenantId(99), CaptureFilter(), None, 9)) == []
    again = subject.planned()
    await subject.plan(again)
    await subject.settle(
        again, Status.DEFERRED, reason=Reason.RETRY, due_at=subject.now, record=subject.captured(again, b"1")
    )
    (claimed,) = await subject.claim()
    await subject.settle(claimed, Status.SENT, record=subject.captured(claimed, b"2"))
    assert [c.sealed for c in await captures.of(subject.tenant, again.id)] == [b"1", b"2"]


RECORDS_CONTRACT = (
    a_message_is_found_by_its_tenant_only,
    pages_come_newest_first,
    the_tail_follows_all_changes,
    a_message_is_cancelled_before_it_starts,
    a_cancelled_rung_takes_the_later_ones_with_it,
    what_failed_can_be_put_back,
    a_client_misses_nothing,
    the_counters_are_exact,
    a_recorded_mark_is_in_the_timelines,
    a_change_carries_the_counters_if_any,
    marking_moves_the_items,
    matching_names_what_a_page_would_show,
    marks_and_deliveries_at_once_share_no_offset,
    reading_stops_a_ladder_that_waits_for_it,
    reading_what_went_beside_a_ladder_stops_it_too,
    an_inbox_is_paged_newest_first,
    captures_are_kept_and_paged,
)
