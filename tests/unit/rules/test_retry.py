"""When to try again, and when to stop."""

import pytest

from clarion.model.channel import LANES, Channel, Lane
from clarion.model.status import Reason
from clarion.rules.retry import POLICIES, WEBHOOKS, next_attempt, policy
from tests.unit.rules.examples import NOON

NORMAL = POLICIES[Lane.NORMAL]


def again(policy=NORMAL, *, attempt=1, tried_at=NOON, now=NOON, uniform=0.5, after_s=None, expires_at=None):
    """Ask with a fresh message's circumstances unless told otherwise."""
    return next_attempt(
        policy,
        attempt=attempt,
        tried_at=tried_at,
        now=now,
        uniform=uniform,
        after_s=after_s,
        expires_at=expires_at,
    )


def test_every_lane_has_a_policy():
    """And the more urgent the lane, the shorter its first pause."""
    assert set(POLICIES) == set(LANES)
    bases = [POLICIES[lane].base_s for lane in LANES]
    assert bases == sorted(bases)


def test_the_pause_doubles_up_to_the_cap():
    """Half of 2, 4, 8 ... seconds at a jitter of one half, never more than half the cap."""
    pauses = [again(attempt=n) - NOON for n in range(1, 10)]
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert (
        again(NORMAL.__class__(max_attempts=99, max_age_s=1e9, base_s=2, cap_s=10), attempt=50) - NOON
        == 5_000
    )


def test_jitter_is_full():
    """From at once to the whole pause, so that a thousand failures do not come back together."""
    assert again(uniform=0.0) == NOON + 1
    assert again(uniform=0.999) - NOON == 1_998


def test_the_providers_wish_is_a_minimum():
    """Retry-After 60 means not before 60 seconds, and the jitter comes on top."""
    assert again(after_s=60, uniform=0.0) == NOON + 60_000
    assert again(after_s=60, uniform=0.5) == NOON + 61_000


@pytest.mark.parametrize(("after_s", "seconds"), [(-5.0, 0), (float("nan"), 0)])
def test_a_senseless_wish_is_ignored(after_s, seconds):
    """Providers send all sorts of numbers."""
    assert again(after_s=after_s, uniform=0.5) == NOON + 1_000 + seconds


ENDLESS = [float("inf"), 10**300, 7 * 86_400, 9_999_999_999]
SCHEDULES = [*POLICIES.values(), WEBHOOKS]


@pytest.mark.parametrize("after_s", ENDLESS)
@pytest.mark.parametrize("policy", SCHEDULES)
def test_a_foreign_wish_delays_within_the_longest_pause(policy, after_s):
    """Days that a provider asks for are cut to what the schedule itself would wait at most."""
    assert again(policy, after_s=after_s, uniform=0.0) - NOON == policy.longest_s * 1_000


@pytest.mark.parametrize("after_s", ENDLESS)
@pytest.mark.parametrize("policy", SCHEDULES)
@pytest.mark.parametrize("uniform", [0.0, 0.999])
def test_a_foreign_wish_ends_no_message(policy, after_s, uniform):
    """Asked every time to wait for ever, it still has all its attempts."""
    now, attempt = NOON, 1
    while not isinstance(
        due := again(policy, attempt=attempt, now=now, after_s=after_s, uniform=uniform), Reason
    ):
        assert due > now
        now, attempt = due, attempt + 1
    assert (due, attempt) == (Reason.ATTEMPTS_EXHAUSTED, policy.max_attempts)


def test_a_foreign_wish_does_not_outlast_a_message():
    """It is tried once more right before it expires or grows too old; without the wish it would have been tried sooner."""
    assert again(after_s=900, expires_at=NOON + 60_000) == NOON + 59_999
    almost = NOON - 24 * 3_600_000 + 60_000
    assert again(after_s=900, tried_at=almost) == NOON + 60_000


def test_it_stops_after_the_last_allowed_attempt():
    """The tenth call was the last."""
    assert isinstance(again(attempt=NORMAL.max_attempts - 1), int)
    assert again(attempt=NORMAL.max_attempts) is Reason.ATTEMPTS_EXHAUSTED


def test_it_stops_when_the_message_is_too_old():
    """Age counts from the plan, whatever the number of attempts."""
    assert again(tried_at=NOON - 24 * 3_600_000) is Reason.TOO_OLD


def test_it_stops_when_the_next_attempt_would_come_after_the_expiry():
    """And when the message has expired already."""
    assert again(expires_at=NOON + 1_000) is Reason.EXPIRED
    assert again(expires_at=NOON + 1_001) == NOON + 1_000
    assert again(expires_at=NOON) is Reason.EXPIRED


def test_enormous_numbers_of_attempts_do_not_overflow():
    """The doubling is clamped."""
    endless = NORMAL.__class__(max_attempts=10**9, max_age_s=1e12, base_s=2, cap_s=900)
    assert again(endless, attempt=10**8) == NOON + 450_000


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────

MINUTE, HOUR = 60_000, 3_600_000


@pytest.mark.parametrize("lane", LANES)
def test_webhooks_are_tried_for_days_in_every_lane(lane):
    """Only the channel counts; other channels of the lane keep the lane's policy."""
    assert policy(lane, Channel.WEBHOOK) is WEBHOOKS
    assert policy(lane, Channel.EMAIL) is POLICIES[lane]


def test_the_pauses_between_webhooks_are_those_of_the_standard():
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: ten attempts, then it is over."""
    pauses = [again(WEBHOOKS, attempt=n, uniform=0.0) - NOON for n in range(1, 10)]
    assert pauses == [5_000, 5 * MINUTE, 30 * MINUTE, *(n * HOUR for n in (2, 5, 10, 14, 20, 24))]
    assert again(WEBHOOKS, attempt=10) is Reason.ATTEMPTS_EXHAUSTED


def test_what_failed_together_does_not_come_back_together():
    """Jitter stretches a pause by up to a tenth, and never shortens it."""
    assert again(WEBHOOKS, attempt=4, uniform=0.999) - NOON == pytest.approx(2.2 * HOUR, rel=0.001)


def test_every_pause_fits_into_the_age_of_a_webhook():
    """The last attempt is not lost to the age limit, however the jitter falls."""
    at = NOON
    for attempt in range(1, WEBHOOKS.max_attempts):
        due = again(WEBHOOKS, attempt=attempt, now=at, uniform=0.999)
        assert not isinstance(due, Reason)
        at = due


def test_a_receiver_that_asks_for_more_time_gets_it():
    """Retry-After counts when it is longer than the schedule, and is not added to it."""
    assert again(WEBHOOKS, attempt=1, uniform=0.0, after_s=60) - NOON == MINUTE
    assert again(WEBHOOKS, attempt=4, uniform=0.0, after_s=60) - NOON == 2 * HOUR
