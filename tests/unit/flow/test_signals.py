"""Runs that wait for an event: each that counts wakes them once, whichever came first."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.flow.plan.low_watermark import LowWatermark
from clarion.model.channel import Lane
from clarion.model.run import RunStatus
from clarion.model.setup import AwaitedEvent, Case, EventMatch, Since, Step, StepType
from clarion.model.status import Reason, Status
from clarion.model.submission import Submission
from clarion.model.user import Preferences, Window
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import DAY_S, rows, send, sent, traces, wait

SAME_ORDER = "event.data.order == data.order"


def paid(key: str = "paid", since: Since = Since.RUN, timeout_s: int = DAY_S, **more: Any) -> Step:
    """Waits for a payment."""
    event = AwaitedEvent(**{"type": "order.paid", "match": SAME_ORDER, **more})
    return Step(key=key, type=StepType.WAIT, event=event, since=since, timeout_s=timeout_s)


FORK = Step(
    key="fork",
    type=StepType.BRANCH,
    cases=(Case(when="steps.paid.matched", steps=(send("thanks"),)), Case(steps=(send("remind"),))),
)


def data(order: int) -> msgspec.Raw:
    """Of an event about an order."""
    return msgspec.Raw(b'{"text":"x","order":%d}' % order)


async def happens(clarion: Engine, type: str, subject: str, order: int = 1, **more: Any) -> None:
    """An event that starts nothing."""
    event = Submission(type=type, source="/shop", subject=subject, data=data(order), **more)
    (answer,) = await clarion.pipeline.submit(clarion.tenant, [event])
    assert not isinstance(answer, Exception)


async def set_up(clarion: Engine, *steps: Step, **more: Any) -> None:
    """A workflow of these steps, and two users."""
    await clarion.create_setup(workflow("w", steps=steps, **more))
    for name in ("ada", "bob"):
        await clarion.put_user(name)


async def test_the_event_a_run_waits_for_wakes_it_at_once(store):
    """Not that of another user, nor of another order; later ones change nothing."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(), FORK)
        accepted = await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(60)
        await happens(clarion, "order.paid", "bob")
        await happens(clarion, "order.paid", "ada", order=2)
        await happens(clarion, "order.created", "ada")
        await clarion.pass_time(60)
        assert await sent(clarion) == []
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(1)
        assert await sent(clarion) == ["thanks"]
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(2 * DAY_S)
        assert await sent(clarion) == ["thanks"]
        assert await traces(clarion, accepted.event_id) == [
            *(("paid", "waits"), ("paid", "matched"), ("paid", "over")),
            *(("fork", "case"), ("thanks", "sent")),
        ]


async def test_when_nothing_comes_in_time_the_run_goes_on(store):
    """As if nothing had come, also when it comes afterwards."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(), FORK)
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(DAY_S + 60)
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(60)
        assert await sent(clarion) == ["remind"]


async def test_an_event_that_is_planned_before_the_run_begins_to_wait_is_found(store, monkeypatch):
    """Accepted behind the run's own event, in a lane that is faster."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(), FORK)
        await happens(clarion, "order.paid", "ada", lane=Lane.CRITICAL)
        await clarion.pass_time(1)
        committed, told = clarion.ledger.plans.commit, asyncio.Event()

        async def commit(plan: Any) -> Any:
            if plan.run_rows:
                await told.wait()
            result = await committed(plan)
            if plan.signals:
                told.set()
            return result

        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        await clarion.trigger("w", "ada", data=data(1), lane=Lane.BULK)
        await happens(clarion, "order.paid", "ada", lane=Lane.CRITICAL)
        await clarion.pass_time(5)
        assert await sent(clarion) == ["thanks"]
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(60)
        assert await sent(clarion) == ["thanks"], "what came before the run's own event is not for it"


async def test_an_event_may_come_while_the_run_waits_for_something_else(store):
    """It is kept for the step, unless that counts from when it is reached."""
    async with engine(store, clock=ManualClock()) as clarion:
        later = paid("later", Since.STEP, timeout_s=3_600)
        await set_up(
            clarion, wait(seconds=600), paid(), FORK, later, send("end", when="!steps.later.matched")
        )
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(60)
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(60)
        assert await sent(clarion) == []
        await clarion.pass_time(600)
        assert await sent(clarion) == ["thanks"]
        await clarion.pass_time(3_700)
        assert await sent(clarion) == ["thanks", "end"]


