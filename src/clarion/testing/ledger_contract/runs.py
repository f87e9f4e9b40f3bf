"""Runs that wait: due rows that one worker at a time holds, and that are planned on once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Lane
from clarion.model.event import Consumed
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.message import Message
from clarion.model.retention import RetentionKind
from clarion.model.run import EventWait, RunFilter, RunRow, RunStatus, Signal, ThrottleUse
from clarion.model.status import Reason, Status
from clarion.model.user import Profile, UserPut
from clarion.testing.ledger_contract.subject import LedgerSubject, together

DAY_MS = 86_400_000
ALL = RunFilter()


async def _due(
    subject: LedgerSubject,
    *,
    worker: WorkerId | None = None,
    lane: Lane = Lane.NORMAL,
    limit: int = 9,
    besides: Sequence[RunRow] = (),
) -> list[RunRow]:
    ids = [one.id for one in besides]
    return [*await subject.ledger.runs.claim(worker or subject.worker, lane, limit, subject.now, ids)]


async def _page(subject: LedgerSubject, where: RunFilter = ALL) -> Sequence[RunRow]:
    found, _ = await subject.ledger.runs.page(subject.tenant, where, None, 50)
    return found


async def _starts(subject: LedgerSubject, *more: Message) -> tuple[Message, RunRow]:
    """A run that sends a message and waits."""
    message = replace(subject.planned(), fence=0, due_at=subject.now)
    row = subject.waiting(message)
    await subject.plan(message, *more, run_rows=(row,))
    return message, row


def _next(subject: LedgerSubject, row: RunRow, step: str = "again") -> Message:
    """What a run sends when it goes on."""
    fields = {"event_id": row.event_id, "workflow": row.workflow, "lane": row.lane, "step": step}
    return subject.planned(**fields)  # type: ignore[arg-type]


async def a_run_that_waits_is_stored_with_its_plan(subject: LedgerSubject) -> None:
    """Nothing of a plan that is refused, and not again when the plan is repeated."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    message = subject.planned(event_id=entry.event_id)
    row = subject.waiting(message, cancellation_key=b"k" * 16)
    plan = subject.plan_of(message, run_rows=(row,), consumed=Consumed(entry.lane, (entry.seq,)))
    await subject.replace_worker()
    assert (await subject.ledger.plans.commit(plan)).refused
    assert await _page(subject) == []
    plan = replace(plan, worker=subject.worker)
    assert not (await subject.ledger.plans.commit(plan)).repeated
    assert await subject.ledger.runs.get(subject.tenant, row.id) == row
    (claimed,) = await _due(subject)
    assert claimed == replace(row, fence=1)
    await subject.ledger.plans.commit(replace(plan, consumed=None))  # As from a broker that delivers again.
    assert await subject.ledger.runs.get(subject.tenant, row.id) == claimed


async def a_dry_run_starts_no_run(subject: LedgerSubject) -> None:
    """As it stores nothing else."""
    message = subject.planned()
    await subject.ledger.plans.preview(subject.plan_of(message, run_rows=(subject.waiting(message),)))
    assert await _page(subject) == []


async def a_run_goes_on_once(subject: LedgerSubject) -> None:
    """By whoever holds it. What is planned of it by others is not stored, and stops nothing else of their plan."""
    _, row = await _starts(subject)
    (first,) = await _due(subject)
    (again,) = await _due(subject)  # The answer to the first claim may have been lost.
    assert again == replace(first, fence=2)
    other = await subject.open_worker()
    assert await _due(subject, worker=other) == []
    message, beside = _next(subject, row), subject.planned()
    for worker, claimed in ((subject.worker, first), (other, again)):
        plan = subject.plan_of(message, worker=worker, run_rows=(subject.over(claimed),))
        result = await subject.ledger.plans.commit(replace(plan, runs=(subject.going_on(claimed, message),)))
        assert result.known == {message.id}
        assert await subject.ledger.records.get(subject.tenant, message.id) is None
    plan = subject.plan_of(message, beside, run_rows=(subject.over(again),))
    runs = (subject.going_on(again, message), subject.run(beside))
    plan = replace(plan, runs=runs)
    assert (await subject.ledger.plans.commit(plan)).known == frozenset()
    result = await subject.ledger.plans.commit(plan)
    assert result.known == {message.id, beside.id}
    assert [one.status for one in await _page(subject)] == [RunStatus.FINISHED]
    stored = await subject.ledger.plans.runs_of(subject.tenant, row.event_id, None)
    assert [run.part for run in stored] == [0, 1]
    assert stored[1] == runs[0]


