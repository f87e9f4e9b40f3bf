"""Planning: storing, repeating, and the exact checks."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import CaptureFilter
from clarion.model.message import Message, Run
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.rules.time_format import rfc3339
from clarion.testing.ledger_contract.subject import LedgerSubject, later, together

MERGED, THROTTLED, DEFERRED = Status.MERGED, Status.THROTTLED, Status.DEFERRED


def said(run: Run, message_id: MessageId) -> list[tuple[str, str, str]]:
    """What the rules said about a message: rule, result, reason."""
    (plan,) = [plan for plan in run.channels if plan.message_id == message_id]
    return [(v.rule, v.result, v.reason) for v in plan.verdicts]


async def a_plan_is_stored_as_planned(subject: LedgerSubject) -> None:
    """Every field of every message and run, and one change for each message."""
    event_id = subject.event()
    plain = subject.planned(event_id=event_id)
    rich = subject.planned(
        event_id=event_id,
        channel=Channel.SMS,
        template_version=3,
        expires_at=Instant(subject.now + 5000),
        until="delivered",
        later_rungs=(subject.planned().id, subject.planned().id),
        threaded=True,
        charged=True,
    )
    waiting = later(subject.planned(event_id=event_id, channel=Channel.PUSH), 30)
    dropped = subject.planned(
        event_id=event_id, channel=Channel.CHAT, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT
    )
    result = await subject.plan(plain, rich, waiting, dropped)
    assert (result.changed, result.known, result.runs) == ({}, frozenset(), ())
    for message in (plain, rich, waiting, dropped):
        assert await subject.stored(message) == message
        assert await subject.timeline(message) == [(message.status, message.reason)]
    runs = await subject.ledger.plans.runs_of(subject.tenant, event_id, None)
    assert list(runs) == [subject.run(plain, rich, waiting, dropped)]


async def a_repeated_plan_changes_nothing(subject: LedgerSubject) -> None:
    """What was there is reported as known and stays where it has got to; what is new goes in."""
    first, second = subject.planned(), subject.planned(subject.bob)
    await subject.plan(first)
    await subject.settle(first)
    result = await subject.plan(first, second, charges=(subject.charge(first, 1), subject.charge(second, 1)))
    assert result.known == {first.id}
    assert await subject.timeline(first) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await subject.timeline(second) == [(Status.QUEUED, None)]
    assert len(await subject.ledger.plans.runs_of(subject.tenant, first.event_id, None)) == 1


async def plans_at_once_are_all_stored(subject: LedgerSubject) -> None:
    """Each gets its own result, also when one of them is a repeat."""
    messages = [subject.planned() for _ in range(40)]
    await subject.plan(messages[7])
    results = await together(*(subject.plan(message) for message in messages))
    assert [bool(result.known) for result in results] == [n == 7 for n in range(40)]
    for message in messages:
        assert await subject.state(message) == (Status.QUEUED, None)


async def runs_are_found_by_event_and_user(subject: LedgerSubject) -> None:
    """And only by the tenant they belong to."""
    event_id = subject.event()
    ours, theirs = subject.planned(event_id=event_id), subject.planned(subject.bob, event_id=event_id)
    await subject.plan(ours, theirs, subject.planned())
    plans = subject.ledger.plans
    assert len(await plans.runs_of(subject.tenant, event_id, None)) == 2
    assert [run.user for run in await plans.runs_of(subject.tenant, event_id, subject.bob.no)] == [
        subject.bob.no
    ]
    assert list(await plans.runs_of(subject.tenant + 1, event_id, None)) == []  # type: ignore[arg-type]


async def a_preview_stores_nothing(subject: LedgerSubject) -> None:
    """It says what a commit would say, and the next commit finds everything as before."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, dedupes=(subject.dedupe(first),))
    plan = subject.plan_of(
        second, dedupes=(subject.dedupe(second),), continuations=(subject.left(subject.entry()),)
    )
    first_look, second_look = [await subject.ledger.plans.preview(plan) for _ in range(2)]
    assert first_look == second_look
    assert first_look.changed == {second.id: (MERGED, Reason.DUPLICATE)}
    assert len(first_look.runs) == 1
    assert await subject.ledger.records.get(subject.tenant, second.id) is None
    assert list(await subject.ledger.log.read(Lane.BULK, 0, 10)) == []
    assert await subject.ledger.plans.commit(plan) == first_look
    assert await subject.state(second) == (MERGED, Reason.DUPLICATE)


# ── dedupe ────────────────────────────────────────────────────────────────────────────────────────────────


