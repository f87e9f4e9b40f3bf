"""CPU by step, from the CPU of threads under three loads."""

import pytest

from bench.steps import Cost, split


def test_the_main_thread_is_the_event_loop_and_all_others_are_the_store():
    """Threads that began meanwhile count from zero, also those of child processes."""
    before = {(7, 7): 1.0, (7, 8): 0.5}
    after = {(7, 7): 1.3, (7, 8): 0.6, (7, 9): 0.02, (12, 12): 0.08}
    cost = Cost.of(before, after, pid=7, messages=1_000)
    assert cost.loop == pytest.approx(300)
    assert cost.others == pytest.approx(200)


def test_the_loop_is_split_by_subtraction():
    """Events that come again cost the edge alone; frames to connected users are the edge's too, for half the users."""
    found = split(
        offline=Cost(loop=80, others=60), again=Cost(loop=30, others=90), online=Cost(loop=100, others=64)
    )
    assert found == {"edge": 40, "engine": 50, "store": 62}


def test_a_difference_below_zero_is_noise_and_counts_as_nothing():
    """A frame cannot cost less than nothing."""
    found = split(
        offline=Cost(loop=80, others=60), again=Cost(loop=30, others=90), online=Cost(loop=78, others=60)
    )
    assert found["edge"] == 30
