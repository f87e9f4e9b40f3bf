"""A token bucket as a value."""

import pytest

from clarion.rules.limiter import Bucket, take


def bucket_of(per_second: float) -> Bucket:
    """A full bucket."""
    bucket = Bucket.of(per_second)
    assert bucket is not None
    return bucket


def test_no_limit_means_no_bucket():
    """None, and senseless rates, do not limit."""
    assert Bucket.of(None) is None
    assert Bucket.of(0) is None


def test_a_full_bucket_gives_its_burst_and_then_its_rate():
    """Ten a second: ten at once, then one every 100 ms."""
    bucket, granted, wait_s = take(bucket_of(10), 0.0, [1] * 25)
    assert (granted, wait_s) == (10, 0.1)
    bucket, granted, wait_s = take(bucket, 0.1, [1] * 15)
    assert (granted, wait_s) == (1, 0.1)
    bucket, granted, _ = take(bucket, 100.0, [1] * 15)
    assert granted == 10


def test_what_is_granted_whole_need_not_wait():
    """No wait when all may go."""
    assert take(bucket_of(10), 0.0, [1] * 3)[1:] == (3, 0.0)


def test_less_than_one_a_second_still_lets_one_through():
    """One every four seconds."""
    bucket, granted, wait_s = take(bucket_of(0.25), 0.0, [1] * 5)
    assert (granted, wait_s) == (1, 4.0)
    assert take(bucket, 3.9, [1] * 5)[1] == 0
    assert take(bucket, 4.0, [1] * 5)[1] == 1


def test_a_reserve_is_left_for_the_more_urgent():
    """Normal work leaves two of ten, urgent work takes them."""
    bucket, granted, _ = take(bucket_of(10), 0.0, [1] * 25, reserve=2)
    assert granted == 8
    assert take(bucket, 0.0, [1] * 25)[1] == 2


def test_a_reserve_never_starves_the_others():
    """A bucket of one token gives it away, reserve or not."""
    assert take(bucket_of(1), 0.0, [1], reserve=1)[1] == 1


def test_after_the_announced_wait_there_is_one():
    """The wait is neither a lie nor a guess."""
    bucket, _, wait_s = take(bucket_of(7), 0.0, [1] * 99)
    assert take(bucket, wait_s, [1])[1] == 1


def test_a_clock_that_goes_backwards_gives_nothing():
    """And costs nothing: the bucket keeps its time."""
    bucket, _, _ = take(bucket_of(10), 50.0, [1] * 10)
    bucket, granted, _ = take(bucket, 10.0, [1])
    assert (granted, bucket.at_s) == (0, 50.0)
    assert take(bucket, 50.1, [1])[1] == 1


@pytest.mark.parametrize("n", [0, -3])
def test_asking_for_nothing_gets_nothing(n):
    """And takes nothing."""
    bucket, granted, wait_s = take(bucket_of(10), 0.0, [1] * n)
    assert (granted, wait_s, bucket.tokens) == (0, 0.0, 10.0)


def test_what_costs_several_goes_whole_or_not_at_all():
    """Ten tokens: three, five, and then no four of the two that are left; nobody overtakes."""
    bucket, granted, wait_s = take(bucket_of(10), 0.0, [3, 5, 4, 1])
    assert (granted, wait_s) == (2, 0.2)
    assert take(bucket, 0.2, [4, 1])[1] == 1


def test_what_costs_more_than_the_bucket_holds_goes_when_it_is_full_and_is_paid_off():
    """Seven at five a second: at once, and the next one when the two it owes, and its own, are back."""
    bucket, granted, wait_s = take(bucket_of(5), 0.0, [7, 1])
    assert (granted, wait_s) == (1, 0.6)
    assert take(bucket, 0.5, [1])[1] == 0
    assert take(bucket, 0.6, [1])[1] == 1


def test_what_costs_several_leaves_the_reserve_alone():
    """Two of ten tokens are somebody else's."""
    assert take(bucket_of(10), 0.0, [4, 4, 1], reserve=2)[1:] == (2, 0.1)
