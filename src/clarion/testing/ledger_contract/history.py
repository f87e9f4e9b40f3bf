"""Timelines, explanations and planned events, whatever shares a commit."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed, EventRecord
from clarion.model.ids import NO_USER, Instant, TenantId, first_id_at, run_id
from clarion.model.message import Change, ChannelDecision, Message, Run, Verdict, packed
from clarion.model.plan import PlanCommit
from clarion.model.receipt import ReceiptKind
from clarion.model.settlement import ReceiptEffect
from clarion.model.setup import Tenant
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.testing.ledger_contract.subject import LedgerSubject, later, together

QUEUED = Status.QUEUED


def _allowed(rule: str, **inputs: object) -> Verdict:
    return Verdict(rule=rule, result="allow", reason="tenant_default", inputs=dict(inputs))


def _nobody(subject: LedgerSubject, workflow: str = "news") -> Run:
    event_id = subject.event()
    return Run(
        id=run_id(event_id, workflow, NO_USER),
        tenant=subject.tenant,
        user=NO_USER,
        event_id=event_id,
        lane=Lane.BULK,
        workflow=workflow,
        workflow_version=2,
        at=subject.now,
        channels=(),
    )


async def _stranger(subject: LedgerSubject) -> User:
    other = await subject.ledger.setup.tenants.put(Tenant(id=TenantId(0), key="globex"))
    return await subject.put_user("eve", "eve@example.org", other.id)


async def _timeline(subject: LedgerSubject, message: Message) -> list[Change]:
    changes = await subject.ledger.records.changes(message.tenant, message.id)
    seqs = [change.seq for change in changes]
    assert seqs == sorted(set(seqs))
    return [replace(change, seq=0) for change in changes]


async def a_timeline_tells_all_that_was_said(subject: LedgerSubject) -> None:
    """Of every step its time, state, attempt, provider and words; a lease is nobody's business, a wait is."""
    message = subject.planned()
    await subject.plan(message)
    start = subject.now
    subject.clock.advance(1)
    await subject.call(message)
    subject.clock.advance(1)
    failed: dict[str, Any] = {
        "reason": Reason.RETRY,
        "due_at": Instant(subject.now + 9_000),
        "outcome": "retry",
        "provider_id": "p-1",
        "took_ms": 12,
        "detail": "451 später: \N{PILE OF POO}",
        "traceparent": "00-1-2-03",
        "unknowns": 1,
    }
    await subject.settle(message, Status.DEFERRED, **failed)
    subject.clock.advance(20)
    (again,) = await subject.claim()
    await subject.settle(again, outcome="accepted", took_ms=3)
    said = ReceiptEffect(
        message=again,
        kind=ReceiptKind.DELIVERED,
        at=subject.now,
        status=Status.DELIVERED,
        detail="250",
        provider_id="x",
    )
    assert list(await subject.ledger.receipts.receive([said])) == [True]

    def change(seconds: int, status: Status, **fields: object) -> Change:
        at = Instant(start + 1000 * seconds)
        return Change(message_id=message.id, tenant=subject.tenant, at=at, status=status, **fields)  # type: ignore[arg-type]

    told = {name: value for name, value in failed.items() if name != "unknowns"}
    assert await _timeline(subject, message) == [
        change(0, QUEUED),
        change(1, Status.SENDING),
        change(2, Status.DEFERRED, attempt=1, integration="main", **told),
        change(22, Status.SENT, attempt=2, integration="main", outcome="accepted", took_ms=3),
        change(
            22,
            Status.DELIVERED,
            attempt=2,
            integration="main",
            outcome="delivered",
            detail="250",
            provider_id="x",
        ),
    ]


