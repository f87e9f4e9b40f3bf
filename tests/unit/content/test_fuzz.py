"""A slice of the fuzzing of `python -m tests.fuzz.templates`, small enough for every run."""

import pytest

from tests.fuzz.templates import Run


@pytest.mark.parametrize("seed", [101, 102, 103])
def test_random_templates_with_random_data_let_nothing_through(seed):
    """No escape, nothing slow, no user data as markup; and most are really sent."""
    run = Run(seed)
    run.go(2_000)
    assert run.counts["renders"] == 2_000
    assert run.counts["sent"] > 200
