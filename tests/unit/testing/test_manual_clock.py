"""The clock of tests and simulations: nothing passes unless told, and then everything in its order."""

import asyncio

import pytest

from clarion.testing.ports import ManualClock


async def turn() -> None:
    """Let everybody run who can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_time_limit_ends_what_still_runs_when_its_time_has_come_and_not_before():
    """Real time plays no part."""
    clock, ended = ManualClock(), []

    async def hang() -> None:
        try:
            async with clock.timeout(30):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            ended.append(clock.monotonic())

    hanging = asyncio.ensure_future(hang())
    await turn()
    clock.advance(29)
    await turn()
    assert (ended, clock.next_wake) == ([], 1.0)
    clock.advance(1)
    await hanging
    assert ended == [30.0]


async def test_what_ends_in_time_leaves_no_alarm_behind():
    """Nobody is woken for a limit that was kept, not even when both fall together."""
    clock = ManualClock()
    async with clock.timeout(5):
        await clock.sleep(0)
    assert clock.next_wake is None
    async with clock.timeout(5):
        clock.advance(5)
    await turn()
    assert clock.next_wake is None


async def test_a_limit_inside_another_ends_alone():
    """The inner call is over, the outer goes on; sleepers wake as ever."""
    clock, told = ManualClock(), []

    async def both() -> None:
        async with clock.timeout(60):
            try:
                async with clock.timeout(10):
                    await clock.sleep(100)
            except TimeoutError:
                told.append("inner")
            await clock.sleep(20)
            told.append("outer goes on")

    running = asyncio.ensure_future(both())
    await turn()
    clock.advance(10)
    await turn()
    clock.advance(20)
    await running
    assert told == ["inner", "outer goes on"]


async def test_a_cancelled_task_is_cancelled_not_late():
    """Whoever stops the caller is not told of a time limit."""
    clock = ManualClock()

    async def hang() -> None:
        async with clock.timeout(30):
            await asyncio.get_running_loop().create_future()

    hanging = asyncio.ensure_future(hang())
    await turn()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert clock.next_wake is None
