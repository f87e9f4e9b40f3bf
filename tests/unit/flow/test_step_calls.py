"""Steps that have something done outside of the plan: it has happened once, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.model.run import RunStatus
from clarion.model.setup import Category, OnError, Step, StepType
from clarion.model.status import Reason
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import rows, send, sent, traces

VIP = Step(
    key="mark",
    type=StepType.UPDATE_USER,
    set_={"plan": "data.text", "count": "user.attributes.count + 1"},
    unset=("old",),
)
OTHERS = Step(
    key="tell",
    type=StepType.TRIGGER,
    workflow="v",
    recipients="[user.id, 'bob', 'bob']",
    data="{'text': 'from ' + data.text}",
)


async def people(clarion: Engine) -> None:
    """Two, one of whom has attributes."""
    await clarion.put_user("ada")
    had = {"count": 1, "old": True, "kept": "x"}
    await clarion.services.users.change(
        clarion.tenant, "ada", lambda profile: msgspec.structs.replace(profile, attributes=had)
    )
    await clarion.put_user("bob")


async def attributes(clarion: Engine) -> dict[str, Any]:
    """Of ada."""
    return (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"].profile.attributes


async def test_attributes_of_the_user_change(store):
    """Steps behind see them."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (VIP, send("hello", when="user.attributes.plan == 'hello' && steps.mark.ok"))
        await clarion.create_setup(workflow("w", steps=steps))
        await people(clarion)
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await attributes(clarion) == {"count": 2, "kept": "x", "plan": "hello"}
        assert await sent(clarion) == ["hello"]
        assert await traces(clarion, accepted.event_id) == [
            *(("mark", "calls"), ("mark", "done"), ("hello", "sent")),
        ]
        assert [row.status for row in await rows(clarion)] == [RunStatus.FINISHED]


async def test_another_workflow_starts(store):
    """For these recipients, each once, with data of its own; the explanation names its event."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(
            workflow("w", steps=(OTHERS, send("hello"))), workflow("v", steps=(send("theirs"),))
        )
        await people(clarion)
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert sorted(await sent(clarion)) == ["hello", "theirs", "theirs"]
        (_, part) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
        told = part.steps[0].inputs
        assert (told["workflow"], told["recipients"]) == ("v", 2)
        assert {m.workflow for m in (await clarion.messages()).values()} == {"w", "v"}


@pytest.mark.parametrize("when", ["before the call", "behind the call", "behind the commit"])
async def test_a_crash_neither_loses_nor_doubles_what_a_step_has_done(store, monkeypatch, when):
    """The value is that of the moment when the step was reached, the event has a derived id."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(
            workflow("w", steps=(VIP, OTHERS, send("hello"))), workflow("v", steps=(send("theirs"),))
        )
        await people(clarion)
        calls = clarion.pipeline.runs.calls
        assert calls is not None
        perform, commit = calls.perform, clarion.ledger.plans.commit
        reached, hung = 0, asyncio.Event()

        async def hang() -> None:
            nonlocal reached
            reached += 1
            if reached == 2:  # at the trigger, or at the commit behind the first call
                hung.set()
                await asyncio.Event().wait()  # The process hangs, and is killed.

        async def performing(*asked: Any) -> Any:
            if when == "before the call":
                await hang()
            result = await perform(*asked)
            if when == "behind the call":
                await hang()
            return result

        async def committing(plan: Any) -> Any:
            result = await commit(plan)
            if when == "behind the commit" and plan.run_rows:
                await hang()
            return result

        monkeypatch.setattr(calls, "perform", performing)
        monkeypatch.setattr(clarion.ledger.plans, "commit", committing)
        await clarion.trigger("w", "ada")

        async def hangs() -> bool:
            return hung.is_set()

        assert await clarion.until(hangs)
        await clarion.crash()
        await clarion.open()
        for _ in range(3):
            await clarion.pass_time(60)
        assert await attributes(clarion) == {"count": 2, "kept": "x", "plan": "hello"}
        assert sorted(await sent(clarion)) == ["hello", "theirs", "theirs"]
        assert sorted(row.status for row in await rows(clarion)) == [RunStatus.FINISHED]


