"""Planning: storing, repeating, and the exact checks."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clarion.model.channel import Channel, Lane
from clarion.model.event import Consumed
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import CaptureFilter
from clarion.model.message import Message, Run
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.testing.ledger_contract.world import World, later, together

MERGED, THROTTLED, DEFERRED = Status.MERGED, Status.THROTTLED, Status.DEFERRED


def said(run: Run, message_id: MessageId) -> list[tuple[str, str, str]]:
    """What the rules said about a message: rule, result, reason."""
    (plan,) = [plan for plan in run.channels if plan.message_id == message_id]
    return [(v.rule, v.result, v.reason) for v in plan.verdicts]


async def a_plan_is_stored_as_planned(world: World) -> None:
    """Every field of every message and run, and one change for each message."""
    event_id = world.event()
    plain = world.planned(event_id=event_id)
    rich = world.planned(
        event_id=event_id,
        channel=Channel.SMS,
        template_version=3,
        expires_at=Instant(world.now + 5000),
        until="delivered",
        later_rungs=(world.planned().id, world.planned().id),
        threaded=True,
        charged=True,
    )
    waiting = later(world.planned(event_id=event_id, channel=Channel.PUSH), 30)
    dropped = world.planned(
        event_id=event_id, channel=Channel.CHAT, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT
    )
    result = await world.plan(plain, rich, waiting, dropped)
    assert (result.changed, result.known, result.runs) == ({}, frozenset(), ())
    for message in (plain, rich, waiting, dropped):
        assert await world.stored(message) == message
        assert await world.timeline(message) == [(message.status, message.reason)]
    runs = await world.ledger.plans.runs_of(world.tenant, event_id, None)
    assert list(runs) == [world.run(plain, rich, waiting, dropped)]


async def a_repeated_plan_changes_nothing(world: World) -> None:
    """What was there is reported as known and stays where it has got to; what is new goes in."""
    first, second = world.planned(), world.planned(world.bob)
    await world.plan(first)
    await world.settle(first)
    result = await world.plan(first, second, charges=(world.charge(first, 1), world.charge(second, 1)))
    assert result.known == {first.id}
    assert await world.timeline(first) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await world.timeline(second) == [(Status.QUEUED, None)]
    assert len(await world.ledger.plans.runs_of(world.tenant, first.event_id, None)) == 1


async def plans_at_once_are_all_stored(world: World) -> None:
    """Each gets its own result, also when one of them is a repeat."""
    messages = [world.planned() for _ in range(40)]
    await world.plan(messages[7])
    results = await together(*(world.plan(message) for message in messages))
    assert [bool(result.known) for result in results] == [n == 7 for n in range(40)]
    for message in messages:
        assert await world.state(message) == (Status.QUEUED, None)


async def runs_are_found_by_event_and_user(world: World) -> None:
    """And only by the tenant they belong to."""
    event_id = world.event()
    ours, theirs = world.planned(event_id=event_id), world.planned(world.bob, event_id=event_id)
    await world.plan(ours, theirs, world.planned())
    plans = world.ledger.plans
    assert len(await plans.runs_of(world.tenant, event_id, None)) == 2
    assert [run.user for run in await plans.runs_of(world.tenant, event_id, world.bob.no)] == [world.bob.no]
    assert list(await plans.runs_of(world.tenant + 1, event_id, None)) == []  # type: ignore[arg-type]


async def continuations_join_their_lane(world: World) -> None:
    """In the same transaction, and not again when the plan before them is repeated."""
    message = world.planned()
    ((entry,), _) = await world.ledger.log.append([world.entry()], [None])
    rest = replace(world.entry(lane=Lane.BULK), event_id=message.event_id)
    consumed = Consumed(Lane.NORMAL, (entry.seq,))
    plan = world.plan_of(message, continuations=(rest,), consumed=consumed)
    result = await world.ledger.plans.commit(plan)
    (appended,) = result.continued
    assert list(await world.ledger.log.read(Lane.BULK, 0, 10)) == [appended]
    assert await world.ledger.log.end(Lane.BULK) == appended.seq
    again = await world.ledger.plans.commit(plan)
    assert (again.repeated, again.continued) == (True, ())
    assert len(await world.ledger.log.read(Lane.BULK, 0, 10)) == 1


async def a_preview_stores_nothing(world: World) -> None:
    """It says what a commit would say, and the next commit finds everything as before."""
    first, second = world.planned(), world.planned()
    await world.plan(first, dedupes=(world.dedupe(first),))
    plan = world.plan_of(
        second, dedupes=(world.dedupe(second),), continuations=(world.entry(lane=Lane.BULK),)
    )
    first_look, second_look = [await world.ledger.plans.preview(plan) for _ in range(2)]
    assert first_look == second_look
    assert first_look.changed == {second.id: (MERGED, Reason.DUPLICATE)}
    assert len(first_look.runs) == 1
    assert await world.ledger.records.get(world.tenant, second.id) is None
    assert list(await world.ledger.log.read(Lane.BULK, 0, 10)) == []
    assert await world.ledger.plans.commit(plan) == first_look
    assert await world.state(second) == (MERGED, Reason.DUPLICATE)


# ── dedupe ────────────────────────────────────────────────────────────────────────────────────────────────


async def a_duplicate_is_merged(world: World) -> None:
    """All messages of the second run within the window; the explanation says so on both sides."""
    first, event_id = world.planned(), world.event()
    second = [world.planned(event_id=event_id, channel=channel) for channel in (Channel.EMAIL, Channel.SMS)]
    dropped = world.planned(
        event_id=event_id, channel=Channel.PUSH, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT
    )
    kept = await world.plan(first, dedupes=(world.dedupe(first),))
    merged = await world.plan(*second, dropped, dedupes=(world.dedupe(second[0]),))
    assert kept.changed == {}
    assert merged.changed == {m.id: (MERGED, Reason.DUPLICATE) for m in second}
    for message in second:
        assert await world.timeline(message) == [(MERGED, Reason.DUPLICATE)]
        assert (await world.stored(message)).due_at is None
    assert await world.state(dropped) == (Status.SUPPRESSED, Reason.OPTED_OUT)
    assert said(kept.runs[0], first.id) == [("dedupe", "allow", "first_in_window")]
    assert said(merged.runs[0], second[0].id) == [("dedupe", "stop", "duplicate")]
    assert said(merged.runs[0], dropped.id) == []
    assert await world.ledger.plans.runs_of(world.tenant, event_id, None) == list(merged.runs)


async def a_dedupe_window_ends(world: World) -> None:
    """Afterwards the next one is the first again."""
    first, second = world.planned(), world.planned()
    await world.plan(first, dedupes=(world.dedupe(first, window_s=60),))
    world.clock.advance(61)
    result = await world.plan(second, dedupes=(world.dedupe(second, window_s=60),))
    assert result.changed == {}
    third = world.planned()
    result = await world.plan(third, dedupes=(world.dedupe(third),))
    assert result.changed == {third.id: (MERGED, Reason.DUPLICATE)}


async def of_duplicates_at_once_one_is_kept(world: World) -> None:
    """In one plan, and in many plans at the same time."""
    messages = [world.planned() for _ in range(20)]
    one_plan = await world.plan(*messages, dedupes=tuple(world.dedupe(m) for m in messages))
    assert len(one_plan.changed) == 19
    others = [world.planned() for _ in range(20)]
    results = await together(*(world.plan(m, dedupes=(world.dedupe(m, b"e" * 16),)) for m in others))
    assert sum(len(result.changed) for result in results) == 19


# ── frequency caps ────────────────────────────────────────────────────────────────────────────────────────


async def a_cap_is_never_exceeded(world: World) -> None:
    """At any concurrency, within a plan and across plans."""
    batches = [[world.planned() for _ in range(3)] for _ in range(20)]
    results = await together(
        *(world.plan(*batch, charges=tuple(world.charge(m, 5) for m in batch)) for batch in batches)
    )
    refused = {message_id for result in results for message_id in result.changed}
    assert len(refused) == 60 - 5
    for message in (m for batch in batches for m in batch):
        expected = (THROTTLED, Reason.FREQUENCY_CAP) if message.id in refused else (Status.QUEUED, None)
        assert await world.state(message) == expected
        assert (await world.stored(message)).charged == (message.id not in refused)


async def a_cap_slides(world: World) -> None:
    """What was sent before the window counts no more, to the millisecond."""
    first, second, third = (world.planned(charged=True) for _ in range(3))
    await world.plan(first, charges=(world.charge(first, 1, window_s=60),))
    world.clock.advance(300)
    await world.settle(first)
    world.clock.advance(59.999)
    result = await world.plan(second, charges=(world.charge(second, 1, window_s=60),))
    assert result.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}
    world.clock.advance(0.001)
    assert (await world.plan(third, charges=(world.charge(third, 1, window_s=60),))).changed == {}


async def caps_are_counted_per_user_category_and_channel(world: World) -> None:
    """A message below every one of its caps counts against all; above one, against none."""
    first, other = world.planned(), world.planned(world.bob)
    second, third = (world.planned(category="news", channel=Channel.SMS) for _ in range(2))
    news = {"category": "news", "scope": "category/news/*"}
    sms = {"channel": Channel.SMS, "scope": "tenant/sms"}
    await world.plan(first, charges=(world.charge(first, 1),))
    result = await world.plan(
        second,
        other,
        charges=(world.charge(second, 1, **news), world.charge(second, 1), world.charge(other, 1)),
    )
    assert result.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}
    charges = (world.charge(third, 1, **news), world.charge(third, 1, **sms), world.charge(third, 2))
    assert (await world.plan(third, charges=charges)).changed == {}
    fourth = world.planned(channel=Channel.SMS)
    result = await world.plan(fourth, charges=(world.charge(fourth, 1, **sms),))
    assert result.changed == {fourth.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_longer_window_sees_what_a_shorter_one_did_not(world: World) -> None:
    """A cap that is changed, or was made later, counts what was counted before it."""
    first, second, third = (world.planned(charged=True) for _ in range(3))
    await world.plan(first, charges=(world.charge(first, 1, window_s=60),))
    await world.settle(first)
    world.clock.advance(90)
    assert (await world.plan(second, charges=(world.charge(second, 1, window_s=60),))).changed == {}
    refused = await world.plan(third, charges=(world.charge(third, 2, window_s=3600),))
    assert refused.runs[0].channels[0].verdicts[-1].inputs["count"] == 2


async def a_dry_run_counts_nothing(world: World) -> None:
    """However often a plan is only looked at, there is room for the one that goes."""
    message = world.planned()
    plan = world.plan_of(message, charges=(world.charge(message, 1),))
    for _ in range(3):
        assert (await world.ledger.plans.preview(plan)).changed == {}
    assert (await world.ledger.plans.commit(plan)).changed == {}


async def two_windows_of_one_scope_count_the_same_uses(world: World) -> None:
    """`3 a minute` and `4 an hour`: one use each time, seen by both."""
    sent = 0
    for _ in range(6):
        message = world.planned(charged=True)
        charges = (world.charge(message, 3, window_s=60), world.charge(message, 4, window_s=3600))
        if not (await world.plan(message, charges=charges)).changed:
            await world.settle(message)
            sent += 1
        world.clock.advance(25)
    assert sent == 4


async def a_cap_explains_its_count(world: World) -> None:
    """Allowed or not, the verdict carries the numbers it was decided on."""
    first, second = world.planned(), world.planned()
    allowed = await world.plan(first, charges=(world.charge(first, 1),))
    refused = await world.plan(second, charges=(world.charge(second, 1),))
    assert said(allowed.runs[0], first.id) == [("frequency_cap", "allow", "below_cap")]
    assert said(refused.runs[0], second.id) == [("frequency_cap", "stop", "frequency_cap")]
    (plan,) = refused.runs[0].channels
    assert (plan.status, plan.reason, plan.due_at) == (THROTTLED, Reason.FREQUENCY_CAP, None)
    assert plan.verdicts[-1].inputs == {"scope": "tenant/*", "limit": 1, "window_s": 3600, "count": 1}


async def what_is_decided_already_is_not_counted(world: World) -> None:
    """A duplicate and a message that was stopped by a rule leave room for one that goes."""
    first, twin, third = (world.planned() for _ in range(3))
    stopped = world.planned(status=Status.SUPPRESSED, reason=Reason.OPTED_OUT)
    messages = (first, twin, stopped, third)
    result = await world.plan(
        *messages,
        dedupes=(world.dedupe(first), world.dedupe(twin)),
        charges=tuple(world.charge(m, 2) for m in messages),
    )
    assert result.changed == {twin.id: (MERGED, Reason.DUPLICATE)}


async def a_message_that_waited_is_counted_when_it_wakes(world: World) -> None:
    """Once, however often it is asked for; those over the cap are named."""
    messages = [later(world.planned(), 10) for _ in range(3)]
    await world.plan(*messages)
    charge = world.ledger.plans.charge
    first = await charge([world.charge(messages[0], 2), world.charge(messages[1], 2)])
    assert first == frozenset()
    again, refused = await together(
        charge([world.charge(messages[0], 2)]), charge([world.charge(messages[2], 2)])
    )
    assert not again
    assert refused == {messages[2].id}
    assert [(await world.stored(m)).charged for m in messages] == [True, True, False]


async def what_is_on_its_way_counts_in_every_window(world: World) -> None:
    """Nobody knows yet when it will have been sent, so it leaves no room however long that takes."""
    first, second = world.planned(charged=True), world.planned(charged=True)
    await world.plan(first, charges=(world.charge(first, 1, window_s=60),))
    world.clock.advance(3600)
    refused = await world.plan(second, charges=(world.charge(second, 1, window_s=60),))
    assert refused.changed == {second.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def what_was_never_sent_leaves_room(world: World) -> None:
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
        message = world.planned(charged=True)
        assert (await world.plan(message, charges=(world.charge(message, 1),))).changed == {}, status
        due = world.now + 60_000 if status is Status.DEFERRED else None
        await world.settle(message, status, reason=why, due_at=due)
        assert not (await world.stored(message)).charged
    canceled, newer = world.planned(charged=True), world.planned(charged=True)
    await world.plan(canceled, charges=(world.charge(canceled, 1),), collapses=(world.collapse(canceled),))
    await world.ledger.records.cancel(world.tenant, canceled.id, world.now, frozenset())
    result = await world.plan(newer, charges=(world.charge(newer, 1),), collapses=(world.collapse(newer),))
    assert result.changed == {}
    unknown = {"reason": Reason.OUTCOME_UNKNOWN, "outcome": "unknown"}
    await world.settle(newer, Status.FAILED, **unknown)
    last = world.planned(charged=True)
    refused = await world.plan(last, charges=(world.charge(last, 1),))
    assert refused.changed == {last.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def what_was_replaced_or_waits_for_its_turn_in_the_same_plan_leaves_room(world: World) -> None:
    """Only what goes now is counted."""
    first, second, third, fourth = (world.planned(charged=True) for _ in range(4))
    result = await world.plan(
        first, second, third, fourth,
        charges=tuple(world.charge(m, 2) for m in (first, second, third, fourth)),
        collapses=(world.collapse(first), world.collapse(second)),
        turns=(world.turn(second), world.turn(third)),
    )  # fmt: skip
    assert result.changed == {
        first.id: (MERGED, Reason.SUPERSEDED), third.id: (Status.DEFERRED, Reason.WAITING_FOR_TURN)
    }  # fmt: skip
    assert [(await world.stored(m)).charged for m in (first, second, third, fourth)] == [
        False, True, False, True
    ]  # fmt: skip


async def what_is_replaced_leaves_room_for_the_next_at_once(world: World) -> None:
    """Also in the transaction that replaces it."""
    first, second, third = (world.planned(charged=True) for _ in range(3))
    await world.plan(first, charges=(world.charge(first, 2),), collapses=(world.collapse(first),))
    result = await world.plan(
        second,
        third,
        charges=(world.charge(second, 2), world.charge(third, 2)),
        collapses=(world.collapse(second),),
    )
    assert result.changed == {}
    assert await world.state(first) == (MERGED, Reason.SUPERSEDED)
    fourth = world.planned(charged=True)
    refused = await world.plan(fourth, charges=(world.charge(fourth, 2),))
    assert refused.changed == {fourth.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_message_that_waited_is_counted_anew(world: World) -> None:
    """It may be over the cap by then; one that was sent before counts once, when it is sent again."""
    first, second = world.planned(charged=True), world.planned(charged=True)
    await world.plan(first, charges=(world.charge(first, 1),))
    await world.settle(first, Status.DEFERRED, reason=Reason.RETRY, due_at=world.now)
    await world.plan(second, charges=(world.charge(second, 1),))
    await world.settle(second)
    charge = world.ledger.plans.charge
    assert await charge([world.charge(first, 1)]) == {first.id}
    world.clock.advance(3_600)
    assert await charge([world.charge(first, 1)]) == frozenset()
    (again,) = await world.claim()
    maybe = {"reason": Reason.RETRY, "outcome": "unknown", "due_at": world.now}
    await world.settle(again, Status.DEFERRED, **maybe)
    assert await charge([world.charge(first, 1)]) == frozenset()
    third = world.planned(charged=True)
    refused = await world.plan(third, charges=(world.charge(third, 1),))
    assert refused.changed == {third.id: (THROTTLED, Reason.FREQUENCY_CAP)}


async def a_message_that_ended_meanwhile_is_not_counted(world: World) -> None:
    """Between its claim and its count it was canceled."""
    first, second = later(world.planned(), 0), world.planned(charged=True)
    await world.plan(first)
    await world.claim()
    await world.ledger.records.cancel(world.tenant, first.id, world.now, frozenset())
    assert await world.ledger.plans.charge([world.charge(first, 1)]) == frozenset()
    assert (await world.plan(second, charges=(world.charge(second, 1),))).changed == {}


# ── collapse ──────────────────────────────────────────────────────────────────────────────────────────────


async def a_newer_message_replaces_an_undelivered_one(world: World) -> None:
    """Whoever holds the older one is refused; the newest one stays."""
    first, second = world.planned(), world.planned()
    await world.plan(first, collapses=(world.collapse(first),))
    result = await world.plan(second, collapses=(world.collapse(second),))
    assert result.changed == {}
    assert await world.timeline(first) == [(Status.QUEUED, None), (MERGED, Reason.SUPERSEDED)]
    assert (await world.settle(first)).refused == {first.id}
    assert await world.state(second) == (Status.QUEUED, None)
    assert said(result.runs[0], second.id) == [("collapse", "allow", "newest")]


async def what_is_sent_or_being_sent_is_not_replaced(world: World) -> None:
    """Only what nobody has started can be taken back."""
    sending, sent, newest = (world.planned() for _ in range(3))
    await world.plan(sending, collapses=(world.collapse(sending),))
    await world.mark(sending)
    await world.plan(sent, collapses=(world.collapse(sent),))
    await world.settle(sent)
    await world.plan(newest, collapses=(world.collapse(newest),))
    assert await world.state(sending) == (Status.SENDING, None)
    assert await world.state(sent) == (Status.SENT, None)
    assert await world.state(newest) == (Status.QUEUED, None)


async def of_messages_that_collapse_at_once_the_last_stays(world: World) -> None:
    """Born replaced: one change, never dispatched."""
    messages = [world.planned() for _ in range(4)]
    result = await world.plan(*messages, collapses=tuple(world.collapse(m) for m in messages))
    assert result.changed == {m.id: (MERGED, Reason.SUPERSEDED) for m in messages[:3]}
    assert await world.timeline(messages[0]) == [(MERGED, Reason.SUPERSEDED)]
    assert await world.state(messages[3]) == (Status.QUEUED, None)
    others = [world.planned() for _ in range(10)]
    await together(*(world.plan(m, collapses=(world.collapse(m),)) for m in others))
    states = [await world.state(m) for m in (messages[3], *others)]
    assert states.count((Status.QUEUED, None)) == 1


# ── thread order ──────────────────────────────────────────────────────────────────────────────────────────


async def a_thread_goes_one_by_one(world: World) -> None:
    """The next one waits, unleased and without a due time, until the one before it is out."""
    messages = [world.planned() for _ in range(3)]
    result = await world.plan(*messages, turns=tuple(world.turn(m) for m in messages))
    assert result.changed == {m.id: (DEFERRED, Reason.WAITING_FOR_TURN) for m in messages[1:]}
    assert list(await world.claim()) == []
    waiting = await world.stored(messages[1])
    assert (waiting.waits_for, waiting.due_at, waiting.fence) == (messages[0].id, None, 0)
    world.clock.advance(3)
    await world.settle(messages[0], Status.SENT)
    (second,) = await world.claim()
    assert (second.id, second.status, second.waits_for) == (messages[1].id, DEFERRED, None)
    await world.settle(second, Status.FAILED, reason=Reason.TEMPLATE_ERROR)
    (third,) = await world.claim()
    assert third.id == messages[2].id


async def a_retry_keeps_the_thread_waiting(world: World) -> None:
    """Deferred again is not out: order is kept across retries."""
    first, second = world.planned(), world.planned()
    await world.plan(first, turns=(world.turn(first),))
    await world.plan(second, turns=(world.turn(second),))
    await world.settle(first, DEFERRED, reason=Reason.RETRY, due_at=Instant(world.now + 1000))
    assert (await world.stored(second)).waits_for == first.id
    assert (await world.stored(first)).threaded
    world.clock.advance(1)
    assert [m.id for m in await world.claim()] == [first.id]


async def an_idle_thread_makes_nobody_wait(world: World) -> None:
    """Nor does another thread, nor a message that never goes."""
    first, second, stopped, third = (world.planned() for _ in range(4))
    stopped = replace(stopped, status=Status.SUPPRESSED, reason=Reason.OPTED_OUT, due_at=None, fence=0)
    await world.plan(first, turns=(world.turn(first),))
    await world.settle(first)
    result = await world.plan(second, turns=(world.turn(second),))
    assert result.changed == {}
    assert said(result.runs[0], second.id) == [("thread", "allow", "its_turn")]
    await world.settle(second)
    result = await world.plan(stopped, third, turns=(world.turn(stopped), world.turn(third)))
    assert result.changed == {}


async def whatever_ends_a_message_gives_the_next_its_turn(world: World) -> None:
    """Cancelled, replaced or deleted: nobody waits for what will never go."""
    first, second = world.planned(), world.planned()
    await world.plan(first, turns=(world.turn(first),), collapses=(world.collapse(first),))
    await world.plan(second, turns=(world.turn(second),))
    newer = world.planned()
    await world.plan(newer, collapses=(world.collapse(newer),))
    assert await world.state(first) == (MERGED, Reason.SUPERSEDED)
    assert (await world.stored(second)).due_at is not None
    third, fourth = world.planned(), world.planned()
    await world.plan(third, turns=(world.turn(third),))
    assert (await world.stored(third)).waits_for == second.id
    await world.plan(fourth, turns=(world.turn(fourth),))
    await world.ledger.records.cancel(world.tenant, second.id, world.now, frozenset())
    assert (await world.stored(third)).waits_for is None
    assert (await world.stored(fourth)).waits_for == third.id


async def what_ends_while_it_waits_leaves_its_place_to_the_next(world: World) -> None:
    """Canceled or replaced: what is behind it waits for what was in front of it, and goes no earlier."""
    first, second, third, fourth, fifth = (world.planned() for _ in range(5))
    for message in (first, second, third):
        await world.plan(message, turns=(world.turn(message),))
    cancel = world.ledger.records.cancel
    await cancel(world.tenant, second.id, world.now, frozenset())
    assert (await world.stored(third)).waits_for == first.id
    await cancel(world.tenant, third.id, world.now, frozenset())
    await world.plan(fourth, turns=(world.turn(fourth),), collapses=(world.collapse(fourth),))
    assert (await world.stored(fourth)).waits_for == first.id
    result = await world.plan(fifth, turns=(world.turn(fifth),), collapses=(world.collapse(fifth),))
    assert await world.state(fourth) == (MERGED, Reason.SUPERSEDED)
    assert said(result.runs[0], fifth.id)[-1] == ("thread", "defer", "waiting_for_turn")
    assert list(await world.claim()) == []
    await world.settle(first)
    assert [m.id for m in await world.claim()] == [fifth.id]


async def a_replaced_message_leaves_its_place_in_the_thread(world: World) -> None:
    """Collapse and thread on one key: the newest goes at once, nothing waits for the replaced one."""
    messages = [world.planned() for _ in range(3)]
    for message in messages[:2]:
        await world.plan(message, turns=(world.turn(message),), collapses=(world.collapse(message),))
    assert await world.state(messages[1]) == (Status.QUEUED, None)
    both = [world.planned() for _ in range(2)]
    await world.plan(*both, turns=tuple(map(world.turn, both)), collapses=tuple(map(world.collapse, both)))
    assert await world.state(messages[1]) == (MERGED, Reason.SUPERSEDED)
    assert await world.state(both[0]) == (MERGED, Reason.SUPERSEDED)
    last = await world.stored(both[1])
    assert (last.waits_for, last.due_at) in ((None, world.now), (None, None))


# ── what is settled with its plan ─────────────────────────────────────────────────────────────────────────


async def what_is_delivered_is_stored_with_its_plan(world: World) -> None:
    """Once, in its final state: as if it had been planned and settled, with the same timeline and inbox."""
    with_plan, after = world.planned(channel=Channel.IN_APP), world.planned(world.bob, channel=Channel.IN_APP)
    result = await world.plan(with_plan, settled=(world.in_inbox(with_plan),))
    await world.plan(after)
    told = await world.settle(after, Status.DELIVERED, record=world.item(after), outcome="accepted")
    ((change,), (usual,)) = result.inbox, told.inbox
    assert [item.message_id for item in change.items] == [with_plan.id]
    assert (change.items[0].offset, change.counts) == (usual.items[0].offset, usual.counts)
    assert await world.ledger.inboxes.head(world.ada.no) == await world.ledger.inboxes.head(world.bob.no)
    first, second = [await world.stored(message) for message in (with_plan, after)]
    alike: dict[str, Any] = {"id": first.id, "user": first.user, "event_id": first.event_id}
    assert replace(second, **alike) == first
    histories = [await world.ledger.records.changes(world.tenant, m.id) for m in (with_plan, after)]
    first_told, second_told = (
        [replace(one, seq=0, message_id=with_plan.id) for one in history] for history in histories
    )
    assert first_told == second_told
    assert await world.claim(channel=Channel.IN_APP) == []
    (run,) = await world.ledger.plans.runs_of(world.tenant, with_plan.event_id, None)
    assert run == world.run(with_plan)


async def what_is_captured_is_stored_with_its_plan(world: World) -> None:
    """Beside a message that goes its way, and one that could not be made."""
    kept, going, broken = world.planned(), world.planned(world.bob), world.planned()
    await world.plan(
        kept,
        going,
        broken,
        settled=(
            world.settlement(kept, outcome="accepted", record=world.captured(kept)),
            world.settlement(broken, Status.FAILED, reason=Reason.TEMPLATE_ERROR, attempt=0),
        ),
    )
    (captured,) = await world.ledger.captures.page(world.tenant, CaptureFilter(), None, 10)
    assert captured.message_id == kept.id
    assert await world.timeline(kept) == [(Status.QUEUED, None), (Status.SENT, None)]
    assert await world.timeline(broken) == [(Status.QUEUED, None), (Status.FAILED, Reason.TEMPLATE_ERROR)]
    assert await world.timeline(going) == [(Status.QUEUED, None)]
    assert (await world.settle(going)).refused == frozenset()
    assert (await world.settle(kept)).refused == {kept.id}


async def what_the_checks_end_is_not_delivered(world: World) -> None:
    """Caps, dedupe, collapse and thread order come first: what they stop has no record, whatever was made of it."""
    event_id = world.event()
    messages = [
        world.planned(event_id=event_id, channel=Channel.IN_APP, step=f"step-{n}", charged=True)
        for n in range(3)
    ]
    result = await world.plan(
        *messages,
        charges=tuple(world.charge(message, 1) for message in messages),
        settled=tuple(map(world.in_inbox, messages)),
    )
    assert set(result.changed) == {message.id for message in messages[1:]}
    assert [item.message_id for change in result.inbox for item in change.items] == [messages[0].id]
    assert await world.timeline(messages[1]) == [(THROTTLED, Reason.FREQUENCY_CAP)]
    _, counts = await world.ledger.inboxes.head(world.ada.no)
    assert counts.total == 1


async def what_was_delivered_with_its_plan_counts(world: World) -> None:
    """In the inbox or captured: as long as the window of a cap is, and no longer."""
    for user, channel in ((world.ada, Channel.IN_APP), (world.bob, Channel.EMAIL)):

        def settled(message: Message) -> Settlement:
            record = world.item(message) if message.channel is Channel.IN_APP else world.captured(message)
            return world.settlement(message, outcome="accepted", record=record)

        for wait_s, allowed in ((0, True), (3_599, False), (2, True)):
            world.clock.advance(wait_s)
            if wait_s:
                world.worker = await world.hire()
            message = world.planned(user, channel=channel, charged=True)
            result = await world.plan(
                message, charges=(world.charge(message, 1),), settled=(settled(message),)
            )
            assert (message.id in result.changed) is not allowed


async def a_plan_that_comes_twice_delivers_once(world: World) -> None:
    """As when its answer was lost: the second one stores nothing of it, and fans nothing out."""
    message = world.planned(channel=Channel.IN_APP)
    plan = world.plan_of(message, settled=(world.in_inbox(message),), again=True)
    await world.ledger.plans.commit(plan)
    again = await world.ledger.plans.commit(plan)
    assert again.known == {message.id}
    assert not again.inbox
    assert len(await world.timeline(message)) == 2
    _, counts = await world.ledger.inboxes.head(world.ada.no)
    assert counts.total == 1


async def who_waits_for_what_was_delivered_has_its_turn(world: World) -> None:
    """The next of a thread waits in the same transaction in which the first one ends, and is due at once."""
    first, second = world.planned(channel=Channel.IN_APP), world.planned(channel=Channel.IN_APP)
    result = await world.plan(
        first,
        second,
        turns=(world.turn(first), world.turn(second)),
        settled=(world.in_inbox(first), world.in_inbox(second)),
    )
    assert result.changed == {second.id: (DEFERRED, Reason.WAITING_FOR_TURN)}
    assert await world.state(first) == (Status.DELIVERED, None)
    (due,) = await world.claim(channel=Channel.IN_APP)
    assert due.id == second.id


async def a_worker_that_was_given_up_delivers_nothing(world: World) -> None:
    """Neither the plan is stored nor what was delivered with it."""
    message = world.planned(channel=Channel.IN_APP)
    plan = world.plan_of(message, settled=(world.in_inbox(message),))
    await world.replace_worker()
    result = await world.ledger.plans.commit(plan)
    assert (result.refused, result.inbox) == (True, ())
    assert await world.ledger.records.get(world.tenant, message.id) is None


PLANS_CONTRACT = (
    a_plan_is_stored_as_planned,
    a_repeated_plan_changes_nothing,
    plans_at_once_are_all_stored,
    runs_are_found_by_event_and_user,
    continuations_join_their_lane,
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
