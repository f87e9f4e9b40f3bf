"""Steps that are repeated until somebody has acknowledged: nothing starts after the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clarion.errors import Conflict
from clarion.model.channel import Channel
from clarion.model.ids import run_id
from clarion.model.receipt import Receipt, ReceiptKind
from clarion.model.run import RunStatus
from clarion.model.setup import Case, Step, StepType
from clarion.model.status import Status
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import rows, send, sent, traces, wait

MINUTE_S = 60


def alarm(*inside: Step, until: str = "acknowledged", at_most: int = 3, **more: Any) -> Step:
    """Every five minutes."""
    inside = inside or (send("page"),)
    fields = {"steps": inside, "every_s": 5 * MINUTE_S, "at_most": at_most, "until": until, **more}
    return Step(key="alarm", type=StepType.REPEAT, **fields)


async def acknowledge(clarion: Engine) -> Any:
    """The only run of ada's."""
    (row,) = await rows(clarion)
    return await clarion.services.responses.acknowledge(clarion.tenant, row.id)


async def minutes(clarion: Engine, count: int) -> None:
    """One after the other."""
    for _ in range(count):
        await clarion.pass_time(MINUTE_S)


async def test_rounds_follow_one_another_until_there_were_enough(store):
    """Each sends messages of its own; the run goes on behind the last one, when that had its time."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(alarm(), send("end", Channel.EMAIL))))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await minutes(clarion, 14)
        assert await sent(clarion) == ["page"] * 3
        await minutes(clarion, 3)
        assert await sent(clarion) == ["page"] * 3 + ["end"]
        told = await traces(clarion, accepted.event_id)
        assert [result for step, result in told if step == "alarm"] == [
            *("round", "waits", "round", "waits", "round", "waits", "repeated"),
        ]


async def test_no_round_begins_after_somebody_acknowledged(store):
    """The run goes on behind the repetition. Saying it again changes nothing."""
    async with engine(store, clock=ManualClock()) as clarion:
        behind = send(
            "end", Channel.EMAIL, when="steps.alarm.by == 'acknowledged' && steps.alarm.rounds == 2"
        )
        await clarion.create_setup(workflow("w", steps=(alarm(), behind)))
        await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await minutes(clarion, 7)
        assert (await acknowledge(clarion)).status is RunStatus.WAITING
        await acknowledge(clarion)
        await minutes(clarion, 20)
        assert await sent(clarion) == ["page", "page", "end"]
        assert (await acknowledge(clarion)).status is RunStatus.FINISHED
        assert (await traces(clarion, accepted.event_id))[-2:] == [("alarm", "repeated"), ("end", "sent")]


async def test_what_is_not_sent_yet_is_canceled(store):
    """Of the repeated steps; what others planned stays."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(send("hello"), alarm())))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada", send_at=clarion.clock.now() + 3_600_000)
        await clarion.pass_time(5)
        await acknowledge(clarion)
        await minutes(clarion, 90)
        found = {m.step: m.status for m in (await clarion.messages()).values()}
        assert found == {"hello": Status.SENT, "page": Status.CANCELED}


