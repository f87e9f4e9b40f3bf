"""Stop calling what fails, and come back carefully."""

import pytest

from clarion.rules.breaker import Breaker, BreakerPolicy, open_for_s, probes_left, record, state, trip

POLICY = BreakerPolicy(
    bucket_s=1.0, buckets=10, min_calls=10, failure_ratio=0.5, cool_down_s=2.0, cool_down_cap_s=10.0, probes=3
)
FRESH = Breaker(policy=POLICY)


def opened(now_s: float = 100.0) -> Breaker:
    """A breaker that has just tripped on failures."""
    return record(FRESH, now_s, 0, 10)


def test_it_starts_closed_and_stays_closed_on_success():
    """Any number of good calls."""
    assert state(record(FRESH, 0.0, 10_000, 0), 0.0) == "closed"


def test_too_few_calls_prove_nothing():
    """Nine failures out of nine are not enough, the tenth is."""
    nearly = record(FRESH, 0.0, 0, 9)
    assert state(nearly, 0.0) == "closed"
    assert state(record(nearly, 0.1, 0, 1), 0.1) == "open"


@pytest.mark.parametrize(("ok", "failed", "expected"), [(51, 49, "closed"), (50, 50, "open")])
def test_the_share_of_failures_opens_it(ok, failed, expected):
    """At one half, not below."""
    assert state(record(FRESH, 0.0, ok, failed), 0.0) == expected


def test_what_left_the_window_is_forgotten():
    """Nine failures long ago and one now are one failure."""
    old = record(FRESH, 0.0, 0, 9)
    assert state(record(old, 10.0, 0, 1), 10.0) == "closed"
    assert state(record(old, 9.9, 0, 1), 9.9) == "open"


def test_after_the_cool_down_a_few_probes_decide():
    """Three good ones close it and everything before is forgotten."""
    breaker = opened()
    assert state(breaker, 101.9) == "open"
    assert open_for_s(breaker, 101.5) == pytest.approx(0.5)
    assert state(breaker, 102.0) == "half_open"
    assert probes_left(breaker, 102.0, under_way=1) == 2
    breaker = record(breaker, 102.1, 2, 0)
    assert (state(breaker, 102.1), probes_left(breaker, 102.1, 0)) == ("half_open", 1)
    breaker = record(breaker, 102.2, 1, 0)
    assert (state(breaker, 102.2), breaker) == ("closed", FRESH)
    assert probes_left(breaker, 102.2, 99) is None


def test_a_failed_probe_opens_it_for_twice_as_long():
    """Up to the cap."""
    breaker, now = opened(), 100.0
    lengths = []
    for _ in range(5):
        lengths.append(open_for_s(breaker, now))
        now += lengths[-1]
        breaker = record(breaker, now, 0, 1)
    assert lengths == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_results_of_calls_begun_before_it_opened_change_nothing():
    """Neither does a late failure prolong it, nor a late success close it."""
    breaker = opened()
    assert record(breaker, 100.5, 5, 0) is breaker
    assert record(breaker, 100.5, 0, 5) is breaker
    assert probes_left(breaker, 100.5, 0) == 0


def test_a_misconfigured_integration_is_opened_at_once():
    """For as long as the caller says, whatever was counted."""
    breaker = trip(FRESH, 5.0, 30.0)
    assert (state(breaker, 34.9), state(breaker, 35.0)) == ("open", "half_open")
    assert open_for_s(FRESH, 5.0) == 0.0


def test_a_clock_that_goes_backwards_does_no_harm():
    """Counts of the future are still counts."""
    assert state(record(record(FRESH, 100.0, 0, 9), 50.0, 0, 1), 50.0) == "open"
