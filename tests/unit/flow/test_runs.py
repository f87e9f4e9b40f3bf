"""Workflows with steps: runs that wait, choose, and go on, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.errors import Unavailable
from clarion.model.channel import Channel
from clarion.model.run import RunFilter, RunStatus
from clarion.model.setup import Case, Category, Dedupe, SendAll, Step, StepType, Workflow
from clarion.model.status import Reason, Status
from clarion.testing.ports import ManualClock
from tests.engine import ALL_CHANNELS, Engine, engine, sms_text, workflow

DAY_S = 86_400


def send(key: str, channel: Channel = Channel.SMS, **more: Any) -> Step:
    """Sends the note."""
    return Step(key=key, template="note", to=SendAll(channels=(channel,)), **more)


def wait(key: str = "pause", seconds: int = DAY_S) -> Step:
    """Waits."""
    return Step(key=key, type=StepType.WAIT, for_s=seconds)


def reminder(**more: Any) -> Workflow:
    """Sends, waits a day, and sends an email to whoever has not got the text."""
    steps = (send("hello"), wait(), send("again", Channel.EMAIL, when="steps.hello.status != 'delivered'"))
    return workflow("w", steps=steps, **more)


async def rows(clarion: Engine, **where: Any) -> list[Any]:
    """The runs that wait or have waited."""
    if (status := where.pop("status", None)) is not None:
        where["statuses"] = frozenset({status})
    found, _ = await clarion.ledger.runs.page(clarion.tenant, RunFilter(**where), None, 50)
    return list(found)


async def sent(clarion: Engine) -> list[str]:
    """The steps whose messages were sent, in order."""
    found = sorted((await clarion.messages()).values(), key=lambda one: one.created_at)
    return [one.step for one in found if one.status is Status.SENT]


async def traces(clarion: Engine, event_id: Any) -> list[tuple[str, str]]:
    """What each step of the only run of an event did."""
    parts = await clarion.ledger.plans.runs_of(clarion.tenant, event_id, None)
    return [(one.step, one.result) for part in parts for one in part.steps]


async def test_a_run_waits_and_goes_on(store):
    """Nothing is sent before its time; the event is not done while it waits, and the explanation names every step."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder())
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(DAY_S - 60)
        assert await sent(clarion) == ["hello"]
        (row,) = await rows(clarion)
        assert (row.status, row.step, row.part, row.version) == (RunStatus.WAITING, "pause", 1, 1)
        found = await clarion.ledger.events.found(clarion.tenant, accepted.event_id, None, 5, 5)
        assert found is not None
        assert found.waits
        await clarion.pass_time(120)
        assert await sent(clarion) == ["hello", "again"]
        (row,) = await rows(clarion)
        assert (row.status, row.step, row.due_at, row.sealed) == (RunStatus.FINISHED, "again", None, None)
        assert await traces(clarion, accepted.event_id) == [
            *(("hello", "sent"), ("pause", "waits")),
            *(("pause", "over"), ("again", "sent")),
        ]