async def a_duplicate_is_merged(subject: LedgerSubject) -> None:
    """All messages of the second run within the window; the explanation says so on both sides."""
    first, event_id = subject.planned(), subject.event()
    second = [subject.planned(event_id=event_id, channel=channel) for channel in (Channel.EMAIL, Channel.SMS)]
    dropped = subject.planned(
        event_id=event_id, channel=Channel.PUSH, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT
    )
    kept = await subject.plan(first, dedupes=(subject.dedupe(first),))
    merged = await subject.plan(*second, dropped, dedupes=(subject.dedupe(second[0]),))
    assert kept.changed == {}
    assert merged.changed == {m.id: (MERGED, Reason.DUPLICATE) for m in second}
    for message in second:
        assert await subject.timeline(message) == [(MERGED, Reason.DUPLICATE)]
        assert (await subject.stored(message)).due_at is None
    assert await subject.state(dropped) == (Status.SUPPRESSED, Reason.OPTED_OUT)
    assert said(kept.runs[0], first.id) == [("dedupe", "allow", "first_in_window")]
    for message in (*second, dropped):
        assert said(merged.runs[0], message.id) == [("dedupe", "stop", "duplicate")]
    assert await subject.ledger.plans.runs_of(subject.tenant, event_id, None) == list(merged.runs)