async def a_run_is_kept_as_it_is_while_its_worker_is_at_work_on_it(subject: LedgerSubject) -> None:
    """It takes no place in a claim, and its fence stays."""
    _, one = await _starts(subject)
    await _starts(subject)
    (held,) = await _due(subject, limit=1)
    (other,) = await _due(subject, limit=1, besides=[held])
    assert other.id != held.id
    assert await _due(subject, besides=[held, other]) == []
    assert await subject.ledger.runs.get(subject.tenant, held.id) == held
    assert {held.id, other.id} >= {one.id}


async def a_run_that_waits_may_be_changed(subject: LedgerSubject) -> None:
    """Anybody may claim it then, at another time; what a worker plans of it meanwhile is not stored. Not once it has gone
    on, and not when it is over."""
    _, row = await _starts(subject)
    (held,) = await _due(subject)
    later = Instant(subject.now + DAY_MS)
    changed = await subject.ledger.runs.change(replace(held, due_at=later, sealed=b"other", updated_at=later))
    assert changed == replace(held, due_at=later, sealed=b"other", updated_at=later, fence=held.fence + 1)
    message = _next(subject, row)
    plan = subject.plan_of(message, run_rows=(subject.over(held),))
    await subject.ledger.plans.commit(replace(plan, runs=(subject.going_on(held, message),)))
    assert await subject.ledger.runs.get(subject.tenant, row.id) == changed
    assert await subject.ledger.runs.change(held) is None
    subject.clock.advance(DAY_MS / 1000)
    (again,) = await _due(subject, worker=await subject.open_worker())
    assert again == replace(changed, fence=changed.fence + 1)
    await subject.ledger.runs.cancel(subject.tenant, RunFilter(user=row.user), subject.now, 9)
    assert await subject.ledger.runs.change(replace(again, fence=again.fence + 1)) is None


async def a_run_that_failed_may_wait_again(subject: LedgerSubject) -> None:
    """From the state that it kept, in another version too, as another part, behind the throttle that let it pass. No other end
    is taken back."""
    _, row = await _starts(subject)
    (held,) = await _due(subject)
    use = ThrottleUse(slot=b"s" * 16, limit=1, per_ms=DAY_MS, fixed=False)
    counted = replace(held, part=2, due_at=subject.now, use=use)
    await subject.plan(runs=(subject.going_on(held),), run_rows=(counted,))
    (passes,) = await _due(subject)
    assert passes.passes
    failed = replace(passes, status=RunStatus.FAILED, reason=Reason.UNREADABLE, due_at=None, sealed=b"kept")
    await subject.plan(runs=(subject.going_on(passes),), run_rows=(failed,))
    (stored,) = await _page(subject, RunFilter(reasons=frozenset({Reason.UNREADABLE})))
    assert (stored.status, stored.sealed, stored.due_at) == (RunStatus.FAILED, b"kept", None)
    waits = replace(stored, status=RunStatus.WAITING, reason=None, version=7, due_at=subject.now)
    changed = await subject.ledger.runs.change(waits)
    assert changed == replace(waits, part=3, fence=stored.fence + 1)
    assert await subject.ledger.runs.change(waits) is None
    (again,) = await _due(subject)
    assert (again.part, again.version, again.sealed, again.passes) == (3, 7, b"kept", True)
    await subject.plan(runs=(subject.going_on(again),), run_rows=(subject.over(again),))
    over = await subject.ledger.runs.get(subject.tenant, row.id)
    assert over is not None
    assert (
        await subject.ledger.runs.change(replace(over, status=RunStatus.WAITING, due_at=subject.now)) is None
    )


async def runs_are_chosen_by_when_they_started(subject: LedgerSubject) -> None:
    """By their status and by their ids too; so they are canceled, with a reason."""
    first = (await _starts(subject))[1]
    subject.clock.advance(60)
    second, third = [(await _starts(subject))[1] for _ in range(2)]
    between = RunFilter(since=second.started_at, statuses=frozenset({RunStatus.WAITING}))
    assert {row.id for row in await _page(subject, between)} == {second.id, third.id}
    assert [row.id for row in await _page(subject, RunFilter(before=second.started_at))] == [first.id]
    chosen = RunFilter(ids=frozenset({first.id, third.id}))
    assert {row.id for row in await _page(subject, chosen)} == {first.id, third.id}
    assert await subject.ledger.runs.cancel(TenantId(9), chosen, subject.now, 9) == []
    gone = await subject.ledger.runs.cancel(subject.tenant, chosen, subject.now, 9, Reason.WORKFLOW_DELETED)
    assert {(row.id, row.reason) for row in gone} == {
        (one.id, Reason.WORKFLOW_DELETED) for one in (first, third)
    }
    assert [row.id for row in await _page(subject, between)] == [second.id]


