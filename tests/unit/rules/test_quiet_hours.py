"""Wall-clock windows as instants, above all on the two days a year on which the clock jumps."""

import pytest

from clarion.model.ids import Instant
from clarion.model.user import WEEK, Day, Window
from clarion.rules.quiet_hours import (
    check_window,
    check_zone,
    local_clock,
    meet,
    next_start,
    window_end,
    window_opening,
)
from clarion.rules.time_format import FOREVER, rfc3339
from tests.unit.rules.examples import BERLIN, NIGHT, at

NEW_YORK = "America/New_York"


def test_a_night_window_ends_the_next_morning():
    """At 23:30 quiet hours from 22:00 to 08:00 end at 08:00 of the next day."""
    assert window_end([NIGHT], BERLIN, at("2026-06-01 23:30", BERLIN)) == at("2026-06-02 08:00", BERLIN)


def test_a_night_window_is_still_on_after_midnight():
    """At 03:00 it is the window that started the evening before."""
    assert window_end([NIGHT], BERLIN, at("2026-06-02 03:00", BERLIN)) == at("2026-06-02 08:00", BERLIN)


@pytest.mark.parametrize(
    ("clock", "on"), [("21:59", False), ("22:00", True), ("07:59", True), ("08:00", False)]
)
def test_a_window_includes_its_start_and_not_its_end(clock, on):
    """The edges belong to exactly one side."""
    assert (window_end([NIGHT], BERLIN, at(f"2026-06-03 {clock}", BERLIN)) is not None) is on


def test_no_windows_are_never_on():
    """Who set no quiet hours has none."""
    assert window_end([], BERLIN, at("2026-06-01 23:30")) is None
    assert next_start([], BERLIN, at("2026-06-01 23:30")) is None


def test_the_weekday_is_the_one_on_which_the_window_starts():
    """Friday's window runs into Saturday morning, and there is none on Saturday evening."""
    friday = [Window(start="22:00", end="08:00", days=(Day.FRI,))]
    assert window_end(friday, BERLIN, at("2026-06-06 07:00", BERLIN)) == at("2026-06-06 08:00", BERLIN)
    assert window_end(friday, BERLIN, at("2026-06-06 23:00", BERLIN)) is None
    assert window_end(friday, BERLIN, at("2026-06-05 07:00", BERLIN)) is None


def test_adjacent_and_overlapping_windows_are_one():
    """What starts before, or exactly when, another ends is chained to it."""
    windows = [
        Window(start="20:00", end="22:00"),
        Window(start="22:00", end="02:00"),
        Window(start="01:00", end="06:30"),
    ]
    assert window_end(windows, BERLIN, at("2026-06-01 20:30", BERLIN)) == at("2026-06-02 06:30", BERLIN)


def test_a_chain_may_run_over_the_end_of_the_week():
    """Weekend plus the nights around it: Friday 22:00 to Monday 08:00."""
    weekend = [
        Window(start="22:00", end="22:00", days=(Day.FRI, Day.SAT)),
        Window(start="22:00", end="08:00", days=(Day.SUN,)),
    ]
    assert window_end(weekend, BERLIN, at("2026-06-05 22:00", BERLIN)) == at("2026-06-08 08:00", BERLIN)


def test_a_chain_goes_on_where_one_week_ends_and_the_next_begins():
    """Sunday evening and Monday morning touch at midnight."""
    windows = [
        Window(start="20:00", end="00:00", days=(Day.SUN,)),
        Window(start="00:00", end="08:00", days=(Day.MON,)),
    ]
    sunday = at("2026-06-07 21:00", BERLIN)
    assert window_end(windows, BERLIN, sunday) == at("2026-06-08 08:00", BERLIN)
    assert next_start(windows, BERLIN, sunday) == at("2026-06-14 20:00", BERLIN)


def test_windows_that_touch_only_because_the_clock_jumped_are_one_that_night():
    """22:00-02:00 and 03:00-08:00 have an hour between them, but not on 29 March 2026 in Berlin."""
    windows = [Window(start="22:00", end="02:00"), Window(start="03:00", end="08:00")]
    assert window_end(windows, BERLIN, at("2026-03-28 23:00", BERLIN)) == at("2026-03-29 08:00", BERLIN)
    assert window_end(windows, BERLIN, at("2026-03-29 23:00", BERLIN)) == at("2026-03-30 02:00", BERLIN)


def test_equal_start_and_end_mean_a_whole_day():
    """`09:00-09:00` on Mondays lasts until Tuesday 09:00."""
    monday = [Window(start="09:00", end="09:00", days=(Day.MON,))]
    assert window_end(monday, BERLIN, at("2026-06-01 09:00", BERLIN)) == at("2026-06-02 09:00", BERLIN)


