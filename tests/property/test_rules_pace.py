"""Retries, breaker and limiter under any history."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.channel import LANES
from clarion.model.ids import Instant
from clarion.model.status import Reason
from clarion.rules.breaker import Breaker, BreakerPolicy, open_for_s, probes_left, record, state, trip
from clarion.rules.limiter import Bucket, take
from clarion.rules.retry import POLICIES, next_attempt
from tests.unit.rules.examples import NOON

# -- retry ---------------------------------------------------------------------------------------------------------

policies = st.sampled_from([POLICIES[lane] for lane in LANES])
jitter = st.floats(0, 1, exclude_max=True)
wishes = st.one_of(st.none(), st.floats(), st.floats(0, 10_000))


@given(
    policies,
    st.integers(0, 10**6),
    st.integers(0, 10**9),
    jitter,
    wishes,
    st.one_of(st.none(), st.integers(0, 10**9)),
)
def test_the_next_attempt_lies_within_every_limit(policy, attempt, age_ms, uniform, after_s, expires_in):
    """Later than now, inside cap, age, expiry and number, or a reason to stop that the provider's wish is no part of."""
    now = Instant(NOON + age_ms)
    expires_at = None if expires_in is None else Instant(now + expires_in)
    due = next_attempt(
        policy,
        attempt=attempt,
        tried_at=NOON,
        now=now,
        uniform=uniform,
        after_s=after_s,
        expires_at=expires_at,
    )
    wished = 0.0 if after_s is None or math.isnan(after_s) else max(0.0, min(after_s, policy.cap_s))
    if isinstance(due, Reason):
        assert due in {Reason.ATTEMPTS_EXHAUSTED, Reason.TOO_OLD, Reason.EXPIRED}
        if due is Reason.ATTEMPTS_EXHAUSTED:
            assert attempt >= policy.max_attempts
        if due is Reason.TOO_OLD:
            assert age_ms + policy.cap_s * 1_000 + 1 > policy.max_age_s * 1_000
        if due is Reason.EXPIRED:
            assert expires_in is not None
            assert expires_in <= policy.cap_s * 1_000 + 1
        return
    assert attempt < policy.max_attempts
    assert now < due <= now + math.ceil((wished + policy.cap_s) * 1_000)
    last = min(NOON + policy.max_age_s * 1_000, math.inf if expires_at is None else expires_at - 1)
    assert due - now >= wished * 1_000 or due == math.floor(last)
    assert due <= NOON + policy.max_age_s * 1_000
    assert expires_at is None or due < expires_at


@given(policies, jitter)
def test_however_often_it_fails_it_ends(policy, uniform):
    """At most `max_attempts` calls, all of them inside the age limit."""
    now, calls = NOON, 1
    while True:
        due = next_attempt(policy, attempt=calls, tried_at=NOON, now=now, uniform=uniform)
        if isinstance(due, Reason):
            break
        now, calls = due, calls + 1
    assert calls <= policy.max_attempts
    assert now - NOON <= policy.max_age_s * 1_000


# -- limiter -------------------------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.floats(-1, 5, allow_nan=False), st.integers(0, 500), st.floats(0, 50)), max_size=40
)


@given(st.floats(0.05, 5_000), steps)
def test_no_more_is_granted_than_the_rate_allows(rate, steps):
    """In any stretch of time at most rate times its length plus the burst, also when the clock jumps back."""
    bucket = Bucket.of(rate)
    assert bucket is not None
    now, newest, grants = 1_000.0, 0.0, []
    for pause, wanted, reserve in steps:
        now += pause
        newest = max(newest, now)
        bucket, granted, wait_s = take(bucket, now, [1] * wanted, reserve=reserve)
        assert 0 <= granted <= wanted
        assert (wait_s > 0) == (granted < wanted)
        assert 0 <= bucket.tokens <= bucket.burst
        grants.append((newest, granted))
    for i, (began, _) in enumerate(grants):
        for j in range(i, len(grants)):
            total = sum(granted for _, granted in grants[i : j + 1])
            assert total <= rate * (grants[j][0] - began) + bucket.burst + 1e-6


@given(st.floats(0.05, 5_000), st.integers(1, 10_000), st.floats(0, 10_000))
def test_whoever_waits_as_told_gets_one(rate, wanted, reserve):
    """The announced wait is enough, with any reserve."""
    bucket = Bucket.of(rate)
    assert bucket is not None
    bucket, granted, wait_s = take(bucket, 0.0, [1] * wanted, reserve=reserve)
    if granted < wanted:
        assert take(bucket, wait_s + 0.001, [1], reserve=reserve)[1] == 1