async def a_dedupe_window_ends(subject: LedgerSubject) -> None:
    """Afterwards the next one is the first again."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, dedupes=(subject.dedupe(first, window_s=60),))
    subject.clock.advance(61)
    result = await subject.plan(second, dedupes=(subject.dedupe(second, window_s=60),))
    assert result.changed == {}
    third = subject.planned()
    result = await subject.plan(third, dedupes=(subject.dedupe(third),))
    assert result.changed == {third.id: (MERGED, Reason.DUPLICATE)}


async def of_duplicates_at_once_one_is_kept(subject: LedgerSubject) -> None:
    """In one plan, and in many plans at the same time."""
    messages = [subject.planned() for _ in range(20)]
    one_plan = await subject.plan(*messages, dedupes=tuple(subject.dedupe(m) for m in messages))
    assert len(one_plan.changed) == 19
    others = [subject.planned() for _ in range(20)]
    results = await together(*(subject.plan(m, dedupes=(subject.dedupe(m, b"e" * 16),)) for m in others))
    assert sum(len(result.changed) for result in results) == 19


# ── frequency caps ────────────────────────────────────────────────────────────────────────────────────────


async def a_cap_is_never_exceeded(subject: LedgerSubject) -> None:
    """At any concurrency, within a plan and across plans."""
    batches = [[subject.planned() for _ in range(3)] for _ in range(20)]
    results = await together(
        *(subject.plan(*batch, charges=tuple(subject.charge(m, 5) for m in batch)) for batch in batches)
    )
    refused = {message_id for result in results for message_id in result.changed}
    assert len(refused) == 60 - 5
    for message in (m for batch in batches for m in batch):
        expected = (THROTTLED, Reason.FREQUENCY_CAP) if message.id in refused else (Status.QUEUED, None)
        assert await subject.state(message) == expected
        assert (await subject.stored(message)).charged == (message.id not in refused)


async def a_cap_slides(subject: LedgerSubject) -> None:
    """What was sent before the window counts no more, to the millisecond."""
    first, second, third = (subject.planned(charged=True) for _ in range(3))
    await subject.plan(first, charges=(subject.charge(first, 1, window_s=60),))
    subject.clock.advance(300)
    await subject.settle(first)
    subject.clock.advance(59.999)
    result = await subject.plan(second, charges=(subject.charge(second, 1, window_s=60),))
    assert result.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}
    subject.clock.advance(0.001)
    assert (await subject.plan(third, charges=(subject.charge(third, 1, window_s=60),))).changed == {}


async def caps_are_counted_per_user_category_and_channel(subject: LedgerSubject) -> None:
    """A message below every one of its caps counts against all; above one, against none."""
    first, other = subject.planned(), subject.planned(subject.bob)
    second, third = (subject.planned(category="news", channel=Channel.SMS) for _ in range(2))
    news = {"category": "news", "scope": "category/news/*"}
    sms = {"channel": Channel.SMS, "scope": "tenant/sms"}
    await subject.plan(first, charges=(subject.charge(first, 1),))
    result = await subject.plan(
        second,
        other,
        charges=(subject.charge(second, 1, **news), subject.charge(second, 1), subject.charge(other, 1)),
    )
    assert result.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}
    charges = (subject.charge(third, 1, **news), subject.charge(third, 1, **sms), subject.charge(third, 2))
    assert (await subject.plan(third, charges=charges)).changed == {}
    fourth = subject.planned(channel=Channel.SMS)
    result = await subject.plan(fourth, charges=(subject.charge(fourth, 1, **sms),))
    assert result.changed == {fourth.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_longer_window_sees_what_a_shorter_one_did_not(subject: LedgerSubject) -> None:
    """A cap that is changed, or was made later, counts what was counted before it."""
    first, second, third = (subject.planned(charged=True) for _ in range(3))
    await subject.plan(first, charges=(subject.charge(first, 1, window_s=60),))
    await subject.settle(first)
    subject.clock.advance(90)
    assert (await subject.plan(second, charges=(subject.charge(second, 1, window_s=60),))).changed == {}
    refused = await subject.plan(third, charges=(subject.charge(third, 2, window_s=3600),))
    assert refused.runs[0].channels[0].verdicts[-1].inputs["count"] == 2


async def a_dry_run_counts_nothing(subject: LedgerSubject) -> None:
    """However often a plan is only looked at, there is room for the one that goes."""
    message = subject.planned()
    plan = subject.plan_of(message, charges=(subject.charge(message, 1),))
    for _ in range(3):
        assert (await subject.ledger.plans.preview(plan)).changed == {}
    assert (await subject.ledger.plans.commit(plan)).changed == {}


async def two_windows_of_one_scope_count_the_same_uses(subject: LedgerSubject) -> None:
    """`3 a minute` and `4 an hour`: one use each time, seen by both."""
    sent = 0
    for _ in range(6):
        message = subject.planned(charged=True)
        charges = (subject.charge(message, 3, window_s=60), subject.charge(message, 4, window_s=3600))
        if not (await subject.plan(message, charges=charges)).changed:
            await subject.settle(message)
            sent += 1
        subject.clock.advance(25)
    assert sent == 4


async def a_cap_explains_its_count(subject: LedgerSubject) -> None:
    """Allowed or not, the verdict carries the numbers it was decided on."""
    first, second = subject.planned(), subject.planned()
    allowed = await subject.plan(first, charges=(subject.charge(first, 1),))
    refused = await subject.plan(second, charges=(subject.charge(second, 1),))
    assert said(allowed.runs[0], first.id) == [("frequency_cap", "allow", "below_cap")]
    assert said(refused.runs[0], second.id) == [("frequency_cap", "stop", "frequency_cap")]
    (plan,) = refused.runs[0].channels
    assert (plan.status, plan.reason, plan.due_at) == (THROTTLED, Reason.FREQUENCY_CAP, None)
    assert plan.verdicts[-1].inputs == {"scope": "tenant/*", "limit": 1, "window_s": 3600, "count": 1}


async def what_is_decided_already_is_not_counted(subject: LedgerSubject) -> None:
    """A duplicate and a message that was stopped by a rule leave room for one that goes."""
    first, twin, third = (subject.planned() for _ in range(3))
    stopped = subject.planned(status=Status.SUPPRESSED, reason=Reason.OPTED_OUT)
    messages = (first, twin, stopped, third)
    result = await subject.plan(
        *messages,
        dedupes=(subject.dedupe(first), subject.dedupe(twin)),
        charges=tuple(subject.charge(m, 2) for m in messages),
    )
    assert result.changed == {twin.id: (MERGED, Reason.DUPLICATE)}


async def what_does_not_go_is_told_everything_that_stands_in_its_way(subject: LedgerSubject) -> None:
    """A cap with when it has room again, the run that has its key, the message it would wait for. It counts nowhere, takes no
    place in the thread, and keeps no key."""
    first = subject.planned()
    await subject.plan(
        first,
        charges=(subject.charge(first, 1),),
        dedupes=(subject.dedupe(first),),
        turns=(subject.turn(first),),
    )
    stopped = subject.planned(status=Status.SUPPRESSED, reason=Reason.OPTED_OUT)
    waits = later(subject.planned(), 60)
    others: dict[str, Any] = {
        "charges": (subject.charge(stopped, 1), subject.charge(waits, 1)),
        "dedupes": (replace(subject.dedupe(stopped), holds=False),),
        "turns": (subject.turn(stopped),),
    }
    result = await subject.plan(stopped, waits, **others)
    of_stopped, of_waits = result.runs
    assert said(of_stopped, stopped.id) == [
        ("dedupe", "stop", "duplicate"),
        ("frequency_cap", "stop", "frequency_cap"),
        ("thread", "defer", "waiting_for_turn"),
    ]
    assert said(of_waits, waits.id) == [("frequency_cap", "stop", "frequency_cap")]
    assert (await subject.stored(stopped)).reason is Reason.OPTED_OUT
    free = subject.planned()
    claim = replace(subject.dedupe(free, b"e" * 16), holds=False)
    await subject.plan(replace(free, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT), dedupes=(claim,))
    taker = subject.planned()
    assert (await subject.plan(taker, dedupes=(subject.dedupe(taker, b"e" * 16),))).changed == {}
    await subject.settle(await subject.stored(first))
    after = subject.planned()
    refused = await subject.plan(after, charges=(subject.charge(after, 1),))
    (verdict,) = [one for channel in refused.runs[0].channels for one in channel.verdicts]
    assert verdict.inputs["until"] == rfc3339(Instant(subject.now + 3_600_000))


async def a_message_that_waited_is_counted_when_it_wakes(subject: LedgerSubject) -> None:
    """Once, however often it is asked for; those over the cap are named."""
    messages = [later(subject.planned(), 10) for _ in range(3)]
    await subject.plan(*messages)
    charge = subject.ledger.plans.charge
    first = await charge([subject.charge(messages[0], 2), subject.charge(messages[1], 2)])
    assert first == frozenset()
    again, refused = await together(
        charge([subject.charge(messages[0], 2)]), charge([subject.charge(messages[2], 2)])
    )
    assert not again
    assert refused == {messages[2].id}
    assert [(await subject.stored(m)).charged for m in messages] == [True, True, False]


async def what_is_on_its_way_counts_in_every_window(subject: LedgerSubject) -> None:
    """Nobody knows yet when it will have been sent, so it leaves no room however long that takes."""
    first, second = subject.planned(charged=True), subject.planned(charged=True)
    await subject.plan(first, charges=(subject.charge(first, 1, window_s=60),))
    subject.clock.advance(3600)
    refused = await subject.plan(second, charges=(subject.charge(second, 1, window_s=60),))
    assert refused.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def what_was_never_sent_leaves_room(subject: LedgerSubject) -> None:
    """What waits, fails, is rejected, stopped or replaced counts no more; what may have gone out does."""
    reason = {
        Status.DEFERRED: Reason.NO_INTEGRATION,
        Status.FAILED: Reason.TEMPLATE_ERROR,
        Status.REJECTED: Reason.PROVIDER_REJECTED,
        Status.BOUNCED: Reason.ADDRESS_GONE,
        Status.DEAD_LETTERED: Reason.TOO_OLD,
        Status.EXPIRED: Reason.EXPIRED,
    }
    for status, why in reason.items():
        message = subject.planned(charged=True)
        assert (await subject.plan(message, charges=(subject.charge(message, 1),))).changed == {}, status
        due = subject.now + 60_000 if status is Status.DEFERRED else None
        await subject.settle(message, status, reason=why, due_at=due)
        assert not (await subject.stored(message)).charged
    canceled, newer = subject.planned(charged=True), subject.planned(charged=True)
    await subject.plan(
        canceled, charges=(subject.charge(canceled, 1),), collapses=(subject.collapse(canceled),)
    )
    await subject.ledger.records.cancel(subject.tenant, canceled.id, subject.now, frozenset())
    result = await subject.plan(
        newer, charges=(subject.charge(newer, 1),), collapses=(subject.collapse(newer),)
    )
    assert result.changed == {}
    unknown = {"reason": Reason.OUTCOME_UNKNOWN, "outcome": "unknown"}
    await subject.settle(newer, Status.FAILED, **unknown)
    last = subject.planned(charged=True)
    refused = await subject.plan(last, charges=(subject.charge(last, 1),))
    assert refused.changed == {last.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def what_was_replaced_or_waits_for_its_turn_in_the_same_plan_leaves_room(
    subject: LedgerSubject,
) -> None:
    """Only what goes now is counted."""
    first, second, third, fourth = (subject.planned(charged=True) for _ in range(4))
    result = await subject.plan(
        first, second, third, fourth,
        charges=tuple(subject.charge(m, 2) for m in (first, second, third, fourth)),
        collapses=(subject.collapse(first), subject.collapse(second)),
        turns=(subject.turn(second), subject.turn(third)),
    )  # fmt: skip
    assert result.changed == {
        first.id: (MERGED, Reason.SUPERSEDED), third.id: (Status.DEFERRED, Reason.WAITING_FOR_TURN)
    }  # fmt: skip
    assert [(await subject.stored(m)).charged for m in (first, second, third, fourth)] == [
        False, True, False, True
    ]  # fmt: skip


async def what_is_replaced_leaves_room_for_the_next_at_once(subject: LedgerSubject) -> None:
    """Also in the transaction that replaces it."""
    first, second, third = (subject.planned(charged=True) for _ in range(3))
    await subject.plan(first, charges=(subject.charge(first, 2),), collapses=(subject.collapse(first),))
    result = await subject.plan(
        second,
        third,
        charges=(subject.charge(second, 2), subject.charge(third, 2)),
        collapses=(subject.collapse(second),),
    )
    assert result.changed == {}
    assert await subject.state(first) == (MERGED, Reason.SUPERSEDED)
    fourth = subject.planned(charged=True)
    refused = await subject.plan(fourth, charges=(subject.charge(fourth, 2),))
    assert refused.changed == {fourth.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_message_that_waited_is_counted_anew(subject: LedgerSubject) -> None:
    """It may be over the cap by then; one that was sent before counts once, when it is sent again."""
    first, second = subject.planned(charged=True), subject.planned(charged=True)
    await subject.plan(first, charges=(subject.charge(first, 1),))
    await subject.settle(first, Status.DEFERRED, reason=Reason.RETRY, due_at=subject.now)
    await subject.plan(second, charges=(subject.charge(second, 1),))
    await subject.settle(second)
    charge = subject.ledger.plans.charge
    assert await charge([subject.charge(first, 1)]) == {first.id}
    subject.clock.advance(3_600)
    assert await charge([subject.charge(first, 1)]) == frozenset()
    (again,) = await subject.claim()
    maybe = {"reason": Reason.RETRY, "outcome": "unknown", "due_at": subject.now}
    await subject.settle(again, Status.DEFERRED, **maybe)
    assert await charge([subject.charge(first, 1)]) == frozenset()
    third = subject.planned(charged=True)
    refused = await subject.plan(third, charges=(subject.charge(third, 1),))
    assert refused.changed == {third.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_message_that_ended_meanwhile_is_not_counted(subject: LedgerSubject) -> None:
    """Between its claim and its count it was canceled."""
    first, second = later(subject.planned(), 0), subject.planned(charged=True)
    await subject.plan(first)
    await subject.claim()
    await subject.ledger.records.cancel(subject.tenant, first.id, subject.now, frozenset())
    assert await subject.ledger.plans.charge([subject.charge(first, 1)]) == frozenset()
    assert (await subject.plan(second, charges=(subject.charge(second, 1),))).changed == {}


# ── collapse ──────────────────────────────────────────────────────────────────────────────────────────────


async def a_newer_message_replaces_an_undelivered_one(subject: LedgerSubject) -> None:
    """Whoever holds the older one is refused; the newest one stays."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, collapses=(subject.collapse(first),))
    result = await subject.plan(second, collapses=(subject.collapse(second),))
    assert result.changed == {}
    assert await subject.timeline(first) == [(Status.QUEUED, None), (MERGED, Reason.SUPERSEDED)]
    assert (await subject.settle(first)).refused == {first.id}
    assert await subject.state(second) == (Status.QUEUED, None)
    assert said(result.runs[0], second.id) == [("collapse", "allow", "newest")]