async def test_a_call_that_takes_long_holds_up_no_other_run(store, monkeypatch):
    """It is not made a second time meanwhile; when its run is canceled, what it answers comes to nothing."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(
            workflow("slow", steps=(VIP, send("late"))),
            workflow("w", steps=(Step(key="pause", type=StepType.WAIT, for_s=10), send("hello"))),
        )
        await people(clarion)
        calls = clarion.pipeline.runs.calls
        assert calls is not None
        perform, begun, answers = calls.perform, 0, asyncio.Event()

        async def slow(*asked: Any) -> Any:
            nonlocal begun
            begun += 1
            await answers.wait()
            return await perform(*asked)

        monkeypatch.setattr(calls, "perform", slow)
        await clarion.trigger("slow", "ada")
        await clarion.trigger("w", "bob")
        await clarion.pass_time(30)
        assert await sent(clarion) == ["hello"]
        assert begun == 1
        (calling,) = await rows(clarion, workflow="slow")
        assert await clarion.services.runs.cancel(calling) is not None
        answers.set()
        await clarion.pass_time(30)
        assert await sent(clarion) == ["hello"]
        (canceled,) = await rows(clarion, workflow="slow")
        assert canceled.reason is Reason.CANCELED_BY_CALLER


async def test_what_cannot_be_done_now_is_done_later(store, monkeypatch):
    """The store, or the broker, is away for a while."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(VIP, send("hello"))))
        await people(clarion)
        calls = clarion.pipeline.runs.calls
        assert calls is not None
        perform, tries = calls.perform, 0

        async def away(*asked: Any) -> Any:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise Unavailable("the store went away")
            return await perform(*asked)

        monkeypatch.setattr(calls, "perform", away)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(30)
        assert await sent(clarion) == ["hello"]
        assert (await attributes(clarion))["count"] == 2


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (msgspec.structs.replace(VIP, set_={"a": "data.missing"}), Reason.EXPRESSION_ERROR),
        (
            msgspec.structs.replace(VIP, set_={"a": "'x'.matches('^') ? [1, 2] : []", "b": "9"}, unset=()),
            None,
        ),
        (msgspec.structs.replace(OTHERS, recipients="'nobody'"), Reason.STEP_FAILED),
        (msgspec.structs.replace(OTHERS, recipients="[]"), Reason.EXPRESSION_ERROR),
        (msgspec.structs.replace(OTHERS, recipients="[1]"), Reason.EXPRESSION_ERROR),
        (msgspec.structs.replace(OTHERS, data="'text'"), Reason.EXPRESSION_ERROR),
        (msgspec.structs.replace(OTHERS, workflow="gone"), Reason.STEP_FAILED),
    ],
)
@pytest.mark.parametrize("on_error", [None, OnError.SKIP])
async def test_a_step_that_fails_ends_the_run_or_is_skipped(store, step, reason, on_error):
    """As the step says; the reason is the run's, and the trace has it."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (msgspec.structs.replace(step, on_error=on_error), send("hello"))
        await clarion.create_setup(workflow("w", steps=steps), workflow("v", steps=(send("theirs"),)))
        await people(clarion)
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(10)
        stops = reason is not None and on_error is None
        assert ("hello" in await sent(clarion)) is not stops
        (row,) = await rows(clarion, workflow="w") or [None]
        if stops:
            assert (row.status, row.reason) == (RunStatus.FAILED, reason)
        if reason is not None:
            assert (step.key, "failed") in await traces(clarion, accepted.event_id)


async def test_an_alarm_goes_on_where_a_step_fails(store):
    """A fault must not silence it."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (msgspec.structs.replace(VIP, set_={"a": "data.missing"}), send("hello"))
        await clarion.create_setup(
            workflow("w", category="alarms", steps=steps), categories=(Category(key="alarms", critical=True),)
        )
        await people(clarion)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello"]


async def test_workflows_that_start_one_another_come_to_an_end(store):
    """The sixth is not started, and its run says why."""
    async with engine(store, clock=ManualClock()) as clarion:
        again = Step(key="again", type=StepType.TRIGGER, workflow="w")
        await clarion.create_setup(workflow("w", steps=(send("hello"), again)))
        await people(clarion)
        await clarion.trigger("w", "ada")
        for _ in range(10):
            await clarion.pass_time(10)
        assert await sent(clarion) == ["hello"] * 6
        ended = sorted((row.status, row.reason) for row in await rows(clarion))
        assert ended == [(RunStatus.FAILED, Reason.TRIGGER_DEPTH), *[(RunStatus.FINISHED, None)] * 5]
