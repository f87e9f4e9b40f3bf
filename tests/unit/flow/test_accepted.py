"""What becomes of accepted events that were not planned at once."""

from __future__ import annotations

import contextlib

import msgspec

from clarion.model.status import Status
from clarion.testing.ports import ManualClock
from clarion.testing.providers import RecordingProvider
from tests.engine import Engine, engine, said, workflow


@contextlib.asynccontextmanager
async def unplanned(house: Engine):
    """Nothing is planned inside; a crash ends it, and another life follows."""
    await house.pipeline._worker.stop("plan-")
    yield
    await house.crash()
    await house.open()


async def test_overrides_survive_a_crash_before_planning(tmp_path):
    """They replace the template's words after the restart, and other events of the lane are sent too."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider, clock=ManualClock()) as house:
        await house.furnish(workflow("w"))
        async with unplanned(house):
            await house.trigger("w", "ada", overrides=msgspec.Raw(b'{"sms":{"text":"mine"}}'))
            await house.trigger("w", "bob")
            for who in ("ada", "bob"):
                await house.person(who)
        await house.pass_time(1)
        assert sorted(map(said, provider.effects)) == ["hello", "mine"]


async def test_overrides_survive_a_crash_after_planning(tmp_path):
    """What is claimed after the restart is opened from the log, with its overrides."""
    provider = RecordingProvider(batch=50)
    async with engine(tmp_path, provider=provider) as house:
        await house.furnish(workflow("w"))
        await house.person("ada")
        await house.pipeline._worker.stop("dispatch-")
        await house.trigger("w", "ada", overrides=msgspec.Raw(b'{"sms":{"text":"mine"}}'))
        await house.crash()
        await house.open()
        await house.pass_time(1)
        assert [said(one) for one in provider.effects] == ["mine"]
        assert (await house.one()).status is Status.SENT
