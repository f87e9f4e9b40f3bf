"""What people do to runs: retry and advance them, and move them to another version, one or many."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.operation import Operation, OperationKind, OperationStatus, RunSelection
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.setup import AwaitedEvent, Step, StepType, Workflow
from clarion.model.status import Reason
from clarion.model.user import UserPut
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import DAY_S, rows, send, sent, traces, wait

MINUTE_S = 60
THROTTLE = Step(key="most", type=StepType.THROTTLE, limit=1, per_s=DAY_S)


async def publish(clarion: Engine, changed: Workflow) -> int:
    """The number of the new version."""
    return (await clarion.services.setup.put(clarion.tenant, changed, None)).version


async def operate(clarion: Engine, kind: OperationKind, to: int | None = None, **where: Any) -> Operation:
    """Work on runs, once it is done."""
    selection = RunSelection(where=RunFilter(**where), to_version=to)
    asked = await clarion.services.operations.start_runs(clarion.tenant, kind, selection)
    for _ in range(20):
        await clarion.pass_time(1)
        now = await clarion.ledger.operations.get(clarion.tenant, asked.id)
        if now is not None and now.finished_at is not None:
            return now
    raise AssertionError(asked)


async def one(clarion: Engine, **where: Any) -> RunRow:
    """The only run that matches."""
    (row,) = await rows(clarion, **where)
    return row


async def test_a_run_that_failed_goes_on_from_where_it_did(store, monkeypatch):
    """Its step is done anew; what it did before, and what a throttle let through, is not done or counted again."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (send("hello"), wait(seconds=MINUTE_S), THROTTLE, send("again", Channel.EMAIL), send("last"))
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        plan_one, broken = clarion.pipeline.planner.plan_one, [True]

        def plan(draft, event, setup, user, now, waited=None):
            if broken and waited is not None and waited.row.passes:
                raise RuntimeError("broken")
            plan_one(draft, event, setup, user, now, waited)

        monkeypatch.setattr(clarion.pipeline.planner, "plan_one", plan)
        await clarion.pass_time(MINUTE_S)
        failed = await one(clarion)
        assert (failed.status, failed.reason, failed.step) == ("failed", Reason.INTERNAL_ERROR, "most")
        broken.clear()
        again = await clarion.services.runs.retry(clarion.tenant, failed.id)
        assert (again.status, again.reason) == (RunStatus.WAITING, None)
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello", "again", "last"]
        assert (await one(clarion)).status is RunStatus.FINISHED
        told = await traces(clarion, accepted.event_id)
        assert told[-3:] == [("most", "allowed"), ("again", "sent"), ("last", "sent")]
        with pytest.raises(Conflict, match="only one that failed"):
            await clarion.services.runs.retry(clarion.tenant, failed.id)


async def test_a_step_that_failed_is_done_anew(store):
    """Also in a run that had not waited before, which is canceled by its key from then on."""
    async with engine(store, clock=ManualClock()) as clarion:
        by = Step(key="most", type=StepType.THROTTLE, limit=1, per_s=60, by="user.attributes.team")
        steps = (send("hello"), by, send("again", Channel.EMAIL), wait(), send("late"))
        await clarion.create_setup(workflow("w", steps=steps, cancellation_key="/text"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        failed = await one(clarion)
        assert (failed.status, failed.reason, failed.step) == ("failed", Reason.KEY_MISSING, "most")
        await clarion.services.runs.retry(clarion.tenant, failed.id)
        await clarion.pass_time(5)
        assert (await one(clarion)).status is RunStatus.FAILED
        user = (await clarion.ledger.users.find(clarion.tenant, ["ada"]))["ada"]
        profile = replace(user.profile, attributes={"team": "blue"})
        await clarion.ledger.users.put(clarion.tenant, [UserPut(id="ada", profile=profile)])
        done = await operate(clarion, OperationKind.RETRY_RUNS, workflow="w")
        assert (done.status, done.total, done.done) == (OperationStatus.SUCCEEDED, 1, 1)
        await clarion.pass_time(5)
        assert await sent(clarion) == ["hello", "again"]
        assert (await clarion.services.runs.cancel_keyed(clarion.tenant, "w", "hello")).runs == 1


async def test_a_wait_is_skipped(store):
    """A time has passed then, and an event has not come. A run that is over is not advanced."""
    async with engine(store, clock=ManualClock()) as clarion:
        comes = Step(key="paid", type=StepType.WAIT, event=AwaitedEvent(type="order.paid"), timeout_s=DAY_S)
        clock = Step(key="morning", type=StepType.WAIT, until="09:00")
        steps = (wait("first"), comes, clock, send("again", when="!steps.paid.matched"))
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        for step in ("paid", "morning", "again"):
            await clarion.services.runs.advance(clarion.tenant, (await one(clarion)).id)
            await clarion.pass_time(1)
            assert (await one(clarion)).step == step
        assert await sent(clarion) == ["again"]
        with pytest.raises(Conflict, match="only one that waits"):
            await clarion.services.runs.advance(clarion.tenant, (await one(clarion)).id)


@pytest.mark.parametrize("window", [{"window_s": DAY_S}, {"at": "09:00"}])
async def test_a_digest_is_closed_before_its_time(store, window):
    """With what it holds; what comes later opens another one."""
    async with engine(store, clock=ManualClock()) as clarion:
        digest = Step(key="all", type=StepType.DIGEST, **window)
        await clarion.create_setup(workflow("w", steps=(digest, send("note"))))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        collecting = await one(clarion, status=RunStatus.WAITING)
        await clarion.services.runs.advance(clarion.tenant, collecting.id)
        await clarion.pass_time(5)
        (closed,) = await clarion.ledger.digests.get(clarion.tenant, [collecting.event_id])
        assert (closed.items, closed.total) == (2, 2)
        assert len(await clarion.messages()) == 1
        await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        assert (await one(clarion, status=RunStatus.WAITING)).id != collecting.id


async def test_runs_move_to_the_live_version(store):
    """Where they can go on there, with the time counted again from when they began to wait; the others stay as they are, and
    the operation says why."""
    async with engine(store, clock=ManualClock()) as clarion:
        early, late = wait("early", 2 * MINUTE_S), wait("late", DAY_S)
        ready = send("ready", when="steps.hello.status == 'sent'")
        fork = (early, send("hello"), late, ready)
        await clarion.create_setup(workflow("w", steps=fork))
        for user in ("ada", "bob"):
            await clarion.put_user(user)
        await clarion.trigger("w", "ada")
        await clarion.pass_time(3 * MINUTE_S)
        await clarion.trigger("w", "bob")
        await clarion.pass_time(5)
        first = (send("other"), wait("late", 5 * MINUTE_S), send("end", when="steps.hello.status == 'sent'"))
        to = await publish(clarion, workflow("w", steps=(wait("soon"), send("hello"), *first)))
        done = await operate(clarion, OperationKind.MIGRATE_RUNS, to, workflow="w", version=1)
        assert (done.status, done.done, done.failed) == (OperationStatus.PARTLY_FAILED, 1, 1)
        (error,) = await clarion.ledger.operations.errors(clarion.tenant, done.id, -1, 9)
        assert error.detail == "There is no step 'early' in version 2."
        moved = await one(clarion, version=2)
        await clarion.pass_time(1)
        goes_on = moved.started_at + (3 + 5) * MINUTE_S * 1_000
        assert (await one(clarion, version=2)).due_at == goes_on
        await clarion.pass_time(6 * MINUTE_S)
        assert "end" in await sent(clarion)
        assert "ready" not in await sent(clarion)
        assert (await one(clarion, version=1)).step == "late"