@pytest.mark.parametrize("planned", [False, True])
async def test_a_round_that_is_being_planned_is_not_sent(store, monkeypatch, planned):
    """The plan is refused, or its messages are canceled: whichever commits first."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(alarm(wait("moment", 1), send("page")),)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        commit, reached, goes_on = clarion.ledger.plans.commit, asyncio.Event(), asyncio.Event()

        async def slow(plan: Any) -> Any:
            if any(m.step == "page" for m in plan.messages) and not reached.is_set():
                result = await commit(plan) if planned else None
                reached.set()
                await goes_on.wait()
                return result if result is not None else await commit(plan)
            return await commit(plan)

        monkeypatch.setattr(clarion.ledger.plans, "commit", slow)

        async def is_reached() -> bool:
            return reached.is_set()

        assert await clarion.until(is_reached)
        await acknowledge(clarion)
        goes_on.set()
        await minutes(clarion, 20)
        assert await sent(clarion) == []
        assert {m.status for m in (await clarion.messages()).values()} <= {Status.CANCELED}


async def test_an_inner_wait_ends_with_the_acknowledgement(store):
    """Nothing of the round that had begun is sent any more; what stands before the repetition goes on as it was."""
    async with engine(store, clock=ManualClock()) as clarion:
        inside = (send("page"), wait("moment", MINUTE_S), send("call"))
        steps = (wait("first", MINUTE_S), alarm(*inside), send("end", Channel.EMAIL))
        await clarion.create_setup(workflow("w", steps=steps))
        await clarion.put_user("ada")
        await clarion.put_user("bob")
        await clarion.trigger("w", "ada")
        await clarion.pass_time(MINUTE_S + 5)
        await acknowledge(clarion)
        await minutes(clarion, 10)
        assert await sent(clarion) == ["page", "end"]
        await clarion.trigger("w", "bob")
        await clarion.pass_time(5)
        (waiting,) = await rows(clarion, status=RunStatus.WAITING)
        await clarion.services.responses.acknowledge(clarion.tenant, waiting.id)
        await clarion.pass_time(30)
        assert await sent(clarion) == ["page", "end"]
        await minutes(clarion, 10)
        assert await sent(clarion) == ["page", "end", "end"]


@pytest.mark.parametrize("until", ["read", "steps.page.read"])
async def test_reading_a_message_of_any_round_ends_it(store, until):
    """Nobody has to say more."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(alarm(until=until),)))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await minutes(clarion, 6)
        first, _ = sorted((await clarion.messages()).values(), key=lambda one: one.created_at)
        at = clarion.clock.now()
        receipt = Receipt(tenant=clarion.tenant, message_id=first.id, kind=ReceiptKind.CLICKED, at=at)
        assert await clarion.pipeline.receive([receipt]) == [True]
        await minutes(clarion, 20)
        assert await sent(clarion) == ["page", "page"]


async def test_a_key_that_is_pressed_in_a_call_acknowledges(store):
    """Whatever the channel: the report of its provider does."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(alarm(),)), workflow("plain"))
        await clarion.put_user("ada")
        await clarion.trigger("w", "ada")
        await clarion.trigger("plain", "ada")
        await minutes(clarion, 1)
        at = clarion.clock.now()
        pressed = [
            Receipt(tenant=clarion.tenant, message_id=one, kind=ReceiptKind.ACKNOWLEDGED, at=at)
            for one in await clarion.messages()
        ]
        assert await clarion.services.responses.receive(pressed) == [True, True]
        await minutes(clarion, 20)
        assert {one.step for one in (await clarion.messages()).values()} == {"note", "page"}
        assert len(clarion.provider.effects) == 2


async def test_a_crash_repeats_no_round(store, monkeypatch):
    """Messages of a round have ids of their own, made from its number."""
    async with engine(store, clock=ManualClock()) as clarion:
        await clarion.create_setup(workflow("w", steps=(alarm(every_s=30),)))
        await clarion.put_user("ada")
        commit, done, stored = clarion.ledger.plans.commit, 0, asyncio.Event()

        async def hanging(plan: Any) -> Any:
            nonlocal done
            result = await commit(plan)
            done += bool(plan.messages)
            if done == 2:
                stored.set()
                await asyncio.Event().wait()  # The process hangs, and is killed.
            return result

        monkeypatch.setattr(clarion.ledger.plans, "commit", hanging)
        await clarion.trigger("w", "ada")

        async def is_stored() -> bool:
            return stored.is_set()

        assert await clarion.until(is_stored)
        await clarion.crash()
        await clarion.open()
        await minutes(clarion, 20)
        assert await sent(clarion) == ["page"] * 3


async def test_only_what_repeats_can_be_acknowledged(store):
    """Anything else is refused with the reason; who is unknown has no run."""
    async with engine(store, clock=ManualClock()) as clarion:
        case = Case(steps=(alarm(until="read"),))
        await clarion.create_setup(
            workflow("w", steps=(Step(key="fork", type=StepType.BRANCH, cases=(case,)),))
        )
        user = await clarion.put_user("ada")
        accepted = await clarion.trigger("w", "ada")
        await clarion.pass_time(5)
        with pytest.raises(Conflict, match="has no step that repeats until it is acknowledged"):
            await acknowledge(clarion)
        nobody = run_id(accepted.event_id, "v", user.no)
        assert await clarion.services.responses.acknowledge(clarion.tenant, nobody) is None