async def a_change_cancels_messages(subject: LedgerSubject) -> None:
    """Those that have not started, in the same commit; another tenant's run, or one that has gone on, keeps all of its own."""
    message, row = await _starts(subject)
    started, other = subject.planned(), subject.planned()
    await subject.plan(started, other)
    await subject.call(started)
    answered = replace(row, answers=b"yes", updated_at=subject.now)
    named, why = [message.id, started.id], Reason.ANSWERED
    assert await subject.ledger.runs.change(replace(answered, part=7), named, why) is None
    assert await subject.state(message) != (Status.CANCELED, why)
    assert await subject.ledger.runs.change(answered, named, why) == replace(answered, fence=row.fence + 1)
    assert await subject.state(message) == (Status.CANCELED, why)
    assert (await subject.state(started))[0] is Status.SENDING
    assert (await subject.state(other))[0] is not Status.CANCELED


async def of_changes_at_once_one_is_made(subject: LedgerSubject) -> None:
    """Whoever makes them: the others find that the run is no longer what it was. What it was changed to outlives it."""
    _, row = await _starts(subject)
    changes = [replace(row, answers=bytes([n]), updated_at=subject.now) for n in range(8)]
    done = [one for one in await together(*map(subject.ledger.runs.change, changes)) if one is not None]
    assert len(done) == 1
    (claimed,) = await _due(subject)
    assert claimed.answers == done[0].answers
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(subject.over(claimed),))
    stored = await subject.ledger.runs.get(subject.tenant, row.id)
    assert stored is not None
    assert (stored.status, stored.answers) == (RunStatus.FINISHED, done[0].answers)


async def a_run_may_wait_again(subject: LedgerSubject) -> None:
    """Then anybody may claim it."""
    await _starts(subject)
    (claimed,) = await _due(subject)
    later = Instant(subject.now + DAY_MS)
    waits = replace(claimed, part=2, due_at=later, step="second", sealed=b"more", updated_at=subject.now)
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(waits,))
    assert await _due(subject) == []
    subject.clock.advance(DAY_MS / 1000)
    (following,) = await _due(subject, worker=await subject.open_worker())
    assert following == replace(waits, fence=claimed.fence + 1)


async def what_is_over_stays_over(subject: LedgerSubject) -> None:
    """Also for a plan that would begin it again."""
    message, row = await _starts(subject)
    (claimed,) = await _due(subject)
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(subject.over(claimed),))
    await subject.plan(run_rows=(subject.waiting(message),))
    assert [one.status for one in await _page(subject)] == [RunStatus.FINISHED]
    assert await _due(subject) == []
    assert await subject.ledger.runs.get(TenantId(9), row.id) is None


async def what_a_dead_worker_held_goes_on(subject: LedgerSubject) -> None:
    """Whatever it does later is refused."""
    await _starts(subject)
    (held,) = await _due(subject)
    dead = subject.worker
    await subject.replace_worker()
    (claimed,) = await _due(subject)
    assert claimed.fence > held.fence
    assert replace(claimed, fence=0) == replace(held, fence=0)
    assert (await subject.plan(run_rows=(subject.over(held),), worker=dead)).refused
    assert await _due(subject, worker=dead) == []
    await subject.plan(run_rows=(subject.over(claimed),), runs=(subject.going_on(claimed),))
    assert await _due(subject) == []


async def those_that_waited_longest_go_first(subject: LedgerSubject) -> None:
    """Of one lane, and none before its time."""
    messages = [subject.planned() for _ in range(4)]
    urgent = subject.planned(lane=Lane.HIGH)
    rows = [
        subject.waiting(message, due_at=Instant(subject.now - number))
        for number, message in enumerate(messages[:3])
    ]
    later = subject.waiting(messages[3], due_at=Instant(subject.now + 1))
    await subject.plan(*messages, urgent, run_rows=(*rows, later, subject.waiting(urgent)))
    assert [one.id for one in await _due(subject, limit=2)] == [rows[2].id, rows[1].id]
    assert [one.event_id for one in await _due(subject, lane=Lane.HIGH)] == [urgent.event_id]
    other = await subject.open_worker()
    assert [one.id for one in await _due(subject, worker=other)] == [rows[0].id]


