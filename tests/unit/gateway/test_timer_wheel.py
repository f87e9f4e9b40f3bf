"""When to look at which device."""

from typing import Any

import pytest

from clarion.gateway.timer_wheel import TimerWheel


class Something:
    """All the wheel wants of a device."""

    slot = 0


@pytest.fixture
def device() -> Any:
    return Something()


@pytest.mark.parametrize("at", [10.0, 10.001, 10.999])
def test_nobody_is_looked_at_before_the_time_and_everybody_within_a_second(device, at):
    """Also when the wheel turns at odd moments."""
    wheel = TimerWheel()
    wheel.put(device, at)
    assert wheel.turn(at - 0.001) == []
    assert wheel.turn(at + 1.0) == [device]
    assert wheel.turn(at + 2.0) == []


def test_a_device_stands_in_one_place_only(device):
    """Putting it again moves it."""
    wheel = TimerWheel()
    wheel.put(device, 10.0)
    wheel.put(device, 20.0)
    assert wheel.turn(15.0) == []
    assert wheel.turn(21.0) == [device]


def test_who_has_gone_is_not_looked_at(device):
    """And nothing keeps it alive."""
    wheel = TimerWheel()
    wheel.put(device, 10.0)
    wheel.remove(device)
    wheel.remove(device)
    assert wheel.turn(99.0) == []


def test_a_time_that_has_passed_is_the_next_turn(device):
    """Late or not, it is looked at, and the wheel does not stand still over it."""
    wheel = TimerWheel()
    wheel.turn(50.0)
    wheel.put(device, 3.0)
    assert wheel.turn(50.5) == []
    assert wheel.turn(51.0) == [device]
