"""Times in words above the nights on which clocks change: in every zone, each local time once on each date."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.ids import Instant
from clarion.rules.moments import instant_of, parsed
from tests.needs import DEEP
from tests.property.test_rules_hours import ZONES, changes

pytestmark = pytest.mark.timeout(1_800)
MINUTE, DAY = 60_000, 86_400_000
ODD = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Scoresbysund", "Antarctica/Troll"),
    *("Africa/Casablanca", "Asia/Gaza", "America/Havana", "Asia/Kathmandu"),
)
"""Gaps of half an hour and of two, at midnight, with the fast, and none."""
CLOCKS = [f"{hour:02d}:{minute:02d}" for hour in range(24) for minute in (0, 30)]


@lru_cache(maxsize=4)
def wall(zone: str, around: int) -> list[tuple[datetime, int]]:
    """What the clock shows, minute by minute, for the days before and behind an instant."""
    place = ZoneInfo(zone)
    minutes = range(around - 3 * DAY, around + 3 * DAY, MINUTE)
    return [(datetime.fromtimestamp(at / 1_000, place).replace(tzinfo=None), at) for at in minutes]


def awaited(zone: str, around: int, clock: str) -> list[int]:
    """For each date when the clock first shows this time or a later one, as somebody sees who watches it."""
    seen = wall(zone, around)
    highest, left = seen[0][0], []
    days = dict.fromkeys(shown.date() for shown, _ in seen)
    hour, minute = int(clock[:2]), int(clock[3:])
    wanted = [datetime.combine(day, datetime.min.time().replace(hour=hour, minute=minute)) for day in days]
    for shown, at in seen:
        while wanted and wanted[0] <= max(highest, shown):
            time = wanted.pop(0)
            if time > seen[0][0]:
                left.append(at)
        highest = max(highest, shown)
    return left


def fires(zone: str, around: int, clock: str) -> list[int]:
    """The instants that a run finds that waits for this time again and again."""
    found: list[int] = []
    moment, at = parsed(clock), Instant(around - 3 * DAY)
    while True:
        following = instant_of(moment, zone, at)
        assert following is not None
        if following > around + 3 * DAY - MINUTE:
            return found
        found.append(following)
        at = following


def require_each_once(zone: str, around: int, clock: str) -> None:
    """One instant for each date, the one at which the clock first came so far."""
    assert fires(zone, around, clock) == awaited(zone, around, clock), (zone, clock)


@pytest.mark.parametrize("zone", ODD)
def test_a_local_time_comes_once_on_each_date_while_the_clock_changes(zone):
    """In a gap when the gap is over; of a time that is shown twice the first."""
    for change in changes(zone, 2026) or (1_775_000_000,):
        for clock in CLOCKS if DEEP else CLOCKS[::3]:
            require_each_once(zone, change // 60 * MINUTE, clock)


@given(st.sampled_from(ZONES), st.integers(1990, 2036), st.sampled_from(CLOCKS))
def test_that_holds_in_any_zone_and_year(zone, year, clock):
    """Around each change of its clock that leaves every date there."""
    for change in changes(zone, year):
        around = change // 60 * MINUTE
        dates = {shown.date() for shown, _ in wall(zone, around)}
        if max(dates) - min(dates) == timedelta(days=len(dates) - 1):
            require_each_once(zone, around, clock)


@pytest.mark.skipif(not DEEP, reason="all zones take minutes: make deep")
def test_every_zone_keeps_every_half_hour_of_the_weeks_in_which_its_clock_changes():
    """None is lost, and none comes twice."""
    for zone in ZONES:
        for change in changes(zone, 2026):
            for clock in CLOCKS:
                require_each_once(zone, change // 60 * MINUTE, clock)


def test_a_date_that_a_zone_left_out_has_no_time():
    """Samoa went from the 29th to the 31st of December 2011."""
    at = Instant(round(datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia")).timestamp() * 1_000))
    following = instant_of(parsed("09:00"), "Pacific/Apia", at)
    assert following is not None
    assert datetime.fromtimestamp(following / 1_000, ZoneInfo("Pacific/Apia")).isoformat() == (
        "2011-12-31T09:00:00+14:00"
    )


@given(
    st.sampled_from(ZONES),
    st.integers(1_000_000_000_000, 2_100_000_000_000),
    st.sampled_from(
        ["09:00", "weekdays 02:30", "last sun of month 02:30", "day 31 of month 00:00", "end of day", "in 3h"]
    ),
    st.integers(0, 3 * DAY),
)
def test_a_time_is_later_than_its_anchor(zone, at, text, earliest_ms):
    """And than the earliest; one for which nobody waits as long is not later than one for which somebody does."""
    anchor, moment = Instant(at), parsed(text)
    found, later = instant_of(moment, zone, anchor), instant_of(moment, zone, anchor, earliest_ms)
    assert found is not None
    assert later is not None
    assert anchor < found <= later
    assert later >= anchor + earliest_ms