async def tenants_take_turns(subject: LedgerSubject) -> None:
    """Much that is due of one does not delay what is due of the others, however long it has waited."""
    rows = []
    for tenant in (1, 2, 3):
        for number in range(12 if tenant == 2 else 1):
            message = replace(subject.planned(), tenant=TenantId(tenant))
            due_at = Instant(subject.now - (100 - number if tenant == 2 else 1))
            rows.append(subject.waiting(message, due_at=due_at))
    await subject.plan(run_rows=tuple(rows))
    first = await _due(subject, limit=6)
    assert Counter(row.tenant for row in first) == {1: 1, 2: 4, 3: 1}
    assert {row.id for row in first if row.tenant == TenantId(2)} == {row.id for row in rows[1:5]}
    rest = await _due(subject, limit=20, besides=first)
    assert {row.id for row in rest} == {row.id for row in rows} - {row.id for row in first}


async def every_tenant_has_a_turn(subject: LedgerSubject) -> None:
    """Also where more tenants have something due than one claim takes runs of."""
    waiting = {}
    for tenant in range(1, 41):
        for number in range(3):
            message = replace(subject.planned(), tenant=TenantId(tenant))
            row = subject.waiting(message, due_at=Instant(subject.now - number))
            waiting[row.id] = row
    await subject.plan(run_rows=tuple(waiting.values()))
    held: list[RunRow] = []
    for _ in range(4):
        held += await _due(subject, limit=16, besides=held)
    assert {row.tenant for row in held} == {row.tenant for row in waiting.values()}


async def a_canceled_run_does_not_go_on(subject: LedgerSubject) -> None:
    """Whoever holds it: named by its key, its user, its event or its workflow; never another tenant's."""
    messages = [subject.planned(user) for user in (subject.ada, subject.bob, subject.ada, subject.ada)]
    rows = [
        subject.waiting(message, cancellation_key=bytes([number < 2]) * 16, version=number)
        for number, message in enumerate(messages)
    ]
    await subject.plan(*messages, run_rows=tuple(rows))
    waiting = await subject.ledger.runs.waiting(subject.tenant, "news")
    assert await subject.ledger.runs.waiting(subject.tenant) == waiting
    assert sum(waiting["news"].values()) == len(rows)
    held = {row.id: row for row in await _due(subject)}
    cancel = subject.ledger.runs.cancel
    now = subject.now
    assert await cancel(TenantId(9), RunFilter(), now, 9) == []
    where = RunFilter(workflow="news", cancellation_key=b"\x01" * 16)
    (first,) = await cancel(subject.tenant, where, now, 1)
    (second,) = await cancel(subject.tenant, where, now, 9)
    assert {first.id, second.id} == {rows[0].id, rows[1].id}
    assert (first.status, first.reason, first.due_at, first.sealed) == (
        *(RunStatus.CANCELED, Reason.CANCELED_BY_CALLER),
        *(None, None),
    )
    assert await cancel(subject.tenant, where, now, 9) == []
    (third,) = await cancel(subject.tenant, RunFilter(user=subject.ada.no, version=2), now, 9)
    (fourth,) = await cancel(subject.tenant, RunFilter(event_id=messages[3].event_id), now, 9)
    assert [third.id, fourth.id] == [rows[2].id, rows[3].id]
    message = _next(subject, rows[0])
    plan = subject.plan_of(message, run_rows=(subject.over(held[first.id]),))
    plan = replace(plan, runs=(subject.going_on(held[first.id], message),))
    assert (await subject.ledger.plans.commit(plan)).known == {message.id}
    assert {one.status for one in await _page(subject)} == {RunStatus.CANCELED}


async def nothing_of_a_canceled_event_waits(subject: LedgerSubject) -> None:
    """Neither what waited before, nor what is planned afterwards."""
    message, row = await _starts(subject)
    other = replace(_next(subject, row), user=subject.bob.no)
    await subject.ledger.events.cancel(row.event_id, subject.now, frozenset())
    (ended,) = await _page(subject)
    assert (ended.status, ended.reason) == (RunStatus.CANCELED, Reason.CANCELED_BY_CALLER)
    await subject.plan(other, run_rows=(subject.waiting(other),))
    assert [one.id for one in await _page(subject)] == [row.id]
    assert message.id != other.id


