"""Throttles: so many runs pass in some time, exactly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clarion.model.run import RunStatus
from clarion.model.setup import Category, Step, StepType, ThrottleElse, ThrottleWindow
from clarion.model.status import Reason
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import rows, send, sent, traces


def throttle(**more: Any) -> Step:
    """Two in an hour, for each shop."""
    return Step(key="few", type=StepType.THROTTLE, **{"by": "data.shop", "limit": 2, "per_s": 3_600, **more})


async def happens(clarion: Engine, shop: str = "one", user: str = "ada", key: str = "w", **more: Any) -> Any:
    """An event of a shop."""
    data = msgspec.Raw(b'{"text":"x","shop":"%s"}' % shop.encode())
    return await clarion.trigger(key, user, data=data, **more)


async def set_up(clarion: Engine, *steps: Step, **more: Any) -> None:
    """A workflow of these steps, and two users."""
    await clarion.create_setup(workflow("w", steps=steps), **more)
    for name in ("ada", "bob"):
        await clarion.put_user(name)


async def test_so_many_runs_pass_and_the_others_end(store):
    """For each user and value; those that end say why, and later ones pass again."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, throttle(), send("hello"))
        for _ in range(3):
            await happens(clarion)
            await clarion.pass_time(1)
        accepted = await happens(clarion)
        await clarion.pass_time(1)
        assert await sent(clarion) == ["hello"] * 2
        assert await traces(clarion, accepted.event_id) == [("few", "counted"), ("few", "throttled")]
        (over, *_) = await rows(clarion)
        assert (over.status, over.reason) == (RunStatus.FINISHED, Reason.WORKFLOW_THROTTLE)
        await happens(clarion, "two")
        await happens(clarion, user="bob")
        await clarion.pass_time(1)
        assert len(await sent(clarion)) == 4
        await clarion.pass_time(3_600)
        await happens(clarion)
        await clarion.pass_time(1)
        assert len(await sent(clarion)) == 5


@pytest.mark.parametrize(("window", "late"), [(ThrottleWindow.SLIDING, 1), (ThrottleWindow.FIXED, 2)])
async def test_the_time_slides_or_counts_from_the_first(store, window, late):
    """A fixed one lets all of the next time pass at its beginning."""
    async with engine(store, clock=ManualClock()) as clarion:
        await set_up(clarion, throttle(window=window), send("hello"))
        await happens(clarion)
        await clarion.pass_time(3_000)
        await happens(clarion)
        await clarion.pass_time(700)
        for _ in range(3):
            await happens(clarion)
        await clarion.pass_time(5)
        assert len(await sent(clarion)) == 2 + late


async def test_a_run_that_does_not_pass_may_go_on_and_know_it(store):
    """And takes another way."""
    async with engine(store, clock=ManualClock()) as clarion:
        steps = (
            throttle(limit=1, else_=ThrottleElse.CONTINUE),
            send("loud", when="steps.few.allowed"),
            send("quiet", when="!steps.few.allowed"),
        )
        await set_up(clarion, *steps)
        for _ in range(2):
            await happens(clarion)
            await clarion.pass_time(1)
        assert await sent(clarion) == ["loud", "quiet"]


async def test_what_is_critical_passes_and_what_has_no_key_fails(store):
    """Nothing is counted of either, and what is scheduled is counted when its time has come."""
    async with engine(store, clock=ManualClock()) as clarion:
        alarm = Category(key="alarm", critical=True)
        steps = (throttle(limit=1), send("hello"))
        await clarion.create_setup(
            workflow("w", steps=steps), workflow("a", "alarm", steps=steps), categories=(alarm,)
        )
        await clarion.put_user("ada")
        for _ in range(3):
            await happens(clarion, key="a")
        await clarion.pass_time(1)
        assert len(await sent(clarion)) == 3
        accepted = await clarion.trigger("w", "ada")
        await happens(clarion, send_at=clarion.clock.now() + 7_200_000)
        await happens(clarion)
        await clarion.pass_time(1)
        assert await traces(clarion, accepted.event_id) == [("few", "failed")]
        assert len(await sent(clarion)) == 4
        await clarion.pass_time(7_200)
        assert len(await sent(clarion)) == 5
