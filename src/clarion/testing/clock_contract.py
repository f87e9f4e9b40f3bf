"""What every clock and every source of randomness must do, as checks to run over yours.

import pytest
from clarion.testing.clock_contract import CLOCK_CONTRACT, RANDOM_CONTRACT, ClockSubject

@pytest.mark.parametrize("check", CLOCK_CONTRACT, ids=lambda check: check.__name__)
async def test_my_clock_keeps_the_contract(check):
    await check(ClockSubject(my_clock))

@pytest.mark.parametrize("check", RANDOM_CONTRACT, ids=lambda check: check.__name__)
def test_my_randomness_keeps_the_contract(check):
    check(my_random)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from clarion.ports.clock import Clock, Random

MOMENT_S: Final = 0.002
"""Waited for where time must pass."""
NEVER_S: Final = 3_600.0
"""Longer than any check takes."""


class ClockSubject:
    """A clock, and what makes its time pass: nothing for a real one."""

    def __init__(self, clock: Clock, advance: Callable[[float], None] = lambda seconds: None) -> None:
        self.clock = clock
        self._advance = advance

    async def within(self, work: Awaitable[None]) -> None:
        """Let time pass until the work is done."""
        task = asyncio.ensure_future(work)
        while not task.done():
            self._advance(MOMENT_S)
            await asyncio.wait([task], timeout=MOMENT_S)
        await task


async def time_goes_forward(subject: ClockSubject) -> None:
    """While somebody sleeps and while nobody does. The wall clock counts whole milliseconds; it may be set back."""
    clock = subject.clock
    assert isinstance(clock.now(), int)
    for _ in range(3):
        before = clock.monotonic()
        assert clock.monotonic() >= before
        await subject.within(clock.sleep(6 * MOMENT_S))
        assert clock.monotonic() >= before + 5 * MOMENT_S  # timers are coarse


async def sleeping_for_nothing_gives_way(subject: ClockSubject) -> None:
    """To whatever else is ready to run; also for less than nothing."""
    for seconds in (0, -1.0):
        others: list[str] = []
        asyncio.get_running_loop().call_soon(others.append, "ran")
        await subject.clock.sleep(seconds)
        assert others == ["ran"]


async def sleepers_wake_in_the_order_of_their_times(subject: ClockSubject) -> None:
    """Whoever lay down first."""
    woken: list[int] = []

    async def sleeper(moments: int) -> None:
        await subject.clock.sleep(moments * 5 * MOMENT_S)
        woken.append(moments)

    async def sleepers() -> None:
        await asyncio.gather(*map(sleeper, (3, 1, 2)))

    await subject.within(sleepers())
    assert woken == [1, 2, 3]


async def a_sleeper_that_is_cancelled_wakes_nobody_else(subject: ClockSubject) -> None:
    """It ends at once, and the others sleep on."""
    cancelled = asyncio.ensure_future(subject.clock.sleep(NEVER_S))
    other = asyncio.ensure_future(subject.clock.sleep(NEVER_S))
    await asyncio.sleep(0)  # noqa: TID251 - lets them fall asleep
    cancelled.cancel()
    await subject.within(subject.clock.sleep(MOMENT_S))
    assert cancelled.cancelled()
    assert not other.done()
    other.cancel()


async def work_that_is_done_in_time_is_left_alone(subject: ClockSubject) -> None:
    """The timeout is over with its block."""
    async with subject.clock.timeout(2 * MOMENT_S):
        pass
    async with subject.clock.timeout(NEVER_S):
        await subject.within(subject.clock.sleep(3 * MOMENT_S))


async def work_that_takes_too_long_is_cancelled(subject: ClockSubject) -> None:
    """It may tidy up, and TimeoutError is raised behind it."""
    tidied: list[bool] = []

    async def work() -> None:
        async with subject.clock.timeout(MOMENT_S):
            try:
                await subject.clock.sleep(NEVER_S)
            finally:
                tidied.append(True)

    assert await ends_with(subject, work(), TimeoutError)
    assert tidied == [True]


async def a_timeout_that_is_over_lets_nothing_wait(subject: ClockSubject) -> None:
    """No time, or less: the first wait is cancelled."""
    for seconds in (0.0, -1.0):

        async def work(seconds: float = seconds) -> None:
            async with subject.clock.timeout(seconds):
                await subject.clock.sleep(NEVER_S)

        assert await ends_with(subject, work(), TimeoutError)


async def of_two_timeouts_the_shorter_one_ends(subject: ClockSubject) -> None:
    """The outer one is not taken for the inner one, nor the other way round."""
    met: list[str] = []

    async def work(outer_s: float, inner_s: float) -> None:
        try:
            async with subject.clock.timeout(outer_s):
                try:
                    async with subject.clock.timeout(inner_s):
                        await subject.clock.sleep(NEVER_S)
                except TimeoutError:
                    met.append("inner")
        except TimeoutError:
            met.append("outer")

    await subject.within(work(MOMENT_S, NEVER_S))
    await subject.within(work(NEVER_S, MOMENT_S))
    assert met == ["outer", "inner"]


async def being_cancelled_is_no_timeout(subject: ClockSubject) -> None:
    """Whoever stops a task is not told that it took too long; an error inside stays that error."""

    async def work() -> None:
        async with subject.clock.timeout(NEVER_S):
            await subject.clock.sleep(NEVER_S)

    async def fails() -> None:
        async with subject.clock.timeout(NEVER_S):
            raise KeyError("inside")

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)  # noqa: TID251 - lets it begin
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await ends_with(subject, fails(), KeyError)


async def ends_with(subject: ClockSubject, work: Awaitable[None], error: type[Exception]) -> bool:
    """Whether the work ends with that error."""
    try:
        await subject.within(work)
    except error:
        return True
    return False


def bytes_are_as_many_as_asked_for(random: Random) -> None:
    """None, few, and more than any pool holds."""
    for count in (0, 1, 12, 16, 32, 4_096, 100_000):
        assert len(random.bytes(count)) == count


def no_bytes_come_twice(random: Random) -> None:
    """Nonces and keys would repeat."""
    drawn = {random.bytes(12) for _ in range(20_000)}
    assert len(drawn) == 20_000
    assert len({drawn_byte for one in drawn for drawn_byte in one}) == 256


def fractions_are_spread_between_zero_and_one(random: Random) -> None:
    """One itself never comes; each tenth does."""
    drawn = [random.uniform() for _ in range(2_000)]
    assert all(0 <= one < 1 for one in drawn)
    assert {int(one * 10) for one in drawn} == set(range(10))


Check = Callable[[ClockSubject], Awaitable[None]]

CLOCK_CONTRACT: Final[Sequence[Check]] = (
    time_goes_forward,
    sleeping_for_nothing_gives_way,
    sleepers_wake_in_the_order_of_their_times,
    a_sleeper_that_is_cancelled_wakes_nobody_else,
    work_that_is_done_in_time_is_left_alone,
    work_that_takes_too_long_is_cancelled,
    a_timeout_that_is_over_lets_nothing_wait,
    of_two_timeouts_the_shorter_one_ends,
    being_cancelled_is_no_timeout,
)
RANDOM_CONTRACT: Final[Sequence[Callable[[Random], None]]] = (
    bytes_are_as_many_as_asked_for,
    no_bytes_come_twice,
    fractions_are_spread_between_zero_and_one,
)
