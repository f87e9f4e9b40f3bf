"""When schedules occur: on the calendar of a zone, through the nights in which clocks change."""

from datetime import datetime
from typing import Any

import pytest

from clarion.errors import InvalidInput
from clarion.model.ids import Instant
from clarion.model.schedule import Schedule
from clarion.rules.recurrence import check, following, nearest
from clarion.rules.time_format import rfc3339


def at(text: str) -> Instant:
    """The instant of an RFC 3339 text."""
    return Instant(round(datetime.fromisoformat(text).timestamp() * 1_000))


MADE = at("2020-01-01T08:15:00+01:00")


def schedule(**fields: Any) -> Schedule:
    """One that starts some workflow."""
    return Schedule(key="k", workflow="w", recipients=("ada",), **fields)


def times(after: str, most: int, **fields: Any) -> list[str]:
    """When it occurs behind `after`, in a tenant of Berlin."""
    return [
        rfc3339(one.at)[5:-4] for one in nearest(schedule(**fields), "Europe/Berlin", MADE, at(after), most)
    ]


@pytest.mark.parametrize(
    ("after", "fields", "wanted"),
    [
        ("2026-03-28T00:00Z", {"cron": "30 2 * * *"}, "03-28T01:30 03-29T01:00 03-30T00:30"),
        ("2026-10-24T00:00Z", {"cron": "30 2 * * *"}, "10-24T00:30 10-25T00:30 10-26T01:30"),
        ("2026-10-24T23:30Z", {"cron": "0 * * * *"}, "10-25T00:00 10-25T01:00 10-25T02:00"),
        ("2026-03-29T00:30Z", {"cron": "*/30 * * * *"}, "03-29T01:00 03-29T01:30 03-29T02:00"),
        ("2026-03-28T12:00Z", {"cron": "*/30 2 * * *"}, "03-29T01:00 03-30T00:00 03-30T00:30"),
        ("2026-03-28T12:00Z", {"cron": "0 9 * * mon"}, "03-30T07:00 04-06T07:00 04-13T07:00"),
        ("2026-03-28T12:00Z", {"cron": "0 9 L * *"}, "03-31T07:00 04-30T07:00 05-31T07:00"),
        (
            "2026-03-28T12:00Z",
            {"rrule": "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0"},
            "03-29T01:00 03-30T00:00 03-30T01:00",
        ),
        (
            "2026-10-24T12:00Z",
            {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"},
            "10-25T00:30 10-26T01:30 10-27T01:30",
        ),
        (
            "2026-03-28T00:00Z",
            {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR"},
            "03-30T06:15 04-03T06:15 04-13T06:15",
        ),
        (
            "2026-03-28T00:00Z",
            {"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9"},
            "04-24T07:15 05-29T07:15 06-26T07:15",
        ),
        ("2026-01-28T00:00Z", {"rrule": "FREQ=MONTHLY;BYMONTHDAY=31"}, "01-31T07:15 03-31T06:15 05-31T06:15"),
        ("2026-10-24T23:30Z", {"rrule": "FREQ=HOURLY;INTERVAL=2"}, "10-25T01:15 10-25T03:15 10-25T05:15"),
        (
            "2026-03-28T00:00Z",
            {"rrule": "FREQ=DAILY;UNTIL=20260330T061500Z"},
            "03-28T07:15 03-29T06:15 03-30T06:15",
        ),
        ("2026-03-28T00:00Z", {"rrule": "FREQ=DAILY;UNTIL=20260329"}, "03-28T07:15 03-29T06:15"),
        ("2020-01-01T00:00Z", {"rrule": "FREQ=DAILY;COUNT=2"}, "01-01T07:15 01-02T07:15"),
        ("2020-01-01T08:00Z", {"rrule": "FREQ=HOURLY;COUNT=3"}, "01-01T08:15 01-01T09:15"),
        (
            "2026-03-28T00:00Z",
            {"rrule": "RRULE:FREQ=DAILY\nEXDATE:20260329\nRDATE:20260329T120000"},
            "03-28T07:15 03-29T10:00 03-30T06:15",
        ),
        ("2026-03-28T00:00Z", {"starts_at": at("2026-04-01T09:00:00+02:00")}, "04-01T07:00"),
        ("2026-04-01T07:00Z", {"starts_at": at("2026-04-01T09:00:00+02:00")}, ""),
        ("2026-03-28T12:00Z", {"cron": "0 9 * * *", "ends_at": at("2026-03-29T07:00Z")}, "03-29T07:00"),
        ("2019-03-28T12:00Z", {"cron": "0 9 * * *"}, "01-01T08:00 01-02T08:00 01-03T08:00"),
        (
            "2011-12-29T12:00Z",
            {"cron": "0 9 * * *", "timezone": "Pacific/Apia", "starts_at": at("2011-12-01T00:00:00+00:00")},
            "12-29T19:00 12-30T19:00 12-31T19:00",
        ),
        (
            "2026-03-28T12:00Z",
            {"cron": "0 9 * * *", "timezone": "Asia/Kathmandu"},
            "03-29T03:15 03-30T03:15 03-31T03:15",
        ),
    ],
)
def test_occurrences_are_those_of_the_calendar(after, fields, wanted):
    """A time in the gap of a night is its end, one that is shown twice is the first; hours go on by elapsed time."""
    assert times(after.replace("Z", "+00:00"), 3, **fields) == wanted.split()


def test_by_the_clock_of_each_recipient_the_first_place_on_earth_counts():
    """Work begins a minute before it is time there; the clock of the recipients is kept with it."""
    found = following(
        schedule(cron="0 9 * * mon", timezone="recipient"),
        "Europe/Berlin",
        MADE,
        at("2026-03-28T00:00+00:00"),
    )
    assert found is not None
    assert (rfc3339(found.at), found.local) == ("2026-03-29T18:59:00Z", "2026-03-30T09:00:00")


@pytest.mark.parametrize("rule", ["FREQ=DAILY;INTERVAL=7;BYDAY=TU", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"])
def test_a_rule_that_never_occurs_comes_to_an_end(rule):
    """It began on a Wednesday; no February has 30 days."""
    assert following(schedule(rrule=rule), "UTC", MADE, MADE) is None


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({}, "starts_at", "send `rrule` or `cron` to repeat"),
        ({"rrule": "FREQ=DAILY", "cron": "0 9 * * *"}, "cron", "send one of"),
        ({"cron": "0 9 * *"}, "cron", "five fields"),
        ({"cron": "0 25 * * *"}, "cron", "bad hour"),
        ({"cron": "0 0 31 2 *"}, "cron", "bad day-of-month"),
        ({"cron": "0 9 * * *", "timezone": "Berlin"}, "timezone", "IANA"),
        (
            {"cron": "0 9 * * *", "starts_at": Instant(5), "ends_at": Instant(4)},
            "ends_at",
            "before `starts_at`",
        ),
        ({"rrule": "daily"}, "rrule", "NAME=VALUE"),
        ({"rrule": "FREQ=DAILY;FREQ=DAILY"}, "rrule", "each name once"),
        ({"rrule": "INTERVAL=2"}, "rrule", "FREQ must be one of"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule", "FREQ must be one of"),
        ({"rrule": "FREQ=HOURLY;BYHOUR=3"}, "rrule", "FREQ=DAILY with BYHOUR"),
        ({"rrule": "FREQ=DAILY;BYMONTHDAY=3"}, "rrule", "FREQ=MONTHLY or FREQ=YEARLY"),
        ({"rrule": "FREQ=DAILY;BYSECOND=3"}, "rrule", "BYSECOND is not supported"),
        ({"rrule": "FREQ=DAILY;BYHOUR=25"}, "rrule", "cannot be read"),
        ({"rrule": "FREQ=DAILY;BYTEATIME=5"}, "rrule", "cannot be read"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "rrule", "INTERVAL must be a number"),
        ({"rrule": "FREQ=DAILY;COUNT=10001"}, "rrule", "COUNT is at most"),
        ({"rrule": "FREQ=DAILY;UNTIL=tomorrow"}, "rrule", "local date or time"),
        ({"rrule": "FREQ=DAILY\nDTSTART:20260101T000000"}, "rrule", "begin with EXDATE"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fields, pointer, said):
    """So that it can be put right at once."""
    with pytest.raises(InvalidInput, match=said) as refused:
        check(schedule(**fields))
    assert refused.value.pointer == f"#/{pointer}"
