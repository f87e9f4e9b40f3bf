"""A test can wait until nothing more happens by itself: without a guess, and without missing what a thread brings."""

import asyncio
import threading

import pytest

from clarion.testing.ports import ManualClock
from clarion.testing.quiescence import Quiescence


async def test_a_chain_of_callbacks_is_waited_for_to_its_end():
    """However long it is."""
    quiescence, seen = Quiescence(), []

    async def chain() -> None:
        for step in range(500):
            await asyncio.sleep(0)
            seen.append(step)

    task = asyncio.create_task(chain())
    await quiescence.reached()
    assert (len(seen), task.done()) == (500, True)


async def test_what_a_thread_does_is_waited_for_and_what_follows_it():
    """Also what is begun in a second thread because of the first."""
    quiescence, go = Quiescence(), threading.Event()

    async def work() -> None:
        await asyncio.to_thread(go.wait)
        await asyncio.to_thread(go.wait)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(quiescence.reached())
    await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await waiting
    assert task.done()


async def test_what_waits_for_the_clock_is_not_waited_for():
    """Only the test can move that on."""
    quiescence, clock = Quiescence(), ManualClock()
    task = asyncio.create_task(clock.sleep(5))
    await quiescence.reached()
    assert not task.done()
    clock.advance(5)
    await quiescence.reached()
    assert task.done()


async def test_what_the_test_calls_busy_is_waited_for():
    """It need not be a thread of this event loop."""
    looks = iter([True, True, False])
    await Quiescence(lambda: next(looks, False)).reached()
    assert next(looks, None) is None


async def test_what_never_ends_is_an_error_and_no_endless_wait():
    """A red test tells more than one that hangs."""
    with pytest.raises(TimeoutError):
        await Quiescence(lambda: True).reached(within_s=0.05)
