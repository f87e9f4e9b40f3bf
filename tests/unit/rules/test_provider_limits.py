"""Limits of a provider: by second and day, and the plan by which a new sender is warmed up."""

from datetime import UTC, datetime

import pytest

from clarion.model.ids import Instant
from clarion.model.quota import QuotaAsk, QuotaState
from clarion.model.setup import IntegrationLimits, WarmUp
from clarion.rules.exact import take
from clarion.rules.provider_limits import day_limit

PLAN = WarmUp(since="2026-05-04", per_day=(50, 100, 500))


def at(text: str) -> Instant:
    """An instant in UTC."""
    return Instant(round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000))


@pytest.mark.parametrize(
    ("now", "per_day"),
    [
        ("2026-05-01T12:00", 50),
        ("2026-05-04T00:00", 50),
        ("2026-05-05T23:59", 100),
        ("2026-05-06T08:00", 200),
        ("2026-05-07T00:00", 200),
    ],
)
def test_a_plan_holds_beside_the_limit_of_a_day(now, per_day):
    """The lower of both; before its first day as on it, and behind its last day no more."""
    assert day_limit(IntegrationLimits(per_day=200, warm_up=PLAN), at(now)).per_day == per_day


def test_without_a_limit_nothing_holds():
    """Also when a plan is over."""
    assert day_limit(IntegrationLimits(), at("2026-05-04")).per_day is None
    assert day_limit(IntegrationLimits(warm_up=PLAN), at("2026-05-09")).per_day is None


@pytest.mark.parametrize(
    ("zone", "day", "resets_at"),
    [
        ("UTC", "2026-03-28", "2026-03-29T00:00"),
        ("America/Los_Angeles", "2026-03-28", "2026-03-29T07:00"),
        ("Asia/Tokyo", "2026-03-29", "2026-03-29T15:00"),
        ("Europe/Berlin", "2026-03-29", "2026-03-29T22:00"),
    ],
)
def test_a_day_begins_where_the_provider_counts(zone, day, resets_at):
    """Also on a day with 23 hours."""
    of_day = day_limit(IntegrationLimits(per_day=1, day_zone=zone), at("2026-03-28T23:30"))
    assert (of_day.day, of_day.resets_at) == (day, at(resets_at))


def ask(*costs: int, **fields) -> QuotaAsk:
    return QuotaAsk(costs=costs, **{"day": "2026-05-04", "resets_at": Instant(10_000), **fields})


def test_what_exceeds_a_day_waits_for_the_next():
    """In order: nobody is overtaken by a smaller one."""
    state, first = take(QuotaState(), ask(1, 1, 2, 1, per_day=3), Instant(4_000))
    assert (first.granted, first.by_day, first.wait_ms, first.used) == (2, True, 6_000, 2)
    state, second = take(state, ask(1, per_day=3), Instant(4_000))
    assert (second.granted, second.used) == (1, 3)
    state, third = take(state, ask(1, per_day=3, day="2026-05-05"), Instant(11_000))
    assert (third.granted, third.used) == (1, 1)


def test_a_process_whose_clock_is_behind_begins_no_day_anew():
    """What was used on the newest day counts."""
    state, _ = take(QuotaState(), ask(1, 1, per_day=2, day="2026-05-05"), Instant(0))
    assert take(state, ask(1, per_day=2, day="2026-05-04"), Instant(0))[1].granted == 0


def test_a_message_that_takes_more_than_a_day_has_still_goes():
    """First on its day; it would wait for ever otherwise."""
    state, grant = take(QuotaState(), ask(5, 1, per_day=3), Instant(0))
    assert (grant.granted, grant.used) == (1, 5)
    assert take(state, ask(1, per_day=3), Instant(0))[1].granted == 0


def test_what_the_limit_of_a_second_holds_back_does_not_count_for_the_day():
    """Only what goes is used."""
    _, grant = take(QuotaState(), ask(*[1] * 5, per_second=2, per_day=100), Instant(0))
    assert (grant.granted, grant.by_day, grant.used) == (2, False, 2)


def test_what_may_be_used_later_leaves_less_for_the_same_moment():
    """A second's limit piles up less, so that what was kept and what is taken are within it together; never below one."""
    _, grant = take(QuotaState(), ask(*[1] * 100, per_second=100, held_s=0.35), Instant(0))
    assert grant.granted == 65
    full, _ = take(QuotaState(), ask(per_second=100), Instant(0))
    assert take(full, ask(*[1] * 100, per_second=100, held_s=0.35), Instant(0))[1].granted == 65
    assert take(QuotaState(), ask(1, per_second=1, held_s=0.35), Instant(0))[1].granted == 1