async def what_shares_a_commit_keeps_its_own_history(subject: LedgerSubject) -> None:
    """Each message what was said of it, in one batch with others, of other tenants too, and in its own order."""
    eve = await _stranger(subject)
    messages = [
        later(subject.planned(user), 9) if n % 3 == 0 else subject.planned(user)
        for n, user in enumerate((subject.ada, eve, subject.bob) * 20)
    ]
    await together(*(subject.plan(message) for message in messages))
    held = [message for message in messages if message.fence]
    settled = [
        subject.settlement(message, attempt=n % 4, detail=f"said {n}" if n % 2 else None, took_ms=n)
        for n, message in enumerate(held)
    ]
    subject.clock.advance(1)
    await together(*(subject.ledger.messages.settle(subject.worker, settled[n::4]) for n in range(4)))
    for n, message in enumerate(held):
        first, last = await _timeline(subject, message)
        assert (first.status, first.at, first.due_at) == (QUEUED, message.created_at, None)
        assert last.tenant == message.tenant
        assert (last.attempt, last.detail, last.took_ms) == (
            n % 4, f"said {n}" if n % 2 else None, n
        )  # fmt: skip
    for message in messages:
        if not message.fence:
            (only,) = await _timeline(subject, message)
            assert only.due_at == message.due_at


async def a_long_history_is_told_whole(subject: LedgerSubject) -> None:
    """However often a message was tried."""
    message = subject.planned()
    await subject.plan(message)
    for attempt in range(1, 40):
        again = {"reason": Reason.RETRY, "due_at": subject.now, "attempt": attempt}
        await subject.settle(message, Status.DEFERRED, **again)
        (message,) = await subject.claim()
    assert [change.attempt for change in await _timeline(subject, message)] == list(range(40))


async def the_tail_misses_nothing_and_repeats_nothing(subject: LedgerSubject) -> None:
    """Page by page over commits of many sizes, each tenant only their own, in the order it happened."""
    eve = await _stranger(subject)
    count = 0
    for size in (1, 3, 40, 2, 1):
        messages = [subject.planned(eve if n % 5 == 4 else subject.ada) for n in range(size)]
        await subject.plan(*messages)
        await subject.ledger.messages.settle(subject.worker, [subject.settlement(m) for m in messages])
        count += 2 * sum(message.user == subject.ada.no for message in messages)
    tail = subject.ledger.records.tail
    found: list[Change] = []
    for limit in (1, 7, 1000):
        found = []
        while page := await tail(subject.tenant, found[-1].seq if found else 0, limit):
            assert len(page) <= limit
            found += page
        assert len(found) == count
        assert {change.tenant for change in found} == {subject.tenant}
        seqs = [change.seq for change in found]
        assert seqs == sorted(set(seqs))
        assert list(await tail(subject.tenant, -1, 9)) == found[-9:]
    for change in found:
        assert change in await subject.ledger.records.changes(subject.tenant, change.message_id)


async def the_tail_of_one_integration_passes_the_others_over(subject: LedgerSubject) -> None:
    """Page by page: all its records, once each; whoever reads on comes to the end, however many others there are."""
    for batch in (("fcm", "relay", "fcm"), ("relay",) * 3, ("fcm",), ("relay",) * 40):
        messages = [subject.planned() for _ in batch]
        await subject.plan(*messages)
        settled = [
            subject.settlement(message, integration=key) for message, key in zip(messages, batch, strict=True)
        ]
        await subject.ledger.messages.settle(subject.worker, settled)
    tail = subject.ledger.records.tail
    everything = [c for c in await tail(subject.tenant, 0, 1_000) if c.integration == "fcm"]
    assert len(everything) == 3
    (newest,) = await tail(subject.tenant, -1, 1)
    for limit in (1, 2, 1_000):
        found: list[Change] = []
        after, pages = 0, 0
        while page := await tail(subject.tenant, after, limit, integration="fcm"):
            assert len(page) <= limit
            found += [change for change in page if change.integration == "fcm"]
            after, pages = page[-1].seq, pages + 1
        assert found == everything
        assert after == newest.seq
        assert pages <= 5
    (last,) = await tail(subject.tenant, 0, 10, integration="nobody")
    assert last == newest


