"""Runs that wait for a time on somebody's clock."""

from __future__ import annotations

from typing import Any

import msgspec

from clarion.model.ids import Instant
from clarion.model.setup import Category, Step, StepType
from clarion.rules.explain import explanation
from clarion.rules.time_format import rfc3339
from clarion.testing.ports import ManualClock
from tests.engine import Engine, engine, workflow
from tests.unit.flow.test_runs import DAY_S, rows, send, sent, traces

MONDAY = Instant(1_777_874_400_000)
"""2026-05-04T06:00:00Z."""


def until(when: str, **more: Any) -> Step:
    """Waits for a time."""
    return Step(key="pause", type=StepType.WAIT, until=when, **more)


async def due(clarion: Engine, **where: Any) -> list[str]:
    """When the runs that wait go on, on a clock in UTC."""
    return [rfc3339(row.due_at) for row in await rows(clarion, **where) if row.due_at is not None]


async def test_a_run_waits_for_a_time_on_the_clock_of_its_user(store):
    """Or of the tenant, or of a place; the explanation says when that is there."""
    async with engine(store, clock=ManualClock(MONDAY)) as clarion:
        ways = {"his": {}, "ours": {"timezone": "tenant"}, "there": {"timezone": "Asia/Kathmandu"}}
        await clarion.create_setup(
            *(
                workflow(key, steps=(until("next weekday 09:00", **more), send("again")))
                for key, more in ways.items()
            )
        )
        await clarion.put_user("ada", zone="Europe/Berlin")
        for key in ways:
            await clarion.trigger(key, "ada")
        await clarion.pass_time(5)
        assert await due(clarion, workflow="his") == ["2026-05-04T07:00:00Z"]
        assert await due(clarion, workflow="ours") == ["2026-05-04T09:00:00Z"]
        assert await due(clarion, workflow="there") == ["2026-05-05T03:15:00Z"]
        (row,) = await rows(clarion, workflow="his")
        (run,) = await clarion.ledger.plans.runs_of(clarion.tenant, row.event_id, None)
        said = explanation(run, "ada").steps[-1].text
        assert said == "Step 'pause': waits until 2026-05-04T07:00:00Z (Mon 09:00 in Europe/Berlin)."
        await clarion.pass_time(2 * DAY_S)
        assert await sent(clarion) == ["again"] * 3


async def test_who_moves_is_reached_at_the_right_time_of_the_new_place(store):
    """Or at once, when that has passed there; once in any case."""
    async with engine(store, clock=ManualClock(MONDAY)) as clarion:
        await clarion.create_setup(workflow("w", steps=(until("09:00"), send("again"))))
        for name in ("ada", "bob"):
            await clarion.put_user(name, zone="Europe/Berlin")
            await clarion.trigger("w", name)
        await clarion.pass_time(5)
        assert await due(clarion) == ["2026-05-04T07:00:00Z"] * 2
        await clarion.put_user("ada", zone="America/New_York")
        await clarion.put_user("bob", zone="Asia/Tokyo")
        await clarion.pass_time(5)
        assert await sent(clarion) == []
        assert sorted(await due(clarion)) == ["2026-05-04T13:00:00Z", "2026-05-05T00:00:00Z"]
        await clarion.put_user("ada", zone="Pacific/Kiritimati")
        await clarion.pass_time(5)
        await clarion.pass_time(2 * DAY_S)
        assert await sent(clarion) == ["again", "again"]


async def test_data_say_until_when_a_run_waits(store):
    """A time that has passed is over at once; data that say none end the run, unless it is critical."""
    async with engine(store, clock=ManualClock(MONDAY)) as clarion:
        steps = (until("data.starts_at", earliest_s=60, at_most_s=DAY_S), send("again"))
        alarm = Category(key="alarm", critical=True)
        await clarion.create_setup(
            workflow("w", steps=steps), workflow("a", "alarm", steps=steps), categories=(alarm,)
        )
        await clarion.put_user("ada")
        for starts_at in ("2026-05-04T09:00:00Z", "2020-01-01", "2027-01-01", "soon"):
            await clarion.trigger("w", "ada", data=msgspec.Raw(b'{"starts_at":"%s"}' % starts_at.encode()))
        await clarion.pass_time(5)
        assert sorted(await due(clarion)) == [
            *("2026-05-04T06:01:00Z", "2026-05-04T09:00:00Z", "2026-05-05T06:00:00Z"),
        ]
        accepted = await clarion.trigger("w", "ada")
        await clarion.trigger("a", "ada")
        await clarion.pass_time(5)
        assert await traces(clarion, accepted.event_id) == [("pause", "failed")]
        assert await sent(clarion) == ["again"]