async def a_duplicate_does_not_wait(subject: LedgerSubject) -> None:
    """Whether its run has messages already or not."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, dedupes=(subject.dedupe(first),), run_rows=(subject.waiting(first),))
    await subject.plan(second, dedupes=(subject.dedupe(second),), run_rows=(subject.waiting(second),))
    third = subject.planned()
    silent = replace(subject.run(third), channels=())
    plan = subject.plan_of(dedupes=(subject.dedupe(third),), run_rows=(subject.waiting(third),))
    await subject.ledger.plans.commit(replace(plan, runs=(silent,)))
    assert [one.event_id for one in await _page(subject)] == [first.event_id]


async def runs_are_listed_newest_first(subject: LedgerSubject) -> None:
    """By what they have in common, page by page; how many wait is told by version and step."""
    messages = [subject.planned(workflow=f"w{number % 2}") for number in range(5)]
    steps = ("pause", "pause", "again", "pause", "again")
    rows = [
        subject.waiting(message, version=1 + (n > 2), step=steps[n]) for n, message in enumerate(messages)
    ]
    await subject.plan(*messages, run_rows=tuple(rows))
    await subject.ledger.runs.cancel(subject.tenant, RunFilter(event_id=messages[0].event_id), subject.now, 1)
    newest = sorted((row.id for row in rows), reverse=True)
    seen, cursor = [], None
    while True:
        page, cursor = await subject.ledger.runs.page(subject.tenant, RunFilter(), cursor, 2)
        seen += [row.id for row in page]
        if cursor is None:
            break
    assert seen == newest
    assert {row.id for row in await _page(subject, RunFilter(workflow="w1"))} == {rows[1].id, rows[3].id}
    assert [row.id for row in await _page(subject, RunFilter(statuses=frozenset({RunStatus.CANCELED})))] == [
        rows[0].id
    ]
    assert {row.id for row in await _page(subject, RunFilter(step="again"))} == {rows[2].id, rows[4].id}
    assert len(await _page(subject, RunFilter(user=subject.bob.no))) == 0
    assert len(await _page(subject, RunFilter(version=2, user=subject.ada.no))) == 2
    assert await subject.ledger.runs.page(TenantId(9), RunFilter(), None, 9) == ([], None)
    assert await subject.ledger.runs.waiting(subject.tenant, "w0") == {
        "w0": {(1, "again"): 1, (2, "again"): 1}
    }
    assert await subject.ledger.runs.waiting(TenantId(9), "w0") == {}


async def runs_of_a_deleted_user_are_over(subject: LedgerSubject) -> None:
    """Nothing of what they needed is left."""
    await _starts(subject)
    await subject.ledger.users.delete(subject.tenant, "ada")
    (row,) = await _page(subject)
    assert (row.status, row.reason, row.sealed) == (RunStatus.CANCELED, Reason.USER_DELETED, None)
    assert await _due(subject) == []


async def what_waits_by_a_clock_is_due_when_the_zone_changes(subject: LedgerSubject) -> None:
    """Also while a worker plans it by the old one, whose plan is not stored then; other changes, and other runs, change nothing."""
    messages = [subject.planned() for _ in range(4)] + [subject.planned(subject.bob)]
    later, soon = Instant(subject.now + DAY_MS), subject.now
    ada, bob = subject.ada.revision, subject.bob.revision
    rows = [
        subject.waiting(messages[0], due_at=later, zoned=ada),
        subject.waiting(messages[1], due_at=later),
        subject.waiting(messages[2], due_at=soon, zoned=ada),
        subject.waiting(messages[3], due_at=Instant(later - 1), zoned=ada),
        subject.waiting(messages[4], due_at=later, zoned=bob),
    ]
    await subject.plan(*messages, run_rows=tuple(rows))
    (held,) = await _due(subject)
    assert held.id == rows[2].id
    users = subject.ledger.users
    (read,) = await users.put(subject.tenant, [UserPut(id="ada", profile=Profile(locale="de"))])
    assert await _due(subject, worker=await subject.open_worker()) == []
    profile = replace(read.profile, timezone="Asia/Tokyo")
    await users.put(subject.tenant, [UserPut(id="ada", profile=profile)])
    due = await _due(subject, worker=await subject.open_worker())
    assert {row.id for row in due} == {rows[0].id, rows[3].id}
    assert {row.due_at for row in due} == {subject.now}
    waits = replace(held, part=2, due_at=later, zoned=ada, updated_at=subject.now)
    await subject.plan(runs=(subject.going_on(held),), run_rows=(waits,))
    (again,) = await _due(subject)
    assert (again.id, again.due_at) == (held.id, subject.now)
    fresh = (await users.get([subject.ada.no]))[subject.ada.no]
    waits = replace(again, part=3, due_at=later, zoned=fresh.revision, updated_at=subject.now)
    await subject.plan(runs=(subject.going_on(again),), run_rows=(waits,))
    assert await _due(subject) == []


async def an_event_is_kept_while_a_run_of_it_waits(subject: LedgerSubject) -> None:
    """It is not done, and its body stays; runs that are over go with the messages of their time."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    message = subject.planned(event_id=entry.event_id)
    row = subject.waiting(message)
    await subject.plan(message, run_rows=(row,), consumed=Consumed(entry.lane, (entry.seq,)))
    await subject.settle(message, Status.SENT)

    async def waits() -> bool:
        found = await subject.ledger.events.found(subject.tenant, entry.event_id, None, 1, 1)
        (listed,), _ = await subject.ledger.events.page(subject.tenant, None, b"\xff" * 17, 10)
        return found is not None and found.waits and listed.left

    async def sweep(kind: RetentionKind) -> None:
        cutoffs, after = {subject.tenant: Instant(subject.now - DAY_MS)}, None
        while True:
            swept = await subject.ledger.retention.sweep(kind, cutoffs, after, dry=False)
            if swept.following is None:
                return
            after = swept.following

    assert await waits()
    subject.clock.advance(2 * DAY_MS / 1000)
    await sweep(RetentionKind.EVENTS)
    assert entry.key in await subject.ledger.events.bodies([entry.key])
    (claimed,) = await _due(subject)
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(subject.over(claimed),))
    assert not await waits()
    await sweep(RetentionKind.EVENTS)
    assert await subject.ledger.events.bodies([entry.key]) == {}
    assert len(await _page(subject)) == 1
    await sweep(RetentionKind.MESSAGES)
    assert await _page(subject) == []


