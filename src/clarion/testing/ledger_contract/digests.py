"""Digests: which one an item joins is decided by the commit that brings it, and each is told once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Lane
from clarion.model.digest import DigestClose, DigestItem, DigestRow, DigestRule, DigestTotal, StoredItem
from clarion.model.event import Consumed
from clarion.model.ids import Instant, TenantId, WorkerId, digest_id, run_id
from clarion.model.message import Run, StepTrace
from clarion.model.plan import PlanCommit, PlanResult
from clarion.model.retention import RetentionKind
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.setup import StepType
from clarion.model.status import Reason
from clarion.testing.ledger_contract.subject import LedgerSubject

SLOT = b"s" * 16
MINUTE_MS = 60_000
RULE = DigestRule(window_ms=10 * MINUTE_MS)
DAY_MS = 86_400_000


def an_item(subject: LedgerSubject, slot: bytes = SLOT, rule: DigestRule = RULE, **fields: Any) -> DigestItem:
    """A run of a new event that comes to a digest."""
    event_id, user, workflow = subject.event(), fields.pop("user", subject.ada).no, "news"
    run = run_id(event_id, workflow, user)
    becomes = digest_id(run)
    opens = RunRow(
        id=run_id(becomes, workflow, user),
        tenant=subject.tenant,
        user=user,
        event_id=becomes,
        workflow=workflow,
        version=fields.pop("version", 1),
        lane=Lane.NORMAL,
        status=RunStatus.WAITING,
        step="collect",
        part=1,
        due_at=subject.now,
        started_at=subject.now,
        updated_at=subject.now,
        sealed=b"state",
    )
    given: dict[str, Any] = {"at": subject.now, "now": subject.now, "sealed": b"content"} | fields
    return DigestItem(run=run, part=run, event_id=event_id, slot=slot, rule=rule, opens=opens, **given)


def its_run(item: DigestItem) -> Run:
    """The run that ends in a digest with the item."""
    step = StepTrace(step="collect", type=StepType.DIGEST, result="collected", at=item.now)
    return Run(
        id=item.part,
        tenant=item.opens.tenant,
        user=item.opens.user,
        event_id=item.event_id,
        lane=item.opens.lane,
        workflow=item.opens.workflow,
        workflow_version=1,
        at=item.now,
        channels=(),
        steps=(step,),
    )


async def _bring(subject: LedgerSubject, *items: DigestItem, **more: Any) -> PlanResult:
    return await subject.plan(runs=tuple(map(its_run, items)), items=items, **more)


async def _joins(subject: LedgerSubject, *fields: dict[str, Any]) -> list[DigestItem]:
    """Items, one plan each."""
    items = [an_item(subject, **one) for one in fields or ({},)]
    for item in items:
        await _bring(subject, item)
    return items


async def _digest(subject: LedgerSubject, opener: DigestItem) -> DigestRow:
    (found,) = await subject.ledger.digests.get(subject.tenant, [opener.opens.event_id])
    return found


async def _items(subject: LedgerSubject, opener: DigestItem) -> Sequence[StoredItem]:
    return await subject.ledger.digests.items([opener.opens.event_id])


async def _due(subject: LedgerSubject, worker: WorkerId | None = None) -> list[RunRow]:
    return [*await subject.ledger.runs.claim(worker or subject.worker, Lane.NORMAL, 9, subject.now)]


async def _close(subject: LedgerSubject, *rows: RunRow, **moved: Any) -> Sequence[DigestRow]:
    return await subject.ledger.digests.close(subject.worker, rows, moved.get("moved", {}), subject.now)


async def _tell(subject: LedgerSubject, claimed: RunRow, total: int) -> PlanResult:
    """The run of a digest goes on to its end."""
    told = DigestTotal(run=claimed.id, digest=claimed.event_id, total=total)
    return await subject.plan(
        runs=(subject.going_on(claimed),), run_rows=(subject.over(claimed),), digest_totals=(told,)
    )


async def the_first_item_of_a_slot_opens_a_digest_and_others_join_it(subject: LedgerSubject) -> None:
    """Whether they come in one plan or in several, and whatever the version of their workflow; the explanation says which."""
    first, second = an_item(subject), an_item(subject, version=2)
    result = await _bring(subject, first, second)
    (third,) = await _joins(subject, {})
    assert [item.run for item in await _items(subject, first)] == sorted(
        one.run for one in (first, second, third)
    )
    digest = await _digest(subject, first)
    assert (digest.items, digest.number, digest.closed_at) == (3, 1, None)
    assert digest.closes_at == subject.now + RULE.window_ms
    told = [(run.steps[0].result, run.steps[0].inputs["items"]) for run in result.runs]
    assert told == [("opened", 1), ("joined", 2)]
    (explained,) = await subject.ledger.plans.runs_of(subject.tenant, third.event_id, None)
    assert explained.steps[0].result == "joined"
    assert explained.steps[0].due_at == digest.closes_at
    (row,) = (await subject.ledger.runs.page(subject.tenant, RunFilter(), None, 9))[0]
    assert row == replace(first.opens, due_at=digest.closes_at)


async def slots_do_not_share(subject: LedgerSubject) -> None:
    """Nor do users, whose keys are in their slots."""
    first, second = await _joins(subject, {}, {"slot": b"t" * 16, "user": subject.bob})
    assert [(await _digest(subject, one)).items for one in (first, second)] == [1, 1]
    assert await subject.ledger.digests.get(TenantId(9), [first.opens.event_id]) == []


async def an_item_is_taken_once(subject: LedgerSubject) -> None:
    """Of an event that is planned again, whoever plans it."""
    ((entry,), _) = await subject.ledger.log.append([subject.entry()], [None])
    (first,) = await _joins(subject)
    await _bring(subject, first, consumed=Consumed(entry.lane, (entry.seq,)))
    await _bring(subject, first, an_item(subject), worker=await subject.open_worker())
    assert (await _digest(subject, first)).items == 2
    assert len(await _items(subject, first)) == 2


async def a_dry_run_opens_no_digest(subject: LedgerSubject) -> None:
    """It says what would come of the item."""
    item = an_item(subject)
    plan = PlanCommit(worker=subject.worker, runs=(its_run(item),), messages=(), items=(item,))
    result = await subject.ledger.plans.preview(plan)
    assert result.runs[0].steps[0].result == "opened"
    assert await subject.ledger.digests.get(subject.tenant, [item.opens.event_id]) == []
    assert await subject.ledger.digests.items([item.opens.event_id]) == []


async def what_comes_at_the_end_opens_the_next(subject: LedgerSubject) -> None:
    """The one before is closed as it was, however late its timer is."""
    (first,) = await _joins(subject)
    subject.clock.advance(RULE.window_ms / 1000)
    (second,) = await _joins(subject)
    closed, opened = await _digest(subject, first), await _digest(subject, second)
    assert (closed.items, closed.cause, closed.closed_at) == (1, DigestClose.TIME, closed.closes_at)
    assert (opened.items, opened.number, opened.closed_at) == (1, 2, None)
    subject.clock.advance(3600)
    claimed = {row.id: row for row in await _due(subject)}
    found = {row.id: row for row in await _close(subject, *claimed.values())}
    assert found[closed.id] == closed
    assert found[opened.id].previous_at == closed.closed_at


async def an_earlier_clock_opens_nothing_before(subject: LedgerSubject) -> None:
    """Clocks of processes lie a little apart. Where one was set back by more, it counts."""
    (first,) = await _joins(subject)
    subject.clock.advance(RULE.window_ms / 1000)
    (second,) = await _joins(subject)
    earlier = an_item(subject, now=Instant(subject.now - 5))
    await _bring(subject, earlier)
    assert (await _digest(subject, second)).items == 2
    (claimed,) = await _due(subject)
    assert claimed.event_id == first.opens.event_id
    hour = Instant(subject.now - 60 * MINUTE_MS)
    back = an_item(subject, slot=b"b" * 16, now=hour)
    await _bring(subject, back)
    assert (await _digest(subject, back)).closes_at == hour + RULE.window_ms


async def items_move_the_end_of_one_that_slides(subject: LedgerSubject) -> None:
    """Later and never sooner, up to its maximum, as the rule says that it was opened by."""
    rule = DigestRule(window_ms=10 * MINUTE_MS, most_ms=15 * MINUTE_MS)
    (first,) = await _joins(subject, {"rule": rule})
    opened = subject.now
    subject.clock.advance(240)
    await _joins(subject, {"rule": DigestRule(window_ms=1_000)})
    assert (await _digest(subject, first)).closes_at == opened + 14 * MINUTE_MS
    await _joins(subject, {"now": Instant(subject.now - 2 * MINUTE_MS)})
    assert (await _digest(subject, first)).closes_at == opened + 14 * MINUTE_MS
    subject.clock.advance(240)
    await _joins(subject, {"rule": rule})
    assert (await _digest(subject, first)).closes_at == opened + 15 * MINUTE_MS


async def one_that_is_looked_at_early_is_given_back(subject: LedgerSubject) -> None:
    """Its run is due when it closes, and whoever held it does not any more."""
    rule = DigestRule(window_ms=10 * MINUTE_MS, most_ms=60 * MINUTE_MS)
    (first,) = await _joins(subject, {"rule": rule})
    subject.clock.advance(300)
    await _joins(subject, {"rule": rule})
    subject.clock.advance(300)
    (claimed,) = await _due(subject)
    (still,) = await _close(subject, claimed)
    assert still.closed_at is None
    assert await _due(subject) == []
    await _tell(subject, claimed, 1)  # It lost the claim.
    assert (await _digest(subject, first)).total is None
    subject.clock.advance(300)
    (claimed,) = await _due(subject, await subject.open_worker())
    (closed,) = await _close(subject, claimed)
    assert (closed.items, closed.cause) == (2, DigestClose.TIME)
    assert closed.closed_at == still.closes_at
    assert closed.id == first.opens.event_id


async def one_may_close_at_another_time_than_it_said(subject: LedgerSubject) -> None:
    """When the clock of its user is another now."""
    (first,) = await _joins(subject)
    subject.clock.advance(RULE.window_ms / 1000)
    (claimed,) = await _due(subject)
    later = Instant(subject.now + MINUTE_MS)
    (still,) = await _close(subject, claimed, moved={first.opens.event_id: later})
    assert (still.closed_at, still.closes_at) == (None, later)
    (run, _) = await subject.ledger.runs.page(subject.tenant, RunFilter(), None, 9)
    assert run[0].due_at == later


async def what_does_not_wait_closes_it_at_once(subject: LedgerSubject) -> None:
    """Its run is due now, also for whoever looks at it at this moment."""
    rule = DigestRule(window_ms=MINUTE_MS, most_ms=60 * MINUTE_MS)
    (first,) = await _joins(subject, {"rule": rule})
    subject.clock.advance(30)
    await _joins(subject, {"rule": rule})
    subject.clock.advance(30)
    (held,) = await _due(subject)
    await _joins(subject, {"closes": DigestClose.FLUSH})
    digest = await _digest(subject, first)
    assert (digest.items, digest.cause, digest.closed_at) == (3, DigestClose.FLUSH, subject.now)
    await _tell(subject, held, 3)
    assert (await _digest(subject, first)).total is None
    (claimed,) = await _due(subject, await subject.open_worker())
    assert (await _close(subject, claimed))[0].closed_at == subject.now
    (after,) = await _joins(subject)
    assert (await _digest(subject, after)).number == 2


async def some_go_past_it(subject: LedgerSubject) -> None:
    """By themselves, and the digest stays as it is; with a look back, those that come after a pause."""
    (first,) = await _joins(subject)
    alone, critical = await _joins(subject, {"closes": DigestClose.ALONE}, {"closes": DigestClose.CRITICAL})
    for passed in (alone, critical):
        digest = await _digest(subject, passed)
        assert (digest.items, digest.cause, digest.slot) == (1, passed.closes, None)
    assert (await _digest(subject, first)).items == 1
    assert len(await _due(subject)) == 2
    rule = DigestRule(window_ms=10 * MINUTE_MS, look_back_ms=30 * MINUTE_MS)
    slot = {"slot": b"l" * 16, "rule": rule}
    at_once, waits = await _joins(subject, slot, slot)
    assert (await _digest(subject, at_once)).cause is DigestClose.LOOK_BACK
    assert (await _digest(subject, waits)).closed_at is None
    subject.clock.advance(600)
    (late,) = await _joins(subject, slot)
    assert (await _digest(subject, late)).closed_at is None
    subject.clock.advance(600 + 1800)
    (again,) = await _joins(subject, slot)
    assert (await _digest(subject, again)).cause is DigestClose.LOOK_BACK


async def a_full_one_closes(subject: LedgerSubject) -> None:
    """With its last item, in the middle of a plan."""
    rule = DigestRule(window_ms=10 * MINUTE_MS, most_items=2)
    items = [an_item(subject, rule=rule) for _ in range(3)]
    await _bring(subject, *items)
    full, following = await _digest(subject, items[0]), await _digest(subject, items[2])
    assert (full.items, full.cause) == (2, DigestClose.MAX_ITEMS)
    assert (following.items, following.number) == (1, 2)
    assert [row.event_id for row in await _due(subject)] == [full.id]


async def a_digest_is_told_once(subject: LedgerSubject) -> None:
    """By whoever holds its run; then nothing readable is left of its items."""
    (first, _) = await _joins(subject, {}, {})
    subject.clock.advance(600)
    (stale,) = await _due(subject)
    (claimed,) = await _due(subject)
    await _close(subject, claimed)
    await _tell(subject, stale, 7)
    assert (await _digest(subject, first)).total is None
    assert {one.sealed for one in await _items(subject, first)} == {b"content"}
    await _tell(subject, claimed, 2)
    await _tell(subject, claimed, 9)
    assert (await _digest(subject, first)).total == 2
    assert {one.sealed for one in await _items(subject, first)} == {None}
    assert await _due(subject) == []


async def a_canceled_event_leaves_its_digest(subject: LedgerSubject) -> None:
    """While that is open; and comes to none afterwards."""
    first, second = await _joins(subject, {}, {})
    await subject.ledger.events.cancel(second.event_id, subject.now, frozenset())
    canceled = an_item(subject)
    await subject.ledger.events.cancel(canceled.event_id, subject.now, frozenset())
    result = await _bring(subject, canceled)
    assert result.runs[0].steps[-1].inputs["reason"] == Reason.CANCELED_BY_CALLER
    digest = await _digest(subject, first)
    assert (digest.items, digest.withdrawn) == (2, 1)
    withdrawn = {one.event_id: (one.withdrawn_at, one.sealed) for one in await _items(subject, first)}
    assert withdrawn == {first.event_id: (None, b"content"), second.event_id: (subject.now, None)}
    subject.clock.advance(600)
    await _close(subject, *await _due(subject))
    await subject.ledger.events.cancel(first.event_id, subject.now, frozenset())
    assert (await _digest(subject, first)).withdrawn == 1


async def items_are_withdrawn_by_their_key(subject: LedgerSubject) -> None:
    """Of one workflow and tenant, from digests that are open."""
    key = b"k" * 16
    first, *_ = await _joins(subject, {"cancellation_key": key}, {"cancellation_key": key}, {})
    withdraw, now = subject.ledger.digests.withdraw, subject.now
    assert await withdraw(TenantId(9), "news", key, now, 9) == 0
    assert await withdraw(subject.tenant, "other", key, now, 9) == 0
    assert await withdraw(subject.tenant, "news", key, now, 1) == 1
    assert await withdraw(subject.tenant, "news", key, now, 9) == 1
    assert await withdraw(subject.tenant, "news", key, now, 9) == 0
    assert (await _digest(subject, first)).withdrawn == 2


async def a_digest_ends_with_its_run(subject: LedgerSubject) -> None:
    """What comes afterwards opens another, and nothing readable is left."""
    (first,) = await _joins(subject)
    where = RunFilter(event_id=first.opens.event_id)
    (row,) = await subject.ledger.runs.cancel(subject.tenant, where, subject.now, 9)
    assert row.id == first.opens.id
    digest = await _digest(subject, first)
    assert (digest.cause, digest.closed_at, digest.total) == (DigestClose.CANCELED, subject.now, 0)
    assert [one.sealed for one in await _items(subject, first)] == [None]
    (second,) = await _joins(subject)
    assert (await _digest(subject, second)).number == 2
    await subject.ledger.events.cancel(second.opens.event_id, subject.now, frozenset())
    assert (await _digest(subject, second)).cause is DigestClose.CANCELED
    (third,) = await _joins(subject)
    (held,) = await _due_later(subject)
    await subject.plan(
        run_rows=(replace(subject.over(held), status=RunStatus.FAILED),),
        digest_totals=(DigestTotal(run=held.id, digest=held.event_id, total=0),),
        runs=(subject.going_on(held),),
    )
    assert (await _digest(subject, third)).total == 0
    (fourth,) = await _joins(subject)
    assert (await _digest(subject, fourth)).number == 4


async def _due_later(subject: LedgerSubject) -> list[RunRow]:
    subject.clock.advance(600)
    return await _due(subject)


async def nothing_readable_is_left_of_a_deleted_user(subject: LedgerSubject) -> None:
    """Their digests are canceled, open or closed, and their runs with them."""
    (first,) = await _joins(subject)
    (other,) = await _joins(subject, {"slot": b"o" * 16, "user": subject.bob})
    await _joins(subject, {"closes": DigestClose.FLUSH})
    (second,) = await _joins(subject)
    await subject.ledger.users.delete(subject.tenant, "ada")
    assert [(await _digest(subject, one)).total for one in (first, second)] == [0, 0]
    assert {one.sealed for opener in (first, second) for one in await _items(subject, opener)} == {None}
    assert [one.sealed for one in await _items(subject, other)] == [b"content"]
    assert await _due(subject) == []


async def digests_go_with_the_messages_of_their_time(subject: LedgerSubject) -> None:
    """Not while they are open, nor before they were told."""
    first, *_ = await _joins(subject, {}, {})
    (open_,) = await _joins(subject, {"slot": b"o" * 16, "rule": DigestRule(window_ms=30 * DAY_MS)})
    subject.clock.advance(600)
    (claimed,) = await _due(subject)
    await _close(subject, claimed)
    subject.clock.advance(2 * DAY_MS / 1000)

    async def sweep() -> None:
        cutoffs, after = {subject.tenant: Instant(subject.now - DAY_MS)}, None
        while True:
            swept = await subject.ledger.retention.sweep(RetentionKind.MESSAGES, cutoffs, after, dry=False)
            if swept.following is None:
                return
            after = swept.following

    await sweep()
    assert len(await _items(subject, first)) == 2
    await _tell(subject, claimed, 2)
    await sweep()
    ids = [first.opens.event_id, open_.opens.event_id]
    assert [row.id for row in await subject.ledger.digests.get(subject.tenant, ids)] == [open_.opens.event_id]
    assert await _items(subject, first) == []
    assert len(await _items(subject, open_)) == 1


DIGESTS_CONTRACT = (
    the_first_item_of_a_slot_opens_a_digest_and_others_join_it,
    slots_do_not_share,
    an_item_is_taken_once,
    a_dry_run_opens_no_digest,
    what_comes_at_the_end_opens_the_next,
    an_earlier_clock_opens_nothing_before,
    items_move_the_end_of_one_that_slides,
    one_that_is_looked_at_early_is_given_back,
    one_may_close_at_another_time_than_it_said,
    what_does_not_wait_closes_it_at_once,
    some_go_past_it,
    a_full_one_closes,
    a_digest_is_told_once,
    a_canceled_event_leaves_its_digest,
    items_are_withdrawn_by_their_key,
    a_digest_ends_with_its_run,
    nothing_readable_is_left_of_a_deleted_user,
    digests_go_with_the_messages_of_their_time,
)
