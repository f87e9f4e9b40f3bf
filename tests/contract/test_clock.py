"""The clock of the machine and the one that tests move keep the same contract; so do the two sources of randomness."""

from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.ports.clock import Random
from clarion.testing.clock_contract import CLOCK_CONTRACT, RANDOM_CONTRACT, ClockSubject
from clarion.testing.ports import ManualClock, SeededRandom

CHECKS = {check.__name__: check for check in CLOCK_CONTRACT}


def manual(kind: type[ManualClock] = ManualClock) -> ClockSubject:
    """A clock that a test moves."""
    clock = kind()
    return ClockSubject(clock, clock.advance)


CLOCKS: dict[str, Callable[[], ClockSubject]] = {
    "system": lambda: ClockSubject(SystemClock()),
    "manual": manual,
}
RANDOMS: dict[str, Callable[[], Random]] = {"system": SystemRandom, "seeded": SeededRandom}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", CLOCKS)
async def test_every_clock_keeps_the_contract(name, check):
    """A new one for every check."""
    await check(CLOCKS[name]())


@pytest.mark.parametrize("check", RANDOM_CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", RANDOMS)
def test_every_source_of_randomness_keeps_the_contract(name, check):
    """A new one for every check."""
    check(RANDOMS[name]())


class NeverSleeps(ManualClock):
    async def sleep(self, seconds):
        await super().sleep(0)


class NeverGivesWay(ManualClock):
    async def sleep(self, seconds):
        if seconds > 0:
            await super().sleep(seconds)


class HidesErrors(ManualClock):
    @asynccontextmanager
    async def timeout(self, seconds):
        try:
            async with super().timeout(seconds):
                yield
        except KeyError:
            raise TimeoutError from None


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (NeverSleeps, "time_goes_forward"),
        (NeverSleeps, "sleepers_wake_in_the_order_of_their_times"),
        (NeverSleeps, "work_that_takes_too_long_is_cancelled"),
        (NeverGivesWay, "sleeping_for_nothing_gives_way"),
        (HidesErrors, "being_cancelled_is_no_timeout"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_clock_that_breaks_a_promise_is_found(kind, check):
    """Each check finds the fault it is there for."""
    with pytest.raises((AssertionError, TimeoutError)):
        await CHECKS[check](manual(kind))