def _signal(subject: LedgerSubject, key: bytes = b"k" * 16, at: Instant | None = None) -> Signal:
    """Something that was accepted."""
    now = subject.now if at is None else at
    event_id = subject.planned().event_id
    expires_at = Instant(now + DAY_MS)
    return Signal(key=key, at=now, event_id=event_id, workflow="", expires_at=expires_at)


async def _tell(subject: LedgerSubject, *signals: Signal) -> None:
    """A plan of events that somebody may listen for."""
    await subject.plan(signals=signals)


async def _listens(subject: LedgerSubject, *keys: bytes, **more: Any) -> RunRow:
    """A run that waits for a day, and listens for what came within the last hour or comes until then."""
    message = subject.planned()
    later = Instant(subject.now + DAY_MS)
    since = Instant(subject.now - DAY_MS // 24)
    waits = tuple(EventWait(key=key, since=since, until=later) for key in keys)
    row = subject.waiting(message, due_at=later, waits=waits, **more)
    await subject.plan(message, run_rows=(row,))
    return row


async def what_a_run_listens_for_makes_it_due(subject: LedgerSubject) -> None:
    """Once, with what has come, whichever of the two was stored first; nothing that it does not listen for does."""
    early = _signal(subject)
    others = (_signal(subject, b"o" * 16), _signal(subject, at=Instant(subject.now - DAY_MS // 12)))
    await _tell(subject, early, *others)
    row = await _listens(subject, b"k" * 16)
    (claimed,) = await _due(subject)
    assert (claimed.id, claimed.due_at) == (row.id, subject.now)
    assert [(one.event_id, one.at, one.key) for one in claimed.wakes] == [
        (early.event_id, early.at, early.key)
    ]
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(replace(row, part=2, **_held(claimed)),))
    assert await _due(subject) == []
    subject.clock.advance(5)
    late = _signal(subject)
    await _tell(subject, late)
    await _tell(subject, late)  # A plan that is repeated.
    (claimed,) = await _due(subject)
    assert [one.event_id for one in claimed.wakes] == [late.event_id]
    await subject.plan(run_rows=(subject.over(claimed),), runs=(subject.going_on(claimed),))
    await _tell(subject, _signal(subject))
    assert await _due(subject) == []


def _held(claimed: RunRow) -> dict[str, Any]:
    """What a plan of a claimed run says of it."""
    return {"fence": claimed.fence, "wakes": claimed.wakes}


async def what_comes_while_a_run_is_planned_makes_it_due_again(subject: LedgerSubject) -> None:
    """Unless it listens for that no more; what it had been told is dealt with either way."""
    row = await _listens(subject, b"k" * 16, b"m" * 16)
    await _tell(subject, _signal(subject))
    (claimed,) = await _due(subject)
    second, third = _signal(subject), _signal(subject, b"m" * 16)
    await _tell(subject, second, third)
    going = replace(row, part=2, waits=row.waits[:1], **_held(claimed))
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(going,))
    (claimed,) = await _due(subject)
    assert [one.event_id for one in claimed.wakes] == [second.event_id]
    going = replace(row, part=3, waits=(), **_held(claimed))
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(going,))
    await _tell(subject, _signal(subject))
    assert await _due(subject) == []


async def a_signal_counts_within_its_time(subject: LedgerSubject) -> None:
    """From `since` on and before `until`; and for a run that begins to listen, until it expires."""
    row = await _listens(subject, b"k" * 16)
    (wait,) = row.waits
    await _tell(subject, _signal(subject, at=wait.until), _signal(subject, at=Instant(wait.since - 1)))
    assert await _due(subject) == []
    await _tell(subject, _signal(subject, at=wait.since))
    (claimed,) = await _due(subject)
    assert claimed.due_at == wait.since
    await subject.plan(run_rows=(subject.over(claimed),), runs=(subject.going_on(claimed),))
    old = _signal(subject, b"o" * 16, at=Instant(subject.now - DAY_MS // 48))
    await _tell(subject, replace(old, expires_at=subject.now))
    await _tell(subject, _signal(subject))
    await _listens(subject, b"o" * 16)
    assert await _due(subject) == []


async def nothing_wakes_what_is_over(subject: LedgerSubject) -> None:
    """Canceled, or its event, or its user deleted; nor does an event that was canceled, or a plan that was refused."""
    first = await _listens(subject, b"k" * 16)
    second = await _listens(subject, b"k" * 16)
    await subject.ledger.runs.cancel(subject.tenant, RunFilter(event_id=first.event_id), subject.now, 1)
    await subject.ledger.events.cancel(second.event_id, subject.now, frozenset())
    await _tell(subject, _signal(subject))
    assert await _due(subject) == []
    third = await _listens(subject, b"m" * 16)
    canceled = _signal(subject, b"m" * 16)
    await subject.ledger.events.cancel(canceled.event_id, subject.now, frozenset())
    message = subject.planned(event_id=canceled.event_id)
    await subject.plan(message, signals=(canceled,))
    refused = subject.plan_of(signals=(_signal(subject, b"m" * 16),))
    await subject.replace_worker()
    assert (await subject.ledger.plans.commit(refused)).refused
    await subject.ledger.plans.preview(replace(refused, worker=subject.worker))
    assert await _due(subject) == []
    await subject.ledger.users.delete(subject.tenant, "ada")
    await _tell(subject, _signal(subject, b"m" * 16))
    assert await _due(subject) == []
    assert (await subject.ledger.runs.get(subject.tenant, third.id)) is not None


async def who_tells_and_who_begins_to_listen_see_each_other(subject: LedgerSubject) -> None:
    """However close they are."""
    keys = [bytes([number]) * 16 for number in range(20)]
    both = [one for key in keys for one in (_listens(subject, key), _tell(subject, _signal(subject, key)))]
    await asyncio.gather(*both)
    claimed = await _due(subject, limit=99)
    assert {one.key for row in claimed for one in row.wakes} == set(keys)
    assert len(claimed) == len(keys)


async def _comes_to_a_throttle(subject: LedgerSubject, *, limit: int = 2, fixed: bool = False) -> RunRow:
    """A run that is counted."""
    message = subject.planned()
    use = ThrottleUse(slot=b"t" * 16, limit=limit, per_ms=60_000, fixed=fixed)
    row = subject.waiting(message, use=use)
    await subject.plan(message, run_rows=(row,))
    return row


async def _passed(subject: LedgerSubject) -> list[bool]:
    """Whether each of those that came to a throttle passes; they are over then."""
    claimed = await _due(subject, limit=99)
    for row in claimed:
        await subject.plan(run_rows=(subject.over(row),), runs=(subject.going_on(row),))
    return sorted(row.passes for row in claimed)


async def a_throttle_lets_so_many_runs_through(subject: LedgerSubject) -> None:
    """In any so many seconds; a run that is stored again is not counted again."""
    for _ in range(2):
        row = await _comes_to_a_throttle(subject)
        await subject.plan(run_rows=(row,))
    assert await _passed(subject) == [True, True]
    subject.clock.advance(59)
    await _comes_to_a_throttle(subject)
    assert await _passed(subject) == [False]
    subject.clock.advance(1)
    for _ in range(3):
        await _comes_to_a_throttle(subject)
    assert await _passed(subject) == [False, True, True]


async def a_throttle_may_count_from_the_first_that_passes(subject: LedgerSubject) -> None:
    """Then as many pass right after its time is over."""
    await _comes_to_a_throttle(subject, fixed=True)
    subject.clock.advance(59)
    for _ in range(2):
        await _comes_to_a_throttle(subject, fixed=True)
    assert await _passed(subject) == [False, True, True]
    subject.clock.advance(1)
    for _ in range(3):
        await _comes_to_a_throttle(subject, fixed=True)
    assert await _passed(subject) == [False, True, True]


async def no_more_pass_when_many_come_at_once(subject: LedgerSubject) -> None:
    """Whoever plans them."""
    await asyncio.gather(*(_comes_to_a_throttle(subject, limit=3) for _ in range(20)))
    assert await _passed(subject) == [False] * 17 + [True] * 3


async def what_ends_with_a_run_is_canceled_with_it(subject: LedgerSubject) -> None:
    """For its reason, as far as it has not begun, in the transaction that ends the run; not if the run's claim is lost."""
    first, second, other = (subject.planned(fence=0, step=step) for step in ("a", "b", "c"))
    await subject.plan(first, run_rows=(subject.waiting(first),))
    await subject.plan(second, other)
    (claimed,) = await subject.ledger.runs.claim(subject.worker, first.lane, 10, subject.now)
    ended = replace(
        subject.over(claimed, RunStatus.CANCELED), reason=Reason.STOP_EVENT, stops=(first.id, second.id)
    )
    late = replace(ended, fence=claimed.fence + 1)
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(late,))
    assert await subject.state(first) == (Status.QUEUED, None)
    await subject.plan(runs=(subject.going_on(claimed),), run_rows=(ended,))
    canceled = (Status.CANCELED, Reason.STOP_EVENT)
    assert [await subject.state(one) for one in (first, second)] == [canceled, canceled]
    assert (await subject.timeline(first))[-1] == canceled
    assert await subject.state(other) == (Status.QUEUED, None)
    row = await subject.ledger.runs.get(subject.tenant, claimed.id)
    assert row is not None
    assert (row.status, row.stops) == (RunStatus.CANCELED, ())


RUNS_CONTRACT = (
    a_run_that_waits_is_stored_with_its_plan,
    a_dry_run_starts_no_run,
    a_run_goes_on_once,
    a_run_is_kept_as_it_is_while_its_worker_is_at_work_on_it,
    a_run_that_waits_may_be_changed,
    tenants_take_turns,
    every_tenant_has_a_turn,
    a_run_that_failed_may_wait_again,
    runs_are_chosen_by_when_they_started,
    a_change_cancels_messages,
    of_changes_at_once_one_is_made,
    a_run_may_wait_again,
    what_is_over_stays_over,
    what_a_dead_worker_held_goes_on,
    those_that_waited_longest_go_first,
    a_canceled_run_does_not_go_on,
    nothing_of_a_canceled_event_waits,
    a_duplicate_does_not_wait,
    runs_are_listed_newest_first,
    runs_of_a_deleted_user_are_over,
    what_waits_by_a_clock_is_due_when_the_zone_changes,
    what_a_run_listens_for_makes_it_due,
    what_comes_while_a_run_is_planned_makes_it_due_again,
    a_signal_counts_within_its_time,
    nothing_wakes_what_is_over,
    who_tells_and_who_begins_to_listen_see_each_other,
    a_throttle_lets_so_many_runs_through,
    a_throttle_may_count_from_the_first_that_passes,
    no_more_pass_when_many_come_at_once,
    an_event_is_kept_while_a_run_of_it_waits,
    what_ends_with_a_run_is_canceled_with_it,
)