@given(
    st.floats(0.05, 5_000),
    st.lists(
        st.tuples(st.floats(-1, 5, allow_nan=False), st.lists(st.integers(1, 20), max_size=30)), max_size=30
    ),
    st.floats(0, 50),
)
def test_what_costs_several_keeps_to_the_rate_but_for_one_that_is_larger_than_the_bucket(
    rate, batches, reserve
):
    """In any stretch at most rate times its length plus the burst, and what a single one costs beyond the burst."""
    bucket = Bucket.of(rate)
    assert bucket is not None
    now, newest, grants = 1_000.0, 0.0, []
    for pause, costs in batches:
        now += pause
        newest = max(newest, now)
        bucket, granted, wait_s = take(bucket, now, costs, reserve=reserve)
        assert (wait_s > 0) == (granted < len(costs))
        if granted < len(costs):
            assert take(bucket, newest + wait_s + 0.001, costs[granted:], reserve=reserve)[1] >= 1
        grants.append((newest, sum(costs[:granted])))
    for i, (began, _) in enumerate(grants):
        for j in range(i, len(grants)):
            total = sum(cost for _, cost in grants[i : j + 1])
            assert total <= rate * (grants[j][0] - began) + bucket.burst + 20 + 1e-6


# -- breaker -------------------------------------------------------------------------------------------------------

breaker_policies = st.builds(
    BreakerPolicy,
    bucket_s=st.sampled_from([0.5, 1.0, 3.0]),
    buckets=st.integers(1, 10),
    min_calls=st.integers(1, 20),
    failure_ratio=st.sampled_from([0.1, 0.5, 1.0]),
    cool_down_s=st.sampled_from([0.1, 2.0]),
    cool_down_cap_s=st.sampled_from([2.0, 60.0]),
    probes=st.integers(1, 5),
)
histories = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 30), st.integers(0, 30)), max_size=60)


@given(breaker_policies, histories)
def test_a_breaker_opens_only_for_failures_and_closes_only_for_successes(policy, history):
    """Whatever happens; and while it is open, no result changes it."""
    breaker, now = Breaker(policy=policy), 0.0
    for pause, ok, failed in history:
        now += pause
        before = state(breaker, now)
        after = record(breaker, now, ok, failed)
        change = (before, state(after, now))
        if before == "open":
            assert after is breaker
        if change in {("closed", "open"), ("half_open", "open")}:
            assert failed > 0 or policy.failure_ratio == 0
            assert 0 < open_for_s(after, now) <= policy.cool_down_cap_s + 1e-6
        if change == ("half_open", "closed"):
            assert ok > 0
            assert failed == 0
        assert change not in {("closed", "half_open"), ("open", "closed")}
        assert len(after.counts) <= policy.buckets
        breaker = after


@given(breaker_policies, histories)
def test_success_alone_never_opens_it(policy, history):
    """A provider that answers is never cut off."""
    breaker, now = Breaker(policy=policy), 0.0
    for pause, ok, _ in history:
        now += pause
        breaker = record(breaker, now, ok, 0)
        assert state(breaker, now) == "closed"


@given(breaker_policies, st.integers(1, 50))
def test_the_cool_down_grows_and_then_stays(policy, rounds):
    """A provider that stays down is asked ever more rarely, but never given up."""
    breaker, now, last = Breaker(policy=policy), 0.0, 0.0
    for _ in range(rounds):
        breaker = trip(breaker, now)
        length = open_for_s(breaker, now)
        assert length >= last - 1e-6
        assert length <= policy.cool_down_cap_s + 1e-6
        last = length
        now += length
        assert state(breaker, now) == "half_open"


@given(breaker_policies, st.integers(0, 10))
def test_half_open_lets_only_a_few_through(policy, under_way):
    """Never more under way together than probes that are still needed."""
    breaker = trip(Breaker(policy=policy), 0.0, 1.0)
    assert probes_left(breaker, 0.5, under_way) == 0
    left = probes_left(breaker, 1.0, under_way)
    assert left is not None
    assert left <= max(0, policy.probes - under_way)
    assert probes_left(breaker, 1.0, 0) == pytest.approx(policy.probes)