async def what_is_sent_or_being_sent_is_not_replaced(subject: LedgerSubject) -> None:
    """Only what nobody has started can be taken back."""
    sending, sent, newest = (subject.planned() for _ in range(3))
    await subject.plan(sending, collapses=(subject.collapse(sending),))
    await subject.call(sending)
    await subject.plan(sent, collapses=(subject.collapse(sent),))
    await subject.settle(sent)
    await subject.plan(newest, collapses=(subject.collapse(newest),))
    assert await subject.state(sending) == (Status.SENDING, None)
    assert await subject.state(sent) == (Status.SENT, None)
    assert await subject.state(newest) == (Status.QUEUED, None)


async def of_messages_that_collapse_at_once_the_last_stays(subject: LedgerSubject) -> None:
    """Born replaced: one change, never dispatched."""
    messages = [subject.planned() for _ in range(4)]
    result = await subject.plan(*messages, collapses=tuple(subject.collapse(m) for m in messages))
    assert result.changed == {m.id: (MERGED, Reason.SUPERSEDED) for m in messages[:3]}
    assert await subject.timeline(messages[0]) == [(MERGED, Reason.SUPERSEDED)]
    assert await subject.state(messages[3]) == (Status.QUEUED, None)
    others = [subject.planned() for _ in range(10)]
    await together(*(subject.plan(m, collapses=(subject.collapse(m),)) for m in others))
    states = [await subject.state(m) for m in (messages[3], *others)]
    assert states.count((Status.QUEUED, None)) == 1


