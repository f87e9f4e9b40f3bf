"""Throttles against a model: whatever comes when, no time holds more than the limit, and nobody is stopped who might pass."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clarion.model.ids import Instant
from clarion.model.run import ThrottleUse
from clarion.rules.exact import counts_until

comings = st.lists(st.integers(0, 200), max_size=60).map(sorted)


def let_through(times: list[int], limit: int, per_ms: int, *, fixed: bool) -> list[int]:
    """When each that passes does."""
    use = ThrottleUse(slot=b"", limit=limit, per_ms=per_ms, fixed=fixed)
    through: list[int] = []
    untils: list[Instant] = []
    for at in times:
        until = counts_until(use, [one for one in untils if one > at], Instant(at))
        if until is not None:
            through.append(at)
            untils.append(until)
    return through


@given(comings, st.integers(1, 5), st.integers(1, 60))
def test_any_time_holds_at_most_the_limit(times, limit, per_ms):
    """And who is stopped would have been one too many."""
    through = let_through(times, limit, per_ms, fixed=False)
    for end in range(201):
        assert sum(end - per_ms < at <= end for at in through) <= limit
    for at in times:
        if at not in through:
            assert sum(at - per_ms < one <= at for one in through) == limit


@given(comings, st.integers(1, 5), st.integers(1, 60))
def test_a_fixed_time_counts_from_the_first_that_passes(times, limit, per_ms):
    """As one does who notes when a time begins and crosses off its places."""
    began, left, expected = None, 0, []
    for at in times:
        if began is None or at >= began + per_ms:
            began, left = at, limit
        if left:
            left -= 1
            expected.append(at)
    assert let_through(times, limit, per_ms, fixed=True) == expected


@given(st.lists(st.integers(0, 200), max_size=60), st.integers(1, 5), st.integers(1, 60))
def test_clocks_that_differ_let_no_more_through(times, limit, per_ms):
    """Those of another process may be ahead."""
    through = let_through(times, limit, per_ms, fixed=False)
    for end in range(201):
        assert sum(end - per_ms < at <= end for at in through) <= limit