async def test_a_workflow_that_only_sends_has_no_row(store):
    """Nor one that chooses between sends."""
    async with engine(store, clock=ManualClock()) as clarion:
        branch = Step(
            key="fork",
            type=StepType.BRANCH,
            cases=(Case(when="data.text == 'hello'", steps=(send("a"),)), Case(steps=(send("b"),))),
        )
        await clarion.create_setup(workflow("plain"), workflow("w", steps=(branch, send("end"))))
        await clarion.put_user("ada")
        await clarion.trigger("plain", "ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert sorted(await sent(clarion)) == ["a", "end", "note"]
        assert await rows(clarion) == []
        assert await traces(clarion, accepted.event_id) == [("fork", "case"), ("a", "sent"), ("end", "sent")]


async def test_a_run_keeps_its_version_and_its_templates(store):
    """Whatever is published while it waits."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (send("hello"), wait(), send("again"))
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        changed = {Channel.SMS: {"en": {"text": "another"}}}
        await clarion.ledger.setup.templates.put(
            clarion.tenant, msgspec.structs.replace(ALL_CHANNELS, channels=changed)
        )
        await clarion.ledger.setup.workflows.put(
            clarion.tenant, workflow("w", steps=(send("hello"), wait(), send("other")))
        )
        await clarion.pass_time(DAY_S)
        assert await sent(clarion) == ["hello", "again"]
        assert {sms_text(one) for one in clarion.provider.effects} == {"hello"}
        assert {m.workflow_version for m in (await clarion.messages()).values()} == {1}


async def test_a_condition_reads_what_became_of_earlier_steps(store):
    """As it is when it is asked."""
    async with engine(store, clock=ManualClock()) as clarion:
        when = "steps.hello.status == 'canceled' && steps.hello.reason == 'canceled_by_caller'"
        steps = (send("hello"), wait(), send("again", Channel.EMAIL, when=when))
        await clarion.create_setup(workflow("w", steps=steps))
        for user in ("ada", "bob"):
            await clarion.put_user(user)
        later = clarion.clock.now() + 3_600_000
        await clarion.trigger("w", "ada", send_at=later)
        await clarion.trigger("w", "bob", send_at=later)
        await clarion.pass_time(1)
        first, _ = (await clarion.messages()).values()
        await clarion.services.cancellations.message(first)
        await clarion.pass_time(2 * DAY_S)
        assert sorted(await sent(clarion)) == ["again", "hello"]


@pytest.mark.parametrize("commits", range(1, 4))
async def test_a_crash_behind_any_commit_repeats_and_loses_nothing(store, monkeypatch, commits):
    """Derived ids and the claim make what is planned again the same."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (send("a"), wait("first", 60), send("b"), wait("second", 60), send("c"))
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        committed, done, stored = clarion.ledger.plans.commit, 0, asyncio.Event()

        async def commit(plan):
            nonlocal done
            result = await committed(plan)
            done += bool(plan.runs)
            if done == commits:
                stored.set()
                await asyncio.Event().wait()  # The process hangs, and is killed.
            return result

        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        await clarion.trigger("w", "ada")

        async def hangs() -> bool:
            return stored.is_set()

        assert await clarion.until(hangs)
        await clarion.crash()
        await clarion.open()
        await clarion.pass_time(60)
        await clarion.pass_time(60)
        await clarion.pass_time(60)
        assert await sent(clarion) == ["a", "b", "c"]
        assert [row.status for row in await rows(clarion)] == [RunStatus.FINISHED]


async def test_a_lost_answer_repeats_nothing(store, monkeypatch):
    """A claim, or a commit, that was carried out although the store seemed to be away."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder())
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        lost: list[str] = []

        def losing(name: str, call: Any) -> Any:
            async def ask(*args: Any) -> Any:
                found = await call(*args)
                if found and name not in lost:
                    lost.append(name)
                    raise Unavailable("the store went away")
                return found

            return ask

        monkeypatch.setattr(clarion.ledger.runs, "claim", losing("claim", clarion.ledger.runs.claim))
        monkeypatch.setattr(clarion.ledger.plans, "commit", losing("commit", clarion.ledger.plans.commit))
        await clarion.pass_time(DAY_S)
        await clarion.pass_time(30)
        assert lost == ["claim", "commit"]
        assert await sent(clarion) == ["hello", "again"]


async def test_a_canceled_run_goes_on_no_more(store):
    """Named by what it has in common with others; its event canceled, it ends too."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder(cancellation_key="/order"))
        await clarion.put_user("ada")
        *_, accepted = [
            await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"text":"x","order":"%s"}' % order))
            for order in (b"one", b"two", b"three")
        ]
        await clarion.pass_time(5)
        stopped = await clarion.services.runs.cancel_keyed(clarion.tenant, "w", "two")
        assert stopped.runs == 1
        await clarion.services.cancellations.event(clarion.tenant, accepted.event_id)
        await clarion.pass_time(2 * DAY_S)
        assert (await sent(clarion)).count("again") == 1
        assert sorted(row.status for row in await rows(clarion)) == ["canceled", "canceled", "finished"]