# ── thread order ──────────────────────────────────────────────────────────────────────────────────────────


async def a_thread_goes_one_by_one(subject: LedgerSubject) -> None:
    """The next one waits, unleased and without a due time, until the one before it is out."""
    messages = [subject.planned() for _ in range(3)]
    result = await subject.plan(*messages, turns=tuple(subject.turn(m) for m in messages))
    assert result.changed == {m.id: (DEFERRED, Reason.WAITING_FOR_TURN) for m in messages[1:]}
    assert list(await subject.claim()) == []
    waiting = await subject.stored(messages[1])
    assert (waiting.waits_for, waiting.due_at, waiting.fence) == (messages[0].id, None, 0)
    subject.clock.advance(3)
    await subject.settle(messages[0], Status.SENT)
    (second,) = await subject.claim()
    assert (second.id, second.status, second.waits_for) == (messages[1].id, DEFERRED, None)
    await subject.settle(second, Status.FAILED, reason=Reason.TEMPLATE_ERROR)
    (third,) = await subject.claim()
    assert third.id == messages[2].id


async def a_retry_keeps_the_thread_waiting(subject: LedgerSubject) -> None:
    """Deferred again is not out: order is kept across retries."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, turns=(subject.turn(first),))
    await subject.plan(second, turns=(subject.turn(second),))
    await subject.settle(first, DEFERRED, reason=Reason.RETRY, due_at=Instant(subject.now + 1000))
    assert (await subject.stored(second)).waits_for == first.id
    assert (await subject.stored(first)).threaded
    subject.clock.advance(1)
    assert [m.id for m in await subject.claim()] == [first.id]


async def an_idle_thread_makes_nobody_wait(subject: LedgerSubject) -> None:
    """Nor does another thread, nor a message that never goes."""
    first, second, stopped, third = (subject.planned() for _ in range(4))
    stopped = replace(stopped, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT, due_at=None, fence=0)
    await subject.plan(first, turns=(subject.turn(first),))
    await subject.settle(first)
    result = await subject.plan(second, turns=(subject.turn(second),))
    assert result.changed == {}
    assert said(result.runs[0], second.id) == [("thread", "allow", "its_turn")]
    await subject.settle(second)
    result = await subject.plan(stopped, third, turns=(subject.turn(stopped), subject.turn(third)))
    assert result.changed == {}


async def whatever_ends_a_message_gives_the_next_its_turn(subject: LedgerSubject) -> None:
    """Cancelled, replaced or deleted: nobody waits for what will never go."""
    first, second = subject.planned(), subject.planned()
    await subject.plan(first, turns=(subject.turn(first),), collapses=(subject.collapse(first),))
    await subject.plan(second, turns=(subject.turn(second),))
    newer = subject.planned()
    await subject.plan(newer, collapses=(subject.collapse(newer),))
    assert await subject.state(first) == (MERGED, Reason.SUPERSEDED)
    assert (await subject.stored(second)).due_at is not None
    third, fourth = subject.planned(), subject.planned()
    await subject.plan(third, turns=(subject.turn(third),))
    assert (await subject.stored(third)).waits_for == second.id
    await subject.plan(fourth, turns=(subject.turn(fourth),))
    await subject.ledger.records.cancel(subject.tenant, second.id, subject.now, frozenset())
    assert (await subject.stored(third)).waits_for is None
    assert (await subject.stored(fourth)).waits_for == third.id


async def what_ends_while_it_waits_leaves_its_place_to_the_next(subject: LedgerSubject) -> None:
    """Canceled or replaced: what is behind it waits for what was in front of it, and goes no earlier."""
    first, second, third, fourth, fifth = (subject.planned() for _ in range(5))
    for message in (first, second, third):
        await subject.plan(message, turns=(subject.turn(message),))
    cancel = subject.ledger.records.cancel
    await cancel(subject.tenant, second.id, subject.now, frozenset())
    assert (await subject.stored(third)).waits_for == first.id
    await cancel(subject.tenant, third.id, subject.now, frozenset())
    await subject.plan(fourth, turns=(subject.turn(fourth),), collapses=(subject.collapse(fourth),))
    assert (await subject.stored(fourth)).waits_for == first.id
    result = await subject.plan(fifth, turns=(subject.turn(fifth),), collapses=(subject.collapse(fifth),))
    assert await subject.state(fourth) == (MERGED, Reason.SUPERSEDED)
    assert said(result.runs[0], fifth.id)[-1] == ("thread", "defer", "waiting_for_turn")
    assert list(await subject.claim()) == []
    await subject.settle(first)
    assert [m.id for m in await subject.claim()] == [fifth.id]


async def a_replaced_message_leaves_its_place_in_the_thread(subject: LedgerSubject) -> None:
    """Collapse and thread on one key: the newest goes at once, nothing waits for the replaced one."""
    messages = [subject.planned() for _ in range(3)]
    for message in messages[:2]:
        await subject.plan(message, turns=(subject.turn(message),), collapses=(subject.collapse(message),))
    assert await subject.state(messages[1]) == (Status.QUEUED, None)
    both = [subject.planned() for _ in range(2)]
    await subject.plan(
        *both, turns=tuple(map(subject.turn, both)), collapses=tuple(map(subject.collapse, both))
    )
    assert await subject.state(messages[1]) == (MERGED, Reason.SUPERSEDED)
    assert await subject.state(both[0]) == (MERGED, Reason.SUPERSEDED)
    last = await subject.stored(both[1])
    assert (last.waits_for, last.due_at) in ((None, subject.now), (None, None))


# ── what is settled with its plan ─────────────────────────────────────────────────────────────────────────


async def what_is_delivered_is_stored_with_its_plan(subject: LedgerSubject) -> None:
    """Once, in its final state: as if it had been planned and settled, with the same timeline and inbox."""
    with_plan, after = (
        subject.planned(channel=Channel.IN_APP),
        subject.planned(subject.bob, channel=Channel.IN_APP),
    )
    result = await subject.plan(with_plan, settled=(subject.in_inbox(with_plan),))
    await subject.plan(after)
    told = await subject.settle(after, Status.DELIVERED, record=subject.item(after), outcome="accepted")
    ((change,), (usual,)) = result.inbox, told.inbox
    assert [item.message_id for item in change.items] == [with_plan.id]
    assert (change.items[0].offset, change.counts) == (usual.items[0].offset, usual.counts)
    assert await subject.ledger.inboxes.head(subject.ada.no) == await subject.ledger.inboxes.head(
        subject.bob.no
    )
    first, second = [await subject.stored(message) for message in (with_plan, after)]
    alike: dict[str, Any] = {"id": first.id, "user": first.user, "event_id": first.event_id}
    assert replace(second, **alike) == first
    histories = [await subject.ledger.records.changes(subject.tenant, m.id) for m in (with_plan, after)]
    first_told, second_told = (
        [replace(one, seq=0, message_id=with_plan.id) for one in history] for history in histories
    )
    assert first_told == second_told
    assert await subject.claim(channel=Channel.IN_APP) == []
    (run,) = await subject.ledger.plans.runs_of(subject.tenant, with_plan.event_id, None)
    assert run == subject.run(with_plan)


async def what_is_captured_is_stored_with_its_plan(subject: LedgerSubject) -> None:
    """Beside a message that goes its way, and one that could not be made."""
    kept, going, broken = subject.planned(), subject.planned(subject.bob), subject.planned()
    await subject.plan(
        kept,
        going,
        broken,
        settled=(
            subject.settlement(kept, outcome="accepted", record=subject.captured(kept)),
            subject.settlement(broken, Status.FAILED, reason=Reason.TEMPLATE_ERROR, attempt=0),
        ),
    )
    (captured,) = await subject.ledger.captures.page(subject.tenant, CaptureFilter(), None, 10)
    assert captured.message_id == kept.id
    assert await subject.timeline(kept) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await subject.timeline(broken) == [(Status.QUEUED, None), (Status.FAILED, Reason.TEMPLATE_ERROR)]
    assert await subject.timeline(going) == [(Status.QUEUED, None)]
    assert (await subject.settle(going)).refused == frozenset()
    assert (await subject.settle(kept)).refused == {kept.id}


async def what_the_checks_end_is_not_delivered(subject: LedgerSubject) -> None:
    """Caps, dedupe, collapse and thread order come first: what they stop has no record, whatever was made of it."""
    event_id = subject.event()
    messages = [
        subject.planned(event_id=event_id, channel=Channel.IN_APP, step=f"step-{n}", charged=True)
        for n in range(3)
    ]
    result = await subject.plan(
        *messages,
        charges=tuple(subject.charge(message, 1) for message in messages),
        settled=tuple(map(subject.in_inbox, messages)),
    )
    assert set(result.changed) == {message.id for message in messages[1:]}
    assert [item.message_id for change in result.inbox for item in change.items] == [messages[0].id]
    assert await subject.timeline(messages[1]) == [(THROTTLED, Reason.FREQUENCY_CAP)]
    _, counts = await subject.ledger.inboxes.head(subject.ada.no)
    assert counts.total == 1


async def what_was_delivered_with_its_plan_counts(subject: LedgerSubject) -> None:
    """In the inbox or captured: as long as the window of a cap is, and no longer."""
    for user, channel in ((subject.ada, Channel.IN_APP), (subject.bob, Channel.EMAIL)):

        def settled(message: Message) -> Settlement:
            record = subject.item(message) if message.channel is Channel.IN_APP else subject.captured(message)
            return subject.settlement(message, outcome="accepted", record=record)

        for wait_s, allowed in ((0, True), (3_599, False), (2, True)):
            subject.clock.advance(wait_s)
            if wait_s:
                subject.worker = await subject.open_worker()
            message = subject.planned(user, channel=channel, charged=True)
            result = await subject.plan(
                message, charges=(subject.charge(message, 1),), settled=(settled(message),)
            )
            assert (message.id in result.changed) is not allowed


async def a_plan_that_comes_twice_delivers_once(subject: LedgerSubject) -> None:
    """As when its answer was lost: the second one stores nothing of it, and fans nothing out."""
    message = subject.planned(channel=Channel.IN_APP)
    plan = subject.plan_of(message, settled=(subject.in_inbox(message),), again=True)
    await subject.ledger.plans.commit(plan)
    again = await subject.ledger.plans.commit(plan)
    assert again.known == {message.id}
    assert not again.inbox
    assert len(await subject.timeline(message)) == 2
    _, counts = await subject.ledger.inboxes.head(subject.ada.no)
    assert counts.total == 1


async def who_waits_for_what_was_delivered_has_its_turn(subject: LedgerSubject) -> None:
    """The next of a thread waits in the same transaction in which the first one ends, and is due at once."""
    first, second = subject.planned(channel=Channel.IN_APP), subject.planned(channel=Channel.IN_APP)
    result = await subject.plan(
        first,
        second,
        turns=(subject.turn(first), subject.turn(second)),
        settled=(subject.in_inbox(first), subject.in_inbox(second)),
    )
    assert result.changed == {second.id: (DEFERRED, Reason.WAITING_FOR_TURN)}
    assert await subject.state(first) == (Status.DELIVERED, None)
    (due,) = await subject.claim(channel=Channel.IN_APP)
    assert due.id == second.id


async def a_worker_that_was_given_up_delivers_nothing(subject: LedgerSubject) -> None:
    """Neither the plan is stored nor what was delivered with it."""
    message = subject.planned(channel=Channel.IN_APP)
    plan = subject.plan_of(message, settled=(subject.in_inbox(message),))
    await subject.replace_worker()
    result = await subject.ledger.plans.commit(plan)
    assert (result.refused, result.inbox) == (True, ())
    assert await subject.ledger.records.get(subject.tenant, message.id) is None


PLANS_CONTRACT = (
    a_plan_is_stored_as_planned,
    a_repeated_plan_changes_nothing,
    plans_at_once_are_all_stored,
    runs_are_found_by_event_and_user,
    a_preview_stores_nothing,
    a_duplicate_is_merged,
    a_dedupe_window_ends,
    of_duplicates_at_once_one_is_kept,
    a_cap_is_never_exceeded,
    a_cap_slides,
    caps_are_counted_per_user_category_and_channel,
    a_longer_window_sees_what_a_shorter_one_did_not,
    a_dry_run_counts_nothing,
    two_windows_of_one_scope_count_the_same_uses,
    a_cap_explains_its_count,
    what_is_on_its_way_counts_in_every_window,
    what_was_never_sent_leaves_room,
    what_was_replaced_or_waits_for_its_turn_in_the_same_plan_leaves_room,
    what_is_replaced_leaves_room_for_the_next_at_once,
    a_message_that_waited_is_counted_anew,
    a_message_that_ended_meanwhile_is_not_counted,
    what_is_decided_already_is_not_counted,
    what_does_not_go_is_told_everything_that_stands_in_its_way,
    a_message_that_waited_is_counted_when_it_wakes,
    a_newer_message_replaces_an_undelivered_one,
    what_is_sent_or_being_sent_is_not_replaced,
    of_messages_that_collapse_at_once_the_last_stays,
    a_thread_goes_one_by_one,
    a_retry_keeps_the_thread_waiting,
    an_idle_thread_makes_nobody_wait,
    whatever_ends_a_message_gives_the_next_its_turn,
    what_ends_while_it_waits_leaves_its_place_to_the_next,
    a_replaced_message_leaves_its_place_in_the_thread,
    what_is_delivered_is_stored_with_its_plan,
    what_is_captured_is_stored_with_its_plan,
    what_the_checks_end_is_not_delivered,
    what_was_delivered_with_its_plan_counts,
    a_plan_that_comes_twice_delivers_once,
    who_waits_for_what_was_delivered_has_its_turn,
    a_worker_that_was_given_up_delivers_nothing,
)