async def test_what_events_have_in_common_may_be_told_by_an_expression(store):
    """Then they are anybody's; an event without the value is for nobody, and a run without it fails."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(match=None, by="data.order"), FORK)
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.trigger("w", "bob", data=data(2))
        await clarion.pass_time(60)
        await happens(clarion, "order.paid", "nobody", order=2)
        await clarion.pass_time(1)
        assert await sent(clarion) == ["thanks"]
        (row,) = await rows(clarion, status=RunStatus.FINISHED)
        bob = (await clarion.ledger.users.find(clarion.tenant, ["bob"]))["bob"]
        assert row.user == bob.no
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(1)
        assert await traces(clarion, accepted.event_id) == [("paid", "failed")]
        await clarion.pass_time(DAY_S)
        assert sorted(await sent(clarion)) == ["remind", "thanks"]


@pytest.mark.parametrize("ends", ["success_event", "stop_on"])
async def test_an_event_may_end_a_run_wherever_it_waits(store, ends):
    """As finished, or as canceled, with the reason."""
    async with engine(store, clock=ManualClock()) as clarion:
        event = AwaitedEvent(type="order.*", match=SAME_ORDER)
        more = {ends: event if ends == "success_event" else (AwaitedEvent(type="never"), event)}
        await set_up(clarion, wait(seconds=600), send("again"), **more)
        await clarion.trigger("w", "ada", "bob", data=data(1))
        await clarion.pass_time(60)
        await happens(clarion, "order.canceled", "ada")
        await clarion.pass_time(1)
        (over,) = [row for row in await rows(clarion) if row.due_at is None]
        assert (over.status, over.reason) == (
            (RunStatus.FINISHED, Reason.SUCCESS_EVENT)
            if ends == "success_event"
            else (RunStatus.CANCELED, Reason.STOP_EVENT)
        )
        await clarion.pass_time(DAY_S)
        assert await sent(clarion) == ["again"]


@pytest.mark.parametrize("ends", ["success_event", "stop_on"])
async def test_what_an_ended_run_planned_and_has_not_sent_is_canceled(store, ends):
    """With the reason of the run, and with it: what is sent stays, and what others planned goes on."""
    async with engine(store, clock=ManualClock()) as clarion:
        event = AwaitedEvent(type="order.*", match=SAME_ORDER)
        more = {ends: event if ends == "success_event" else (event,)}
        await set_up(clarion, send("first"), wait(seconds=60), send("later"), wait("rest"), **more)
        night = Preferences(quiet_hours=(Window(start="12:30", end="23:30"),))
        await clarion.trigger("w", "ada", "bob", data=data(1))
        await clarion.until_idle()
        for name in ("ada", "bob"):
            await clarion.put_user(name, night)
        clarion.clock.advance(3_600)
        await clarion.pass_time(120)
        waiting = await clarion.messages(statuses=frozenset({Status.DEFERRED}))
        assert {(one.step, one.reason) for one in waiting.values()} == {("later", Reason.QUIET_HOURS)}
        await happens(clarion, "order.canceled", "ada")
        await clarion.pass_time(1)
        why = Reason.SUCCESS_EVENT if ends == "success_event" else Reason.STOP_EVENT
        (ada,) = [row.user for row in await rows(clarion) if row.due_at is None]
        found = (await clarion.messages()).values()
        assert {(one.step, one.status, one.reason) for one in found if one.user == ada} == {
            ("first", Status.SENT, None),
            ("later", Status.CANCELED, why),
        }
        assert {(one.step, one.status) for one in found if one.user != ada} == {
            ("first", Status.SENT),
            ("later", Status.DEFERRED),
        }


async def test_runs_of_an_earlier_version_still_hear_what_they_listen_for(store):
    """Although the live one listens for nothing."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(), FORK)
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(60)
        for steps in ((send("other"),), (wait(), send("other"))):
            live = clarion.ledger.setup.workflows.all(clarion.tenant)["w"]
            await clarion.services.setup.put(clarion.tenant, workflow("w", steps=steps), live)
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(1)
        assert await sent(clarion) == ["thanks"]
        live = clarion.ledger.setup.workflows.all(clarion.tenant)["w"]
        await clarion.services.setup.put(clarion.tenant, workflow("w", steps=(send("more"),)), live)
        live = clarion.ledger.setup.workflows.all(clarion.tenant)["w"]
        assert live.earlier_events == ()