async def test_what_a_run_needs_may_be_gone_when_it_wakes(store):
    """The user or the workflow: it ends with the reason."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder(), workflow("v", steps=reminder().steps))
        await clarion.put_user("ada")
        await clarion.put_user("bob")
        await clarion.trigger("w", "ada")
        await clarion.trigger("v", "bob")
        await clarion.pass_time(5)
        await clarion.ledger.users.delete(clarion.tenant, "ada")
        await clarion.ledger.setup.workflows.delete(clarion.tenant, "v")
        (deleted,) = await rows(clarion, workflow="w")
        assert (deleted.status, deleted.reason, deleted.sealed) == ("canceled", Reason.USER_DELETED, None)
        await clarion.pass_time(DAY_S)
        (gone,) = await rows(clarion, workflow="v")
        assert (gone.status, gone.reason) == (RunStatus.CANCELED, Reason.WORKFLOW_DELETED)
        assert (await sent(clarion)).count("again") == 0


async def test_a_run_that_cannot_be_planned_stops_no_other(store, monkeypatch):
    """It has failed, and says so."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder())
        for user in ("ada", "bob", "cyd"):
            await clarion.put_user(user)
        await clarion.trigger("w", "ada", "bob", "cyd")
        await clarion.pass_time(5)
        bob = (await clarion.ledger.users.find(clarion.tenant, ["bob"]))["bob"]
        committed, plan_one = clarion.ledger.plans.commit, clarion.pipeline.planner.plan_one

        def plan(draft, event, setup, user, now, waited=None):
            if user.no == bob.no:
                raise RuntimeError("broken")
            plan_one(draft, event, setup, user, now, waited)

        async def commit(plan):
            if len(plan.run_rows) > 1:
                raise ValueError("cannot be stored together")
            return await committed(plan)

        monkeypatch.setattr(clarion.pipeline.planner, "plan_one", plan)
        monkeypatch.setattr(clarion.ledger.plans, "commit", commit)
        await clarion.pass_time(DAY_S)
        assert (await sent(clarion)).count("again") == 2
        (failed,) = await rows(clarion, status=RunStatus.FAILED)
        assert (failed.user, failed.reason) == (bob.no, Reason.INTERNAL_ERROR)


async def test_a_duplicate_does_not_wait(store):
    """Also of a workflow that waits before it sends anything; the explanation says why."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (wait(seconds=60), send("late"))
        await clarion.create_setup(workflow("w", steps=steps, dedupe=Dedupe(key="/text", window_s=30)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert len(await rows(clarion)) == 1
        assert (await traces(clarion, accepted.event_id))[-1] == ("pause", "ended")
        await clarion.pass_time(60)
        assert await sent(clarion) == ["late"]


async def test_a_run_that_would_wait_beyond_its_expiry_is_over_at_once(store):
    """Nothing behind the wait could be sent any more."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder(expires_after_s=3_600))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert await rows(clarion) == []
        assert (await traces(clarion, accepted.event_id))[-1] == ("pause", "expired")


async def test_a_condition_that_fails_sends_only_what_is_critical(store):
    """A fault must not silence an alarm; the explanation has the error, without the data."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (send("maybe", when="data.missing > 1"), send("sure", Channel.EMAIL))
        alarm = Category(key="alarm", critical=True)
        await clarion.create_setup(
            workflow("w", steps=steps), workflow("a", "alarm", steps=steps), categories=(alarm,)
        )
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.trigger("a", "ada")
        await clarion.pass_time(5)
        assert sorted(await sent(clarion)) == ["maybe", "sure", "sure"]
        (run,) = await clarion.ledger.plans.runs_of(clarion.tenant, accepted.event_id, None)
        assert run.steps[0].result == "error"
        assert "there is no field `missing`" in run.steps[0].inputs["error"]


async def test_jitter_spreads_what_would_wake_at_once(store):
    """Each run wakes at its own time, the same one however often it is computed."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(reminder(jitter_s=3_600))
        users = [f"u{n}" for n in range(20)]
        for user in users:
            await clarion.put_user(user)
        await clarion.trigger("w", *users)
        await clarion.pass_time(5)
        due = {row.due_at - row.started_at - DAY_S * 1_000 for row in await rows(clarion)}
        assert len(due) > 15
        assert min(due) >= 0
        assert max(due) < 3_600_000
        await clarion.pass_time(DAY_S + 3_600)
        assert (await sent(clarion)).count("again") == 20
