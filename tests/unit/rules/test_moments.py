"""Times in words: what they stand for, and what is told to whoever writes none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clarion.model.ids import Instant
from clarion.rules.moments import MomentError, given, instant_of, parsed

MONDAY = "2026-05-04T08:30"
"""A Monday, on the wall in Berlin."""


def instant(wall: str, offset: str = "+02:00") -> Instant:
    """When the clock shows this."""
    return Instant(round(datetime.fromisoformat(f"{wall}{offset}").timestamp() * 1_000))


def shown(at: Instant | None) -> str | None:
    """The instant in UTC."""
    return None if at is None else datetime.fromtimestamp(at / 1_000, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("09:00", "2026-05-04 07:00"),
        ("08:30", "2026-05-05 06:30"),
        ("08:00, 12:00,18:00", "2026-05-04 10:00"),
        ("daily 07:00", "2026-05-05 05:00"),
        ("next weekday 09:00", "2026-05-04 07:00"),
        ("weekdays 08:00", "2026-05-05 06:00"),
        ("weekend 10:00", "2026-05-09 08:00"),
        ("mon,thu 18:30", "2026-05-04 16:30"),
        ("Thu, Monday 08:00", "2026-05-07 06:00"),
        ("first mon of month 08:00", "2026-06-01 06:00"),
        ("first mon of the month 09:00", "2026-05-04 07:00"),
        ("fourth tue of month 09:00", "2026-05-26 07:00"),
        ("last fri of month 17:00", "2026-05-29 15:00"),
        ("day 1 of month 09:00", "2026-06-01 07:00"),
        ("day 31 of month 09:00", "2026-05-31 07:00"),
        ("next day 30 of month or last 09:00", "2026-05-30 07:00"),
        ("in 2h", "2026-05-04 08:30"),
        ("in 1d12h", "2026-05-05 18:30"),
        ("in 1d at 09:00", "2026-05-05 07:00"),
        ("in 1w at 09:00", "2026-05-11 07:00"),
        ("2026-12-24 09:00", "2026-12-24 08:00"),
        ("2026-12-24", "2026-12-23 23:00"),
        ("2026-05-01 09:00", "2026-05-01 07:00"),
        ("2026-05-04 07:00, 10:00", "2026-05-04 08:00"),
        ("end of hour", "2026-05-04 06:59"),
        ("end of day", "2026-05-04 21:59"),
        ("end of week", "2026-05-10 21:59"),
        ("end of month", "2026-05-31 21:59"),
        ("start of next hour", "2026-05-04 07:00"),
        ("start of next day", "2026-05-04 22:00"),
        ("start of next week", "2026-05-10 22:00"),
        ("Start of next  month", "2026-05-31 22:00"),
    ],
)
def test_a_time_is_the_first_that_is_later(text, utc):
    """Seen from a Monday, half past eight in Berlin; a date that has passed is in the past."""
    assert shown(instant_of(parsed(text), "Europe/Berlin", instant(MONDAY))) == utc


def test_days_that_a_month_lacks_are_passed_over():
    """Unless the last one stands for them."""
    april = instant("2026-04-01T00:00")
    assert shown(instant_of(parsed("day 31 of month 09:00"), "Europe/Berlin", april)) == "2026-05-31 07:00"
    last = parsed("day 31 of month or last 09:00")
    assert shown(instant_of(last, "Europe/Berlin", april)) == "2026-04-30 07:00"


def test_the_last_minute_of_an_hour_leads_to_that_of_the_next():
    """Later than then, whatever the time."""
    at = instant("2026-05-04T08:59")
    assert shown(instant_of(parsed("end of hour"), "Europe/Berlin", at)) == "2026-05-04 07:59"


@pytest.mark.parametrize(
    ("text", "earliest_h", "utc"),
    [
        ("09:00", 1, "2026-05-05 07:00"),
        ("in 30m", 1, "2026-05-04 07:30"),
        ("2026-05-01 09:00", 1, "2026-05-04 07:30"),
        ("2026-05-04 10:00", 1, "2026-05-04 08:00"),
    ],
)
def test_nothing_comes_before_the_earliest(text, earliest_h, utc):
    """The next such time does, or the earliest itself."""
    moment = parsed(text)
    assert shown(instant_of(moment, "Europe/Berlin", instant(MONDAY), earliest_h * 3_600_000)) == utc


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is no time: write one like 09:00"),
        ("tomorrow", "this is no time"),
        ("9:00", "this is no time"),
        ("24:00", "this is no time"),
        ("moon 09:00", "there is no day `moon`: did you mean `mon`?"),
        ("mon,weekend 09:00", "there is no day `weekend`"),
        ("frist mon of month 09:00", "did you mean `first`?"),
        ("fifth mon of month 09:00", "there is no ordinal `fifth`"),
        ("last weekday of month 09:00", "there is no day `weekday`"),
        ("day 32 of month 09:00", "the days 1 to 31, not 32"),
        ("in 5h at 09:00", "a number of days or weeks"),
        ("in 401d", "more than 400 days ahead"),
        ("2026-02-30 09:00", "there is no date 2026-02-30"),
        ("end of year", "there is no unit `year`"),
    ],
)
def test_what_is_no_time_is_told_apart(text, said):
    """With what to write instead."""
    with pytest.raises(MomentError, match=r"^") as wrong:
        parsed(text)
    assert said in str(wrong.value)


def test_a_time_that_never_comes_is_none():
    """As on a date that a zone left out."""
    assert instant_of(parsed("2011-12-30 09:00"), "Pacific/Apia", instant("2011-12-01T00:00")) is None


@pytest.mark.parametrize(
    ("value", "utc"),
    [
        ("2026-05-04T09:00:00Z", "2026-05-04 09:00"),
        ("2026-05-04T09:00:00.500+02:00", "2026-05-04 07:00"),
        ("2026-05-04T09:00", "2026-05-04 07:00"),
        ("2026-05-04", "2026-05-03 22:00"),
    ],
)
def test_data_may_say_the_time(value, utc):
    """With an offset, or as the clock of the zone shows it."""
    assert shown(given(value, "Europe/Berlin")) == utc


@pytest.mark.parametrize("value", [None, 1_800_000_000, "soon", "", True, "2026-13-01"])
def test_data_that_say_no_time_are_told(value):
    """With how a time is written."""
    with pytest.raises(MomentError, match="no time like"):
        given(value, "UTC")