def test_quiet_hours_without_a_gap_never_end():
    """All day, every day has no end, in every zone and on every day."""
    always = Window(start="12:00", end="12:00")
    for windows in ([always], [Window(start="00:00", end="00:01"), always]):
        assert window_end(windows, BERLIN, at("2026-03-29 01:30")) == FOREVER
        assert next_start(windows, BERLIN, at("2026-03-29 01:30")) is None


def test_an_end_that_does_not_exist_is_the_first_instant_after_the_gap():
    """On 29 March 2026 Berlin has no 02:30: quiet hours until 02:30 end when the clock jumps to 03:00."""
    windows = [Window(start="22:00", end="02:30")]
    end = window_end(windows, BERLIN, at("2026-03-28 23:00", BERLIN))
    assert end is not None
    assert rfc3339(end) == "2026-03-29T01:00:00Z"
    assert end == at("2026-03-29 03:00", BERLIN)


def test_an_end_that_exists_twice_is_the_later_one():
    """On 25 October 2026 Berlin has 02:30 twice: quiet hours hold until the second."""
    windows = [Window(start="22:00", end="02:30")]
    end = window_end(windows, BERLIN, at("2026-10-24 23:00", BERLIN))
    assert end == at("2026-10-25 02:30", BERLIN, fold=1)
    assert end != at("2026-10-25 02:30", BERLIN, fold=0)


def test_a_start_that_exists_twice_is_the_earlier_one():
    """Quiet hours from 02:30 begin at the first 02:30 and stay on through the repeated hour."""
    windows = [Window(start="02:30", end="06:00")]
    assert window_end(windows, BERLIN, at("2026-10-25 02:10", BERLIN, fold=1)) == at(
        "2026-10-25 06:00", BERLIN
    )


def test_a_night_is_an_hour_shorter_or_longer_when_the_clock_changes():
    """The end is a wall-clock time, not a number of hours."""
    assert (
        window_end([NIGHT], BERLIN, at("2026-03-28 22:00", BERLIN))
        == at("2026-03-28 22:00", BERLIN) + 9 * 3_600_000
    )
    assert (
        window_end([NIGHT], BERLIN, at("2026-10-24 22:00", BERLIN))
        == at("2026-10-24 22:00", BERLIN) + 11 * 3_600_000
    )


def test_a_window_inside_a_gap_does_not_happen():
    """02:10-02:40 is skipped on the day on which the clock jumps over it; it comes again the day after."""
    windows = [Window(start="02:10", end="02:40")]
    assert next_start(windows, BERLIN, at("2026-03-28 03:00", BERLIN)) == at("2026-03-30 02:10", BERLIN)


def test_a_day_that_a_zone_skipped_has_no_window_of_its_own():
    """Samoa left out 30 December 2011: its evening window starts with the first minute of the 31st."""
    windows = [Window(start="22:00", end="08:00", days=(Day.FRI,))]
    assert next_start(windows, "Pacific/Apia", at("2011-12-29 23:00", "Pacific/Apia")) == at(
        "2011-12-31 00:00", "Pacific/Apia"
    )


def test_the_next_start_is_known_for_eight_days_at_most():
    """A weekly window is found when it is due within the horizon, wherever in the week we ask."""
    sunday = [Window(start="10:00", end="11:00", days=(Day.SUN,))]
    assert next_start(sunday, NEW_YORK, at("2026-06-07 10:30", NEW_YORK)) == at("2026-06-14 10:00", NEW_YORK)
    one_hour_of_the_year = [Window(start="02:15", end="02:45", days=(Day.SUN,))]
    assert next_start(one_hour_of_the_year, NEW_YORK, at("2026-03-01 03:00", NEW_YORK)) is None


def test_a_send_window_is_open_or_says_when_it_opens():
    """Sending is allowed from 08:00 to 21:00 on the wall of the recipient."""
    office = [Window(start="08:00", end="21:00")]
    assert window_opening(office, NEW_YORK, at("2026-06-01 12:00", NEW_YORK)) is None
    assert window_opening(office, NEW_YORK, at("2026-06-01 21:00", NEW_YORK)) == at(
        "2026-06-02 08:00", NEW_YORK
    )
    assert window_opening([], NEW_YORK, at("2026-06-01 03:00", NEW_YORK)) is None


def test_a_send_window_never_opens_early_in_a_repeated_hour():
    """Doubt goes the other way for senders: 01:30 that exists twice opens the window the second time only."""
    window = [Window(start="01:30", end="06:00")]
    first = at("2026-11-01 01:45", NEW_YORK, fold=0)
    assert window_opening(window, NEW_YORK, first) == at("2026-11-01 01:30", NEW_YORK, fold=1)
    closing = [Window(start="20:00", end="01:30")]
    assert window_opening(closing, NEW_YORK, first) is not None
    assert window_opening(closing, NEW_YORK, at("2026-11-01 01:15", NEW_YORK, fold=1)) is not None