async def test_events_that_nobody_listens_for_leave_nothing(store, monkeypatch):
    """They are told by their type, and those that start no workflow are not even opened."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, send("hello"))
        committed, signals, opened = clarion.ledger.plans.commit, [], []

        async def commit(plan: Any) -> Any:
            signals.extend(plan.signals)
            return await committed(plan)

        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        monkeypatch.setattr("clarion.flow.plan.planner.opened", lambda *args: opened.append(args))
        await happens(clarion, "order.paid", "ada")
        await clarion.pass_time(1)
        assert (signals, opened) == ([], [])


async def test_an_event_that_was_accepted_in_time_counts_although_it_is_planned_late(store, monkeypatch):
    """The run waits for it, at most half a minute; then it goes on as if nothing had come."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(timeout_s=60), FORK)
        for user in ("ada", "bob"):
            await clarion.trigger("w", user, data=data(1))
        await clarion.pass_time(50)
        draft, held = clarion.pipeline.planner._draft, asyncio.Event()

        async def late(lane, entries):
            if lane is Lane.BULK:
                await held.wait()
            return await draft(lane, entries)

        monkeypatch.setattr(clarion.pipeline.planner, "_draft", late)
        await happens(clarion, "order.paid", "ada", lane=Lane.BULK)
        await clarion.pass_time(20)
        assert await sent(clarion) == []
        held.set()
        await clarion.pass_time(2)
        assert sorted(await sent(clarion)) == ["remind", "thanks"]
        held.clear()
        await clarion.trigger("w", "bob", data=data(2))
        await clarion.pass_time(50)
        await happens(clarion, "order.paid", "bob", order=3, lane=Lane.BULK)
        await clarion.pass_time(20)
        assert len(await sent(clarion)) == 2
        await clarion.pass_time(25)
        assert len(await sent(clarion)) == 3
        held.set()


async def test_an_event_under_way_to_the_broker_is_waited_for(store):
    """It is accepted before it lies there."""
    async with engine(store, clock=ManualClock()) as clarion:
        watermark = LowWatermark(clarion.broker, clarion.clock)
        assert await watermark.reached() == clarion.clock.now() - 500
        assert await watermark.reached() < clarion.clock.now()


async def test_what_becomes_of_a_message_ends_a_wait(store):
    """That of one step of the same run; it starts no workflow, so that nothing goes round for ever."""
    async with engine(store, clock=ManualClock()) as clarion:
        match = "event.data.run_id == run.id && event.data.step == 'hello'"
        step = paid(type="clarion.message.sent", match=match)
        on = EventMatch(type="clarion.message.*", recipients="/user_id")
        await clarion.create_setup(workflow("loop", on=on))
        await set_up(clarion, send("other"), wait(seconds=10), send("hello"), step, FORK)
        await clarion.pass_time(3)
        await clarion.trigger("w", "ada", data=data(1))
        await clarion.pass_time(5)
        assert await sent(clarion) == ["other"]
        await clarion.pass_time(10)
        await clarion.pass_time(3)
        assert await sent(clarion) == ["other", "hello", "thanks"]


async def test_a_change_of_the_user_ends_a_run(store):
    """Of that user only; where no workflow listens for it, nothing is told."""
    async with engine(store, clock=ManualClock()) as clarion:
        ends = (AwaitedEvent(type="clarion.user.updated"),)
        await set_up(clarion, wait(seconds=600), send("late"), stop_on=ends)
        await clarion.pass_time(3)
        for user in ("ada", "bob"):
            await clarion.trigger("w", user, data=data(1))
        await clarion.pass_time(2)
        await clarion.put_user("ada", zone="Asia/Tokyo")
        await clarion.pass_time(3)
        (canceled,) = await rows(clarion, status=RunStatus.CANCELED)
        assert canceled.reason is Reason.STOP_EVENT
        assert len(await rows(clarion, status=RunStatus.WAITING)) == 1


async def test_where_no_workflow_listens_nobody_is_told(store):
    """What becomes of messages costs nothing then."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, paid(), FORK)
        assert clarion.services.sinks.loops._documents.all(clarion.tenant) == {}
        await clarion.ledger.setup.workflows.put(
            clarion.tenant, workflow("w", steps=(paid(type="clarion.message.read"), FORK))
        )
        (sink,) = clarion.services.sinks.loops._documents.all(clarion.tenant).values()
        assert sink.types == ("clarion.message.read",)