async def an_explanation_is_kept_word_for_word(subject: LedgerSubject) -> None:
    """Of runs that say the same, of runs that do not, of channels without a message, and of hundreds at once."""
    event_id = subject.event()
    people = [subject.ada, subject.bob, *[await subject.put_user(f"p{n}") for n in range(3)]]
    runs, messages = [], []
    for n, user in enumerate(people * 500):
        message = subject.planned(user, event_id=event_id, workflow=f"w{n // len(people)}")
        run = subject.run(message)
        (channel,) = run.channels
        verdicts = _allowed("preferences"), _allowed("frequency_cap", count=n % 3, scope="tenant/*")
        skipped = ChannelDecision(
            step="send", channel=Channel.SMS, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT
        )
        channels = (replace(channel, said=packed(*verdicts)), *([skipped] if n % 7 == 0 else []))
        runs.append(replace(run, channels=channels))
        messages.append(message)
    await subject.ledger.plans.commit(
        PlanCommit(worker=subject.worker, runs=tuple(runs), messages=tuple(messages))
    )
    runs_of = subject.ledger.plans.runs_of
    stored = {run.id: run for run in await runs_of(subject.tenant, event_id, None)}
    assert stored == {run.id: run for run in runs}
    for user in people[:2]:
        theirs = [run for run in runs if run.user == user.no]
        found = {run.id: run for run in await runs_of(subject.tenant, event_id, user.no)}
        assert found == {run.id: run for run in theirs}
    for message in messages[:: len(messages) // 20]:
        assert await subject.timeline(message) == [(QUEUED, None)]


async def planned_events_are_listed(subject: LedgerSubject) -> None:
    """Newest first, with their workflows and how many messages are where; also those that reached nobody."""
    eve = await _stranger(subject)
    first = subject.planned()
    subject.clock.advance(1)
    nobody = _nobody(subject)
    subject.clock.advance(1)
    wide = subject.event()
    both = [
        subject.planned(user, event_id=wide, workflow=w) for user in (subject.ada, subject.bob) for w in "ab"
    ]
    await subject.plan(first, subject.planned(eve))
    await subject.ledger.plans.commit(PlanCommit(worker=subject.worker, runs=(nobody,), messages=()))
    await subject.plan(*both)
    await subject.settle(both[0])
    subject.clock.advance(1)
    newest, events = first_id_at(subject.now), subject.ledger.events
    found, following = await events.page(subject.tenant, None, newest, 10)
    assert following is None
    assert [(one.id, set(one.workflows), dict(one.counts)) for one in found] == [
        (wide, {"a", "b"}, {QUEUED: 3, Status.SENT: 1}),
        (nobody.event_id, {"news"}, {}),
        (first.event_id, {"news"}, {QUEUED: 1}),
    ]
    assert found[1].lane is Lane.BULK
    pages: list[EventRecord] = []
    before = newest
    while True:
        page, following = await events.page(subject.tenant, None, before, 1)
        pages += page
        if following is None:
            break
        before = following
    assert pages == found
    assert await events.known(subject.tenant, nobody.event_id)
    shown = await events.found(subject.tenant, nobody.event_id, None, 10, 10)
    assert shown is not None
    assert list(shown.runs) == [nobody]
    few = await events.found(subject.tenant, wide, None, 10, 3)
    assert few is not None
    assert len(few.runs) == 3
    assert await events.found(eve.tenant, wide, None, 10, 3) is None


async def whom_two_topics_share_is_planned_once(subject: LedgerSubject) -> None:
    """The second page of the same event finds what the first one planned, whatever it would plan by now."""
    event_id = subject.event()
    first = subject.planned(event_id=event_id)
    await subject.plan(first)
    renamed = subject.planned(event_id=event_id, step="renamed")
    other = subject.planned(subject.bob, event_id=event_id)
    rest = subject.left(replace(subject.entry(), event_id=event_id))
    ((page,), _) = await subject.ledger.log.append([subject.entry()], [None])
    consumed = Consumed(page.lane, (page.seq,))
    plan = subject.plan_of(renamed, other, continuations=(rest,), consumed=consumed, again=True)
    result = await subject.ledger.plans.commit(plan)
    assert result.known == {renamed.id}
    assert await subject.ledger.records.get(subject.tenant, renamed.id) is None
    assert await subject.timeline(other) == [(QUEUED, None)]
    (run,) = await subject.ledger.plans.runs_of(subject.tenant, event_id, subject.ada.no)
    assert run == subject.run(first)
    assert (await subject.ledger.plans.commit(plan)).repeated


HISTORY_CONTRACT = (
    a_timeline_tells_all_that_was_said,
    what_shares_a_commit_keeps_its_own_history,
    a_long_history_is_told_whole,
    the_tail_misses_nothing_and_repeats_nothing,
    the_tail_of_one_integration_passes_the_others_over,
    an_explanation_is_kept_word_for_word,
    planned_events_are_listed,
    whom_two_topics_share_is_planned_once,
)