def test_a_send_window_inside_the_repeated_hour_is_open_once():
    """01:10-01:20 is open in the first pass of the hour."""
    window = [Window(start="01:10", end="01:20")]
    assert window_opening(window, NEW_YORK, at("2026-11-01 01:15", NEW_YORK, fold=0)) is None
    assert window_opening(window, NEW_YORK, at("2026-11-01 01:15", NEW_YORK, fold=1)) is not None


def test_a_weekly_window_that_falls_into_the_gap_opens_a_week_later():
    """Sundays 02:15-02:45 does not exist on 8 March 2026 in New York, but on the 15th."""
    window = [Window(start="02:15", end="02:45", days=(Day.SUN,))]
    assert window_opening(window, NEW_YORK, at("2026-03-01 03:00", NEW_YORK)) == at(
        "2026-03-15 02:15", NEW_YORK
    )


@pytest.mark.parametrize(
    "zone", ["", "Mars/Olympus", "europe/berlin", "Europe", "right/Europe/Berlin", "../UTC", "x" * 999]
)
def test_an_unknown_zone_is_refused_and_never_taken_for_utc(zone):
    """A wrong zone would move every night; the edge asks `check_zone` first."""
    assert not check_zone(zone)
    with pytest.raises(ValueError, match="IANA time zone"):
        window_end([NIGHT], zone, at("2026-06-01 23:30"))


@pytest.mark.parametrize(
    "zone", ["UTC", BERLIN, "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]
)
def test_iana_zones_are_known(zone):
    """What a browser reports as its zone is accepted."""
    assert check_zone(zone)


@pytest.mark.parametrize(
    ("window", "says"),
    [
        (Window(start="24:00", end="08:00"), "start"),
        (Window(start="22:00", end="8:00"), "end"),
        (Window(start="22:00", end="08:60"), "end"),
        (Window(start="٢٢:٠٠", end="08:00"), "start"),
        (Window(start="22:00", end="08:00", days=()), "days"),
    ],
)
def test_a_malformed_window_is_explained(window, says):
    """Whoever typed it reads which field is wrong; it is never guessed at."""
    wrong = check_window(window)
    assert wrong is not None
    assert wrong.startswith(says)
    with pytest.raises(ValueError, match=says):
        window_end([window], BERLIN, at("2026-06-01 23:30"))


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "Pacific/Kiritimati", "Etc/GMT+12"])
def test_windows_have_an_answer_up_to_the_end_of_time(zone):
    """Also in the last week before `FOREVER`, which is where a verdict that never changes is asked again."""
    for now in range(FOREVER - 7 * 86_400_000, FOREVER + 1, 3_600_000):
        end, opens = (ask([NIGHT], zone, Instant(now)) for ask in (window_end, window_opening))
        assert (end is None) is (opens is not None)
        assert now < (end or opens or 0) <= now + 14 * 3_600_000
        assert local_clock(zone, Instant(now))


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ((), (), True),
        ((), ("09:00-17:00",), True),
        (("09:00-17:00",), ("16:59-18:00",), True),
        (("09:00-17:00",), ("17:00-18:00",), False),
        (("09:00-17:00",), ("18:00-20:00", "08:00-09:01"), True),
        (("22:00-08:00 4",), ("00:00-01:00 5",), True),
        (("22:00-08:00 4",), ("00:00-01:00 4",), False),
        (("22:00-08:00 6",), ("07:00-09:00 0",), True),
        (("00:00-00:00",), ("03:00-03:01 2",), True),
        (("09:00-17:00 012",), ("09:00-17:00 3456",), False),
    ],
)
def test_windows_meet_when_some_minute_of_the_week_lies_in_both(first, second, together):
    """Over midnight and over the end of the week as well, whichever comes first."""
    ours, theirs = ([_window(text) for text in texts] for texts in (first, second))
    assert meet(ours, theirs) is together
    assert meet(theirs, ours) is together


def _window(text: str) -> Window:
    """From `22:00-08:00`, on all days or on those named behind it."""
    hours, _, days = text.partition(" ")
    start, end = hours.split("-")
    return Window(start=start, end=end, days=tuple(WEEK[int(day)] for day in days or "0123456"))


def test_a_good_window_has_nothing_wrong():
    """Midnight, whole days and single weekdays are all fine."""
    assert check_window(NIGHT) is None
    assert check_window(Window(start="00:00", end="00:00", days=(Day.MON,))) is None
