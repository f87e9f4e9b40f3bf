"""Daily wall-clock windows in a person's zone, as instants: exact across daylight saving time.

The windows are first united on the clock face of one week, so overlapping and adjacent ones are one. Then each
week is laid onto the time line. Where the clock jumps, an edge that does not exist becomes the first instant
behind the gap. Where the clock repeats an hour, an edge exists twice, and the careful one is taken: quiet hours
start at the first and end at the second, send windows the other way round.

A time line of some weeks is computed once per (windows, zone, week) and kept; a question is then one bisection.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import product
from zoneinfo import ZoneInfo

from clarion.model.ids import Instant
from clarion.model.user import WEEK, Window
from clarion.rules.time_format import FOREVER

DAYS = tuple(day.title() for day in WEEK)

_DAY = 24 * 60
_WEEK = 7 * _DAY
_WEEK_MS = _WEEK * 60_000
_EPOCH = date(1970, 1, 1).toordinal()
_SECOND = timedelta(seconds=1)
_LOOK_AHEAD_MS = 8 * 24 * 3_600_000
_WEEKS_AHEAD = 4
"""How far to look for a weekly window whose next occurrences all fall into gaps of the clock."""

_CLOCK = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_NOT_ZONES = ("right/", "posix/", "posixrules", "localtime", "Factory")
"""Names the tz database can open that say nothing about where a person is (`right/` counts leap seconds)."""

_Span = tuple[int, int]
_ALWAYS: tuple[_Span, ...] = ((0, _WEEK),)


def is_clock(text: str) -> bool:
    """Whether it is a time of the day like 07:30."""
    return _CLOCK.fullmatch(text) is not None


def check_window(window: Window) -> str | None:
    """What is wrong with a window, for whoever typed it; None when nothing is."""
    for name, value in (("start", window.start), ("end", window.end)):
        if not is_clock(value):
            return f"{name} must be a time like 07:30 or 22:00 (00:00 to 23:59), not {value!r}"
    if not window.days:
        return f"days must name at least one weekday: {', '.join(WEEK)}"
    return None


def check_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone such as `Europe/Berlin`."""
    try:
        zone_info(name)
    except ValueError:
        return False
    return True


def window_end(windows: Sequence[Window], zone: str, now: Instant) -> Instant | None:
    """When quiet hours that are on `now` end (`FOREVER` if they never do); None when they are off.

    Raises ValueError for an unknown zone or a malformed window.
    """
    inside, until = state(tuple(windows), zone, now)
    return until if inside else None


def next_start(windows: Sequence[Window], zone: str, now: Instant) -> Instant | None:
    """When the next window starts after `now`; None when none does within eight days."""
    starts, _ = _time_line(tuple(windows), zone, now // _WEEK_MS, False)
    behind = bisect_right(starts, now)
    if behind == len(starts) or starts[behind] - now > _LOOK_AHEAD_MS:
        return None
    return Instant(starts[behind])


def window_opening(windows: Sequence[Window], zone: str, now: Instant) -> Instant | None:
    """When a send window opens next (`FOREVER` if none ever does); None when one is open, or none is set."""
    if not windows:
        return None
    inside, until = state(tuple(windows), zone, now, careful_inside=True)
    return None if inside else until


def meet(first: Sequence[Window], second: Sequence[Window]) -> bool:
    """Whether both are ever open together, on the clock face of a week; none at all is always open."""
    if not first or not second:
        return True
    pairs = product(_spans(tuple(first)), _spans(tuple(second)))
    return any(
        start + week < other_end and other_start < end + week
        for (start, end), (other_start, other_end) in pairs
        for week in (-_WEEK, 0, _WEEK)
    )


def state(
    windows: tuple[Window, ...], zone: str, now: Instant, *, careful_inside: bool = False
) -> tuple[bool, Instant]:
    """Whether `now` lies inside a window, and until when that stays so.

    `careful_inside` says which way doubt goes in a repeated hour: False counts it as inside (quiet hours),
    True as outside (send windows).
    """
    week = now // _WEEK_MS
    for ahead in range(_WEEKS_AHEAD):
        starts, ends = _time_line(windows, zone, week + ahead, careful_inside)
        behind = bisect_right(starts, now)
        if behind and now < ends[behind - 1]:
            return True, Instant(ends[behind - 1])
        if behind < len(starts):
            return False, Instant(starts[behind])
    return False, FOREVER


@lru_cache(maxsize=8_192)
def _time_line(
    windows: tuple[Window, ...], zone: str, week: int, careful_inside: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Starts and ends, ascending and disjoint: all that are on in that week since the epoch, and eight days more."""
    place = zone_info(zone)
    spans = _spans(windows)
    if spans == _ALWAYS:
        return (-FOREVER,), (FOREVER,)
    starts: list[int] = []
    ends: list[int] = []
    over = (week * 7 - 2) * _DAY
    for monday in range(week * 7 - 10, week * 7 + 12, 7):  # the epoch was a Thursday
        for first, last in spans:
            if monday * _DAY + last < over:
                continue
            start, end = _edges(monday, first, last, place, careful_inside)
            if start >= end:
                continue  # The clock jumped over it.
            if starts and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
    return tuple(starts), tuple(ends)


def _edges(monday: int, first: int, last: int, zone: ZoneInfo, careful_inside: bool) -> _Span:
    start = _instant(monday, first, zone, fold=careful_inside)
    end = _instant(monday, last, zone, fold=not careful_inside)
    if start >= end:
        # All of it lies in a repeated hour (or in a gap): its first pass is right as well.
        end = max(end, _instant(monday, last, zone, fold=False))
        start = min(start, _instant(monday, first, zone, fold=False))
    return start, end


def _instant(monday: int, minute: int, zone: ZoneInfo, *, fold: bool) -> int:
    """The instant of a wall-clock time (`monday` in days since the epoch); `fold` picks the second where it exists twice."""
    days, minute = divmod(minute, _DAY)
    days += monday
    day = date.fromordinal(_EPOCH + days)
    wall = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
    seconds = days * 86_400 + minute * 60
    first, second = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert first is not None  # it has a zone
    assert second is not None
    if first < second:
        return _behind_gap(seconds, first, second, zone) * 1_000
    return (seconds - (second if fold else first) // _SECOND) * 1_000


def _behind_gap(seconds: int, before: timedelta, after: timedelta, zone: ZoneInfo) -> int:
    """The second at which the clock jumps over the local time `seconds`."""
    early, late = seconds - after // _SECOND, seconds - before // _SECOND
    while late - early > 1:
        middle = (early + late) // 2
        offset = datetime.fromtimestamp(middle, zone).utcoffset()
        assert offset is not None
        if middle + offset // _SECOND >= seconds:
            late = middle
        else:
            early = middle
    return late


@lru_cache(maxsize=2_048)
def _spans(windows: tuple[Window, ...]) -> tuple[_Span, ...]:
    """The union of the windows in minutes since Monday 00:00; the last span may run into the next week."""
    spans = sorted(span for window in windows for span in _daily(window))
    united: list[_Span] = []
    for start, end in spans:
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    if any(end - start >= _WEEK for start, end in united):
        return _ALWAYS
    return tuple(united)


def _daily(window: Window) -> list[_Span]:
    wrong = check_window(window)
    if wrong:
        raise ValueError(f"window {window.start}-{window.end}: {wrong}")
    start, end = _minutes(window.start), _minutes(window.end)
    length = (end - start) % _DAY or _DAY
    return [(day * _DAY + start, day * _DAY + start + length) for day in map(WEEK.index, window.days)]


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


@lru_cache(maxsize=1_024)
def zone_info(name: str) -> ZoneInfo:
    """The zone of this name. Raises ValueError."""
    if not name.startswith(_NOT_ZONES):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    raise ValueError(f"{name!r} is not an IANA time zone; use a name like Europe/Berlin")


def instant_of_clock(wall: datetime, zone: str) -> Instant:
    """When the clock on the wall shows `wall` for the first time; in a gap of the clock: when the gap is over."""
    day = wall.date().toordinal() - _EPOCH
    at = _instant(day, wall.hour * 60 + wall.minute, zone_info(zone), fold=False)
    return Instant(at + wall.second * 1_000)


def local_clock(zone: str, at: Instant) -> str:
    """What the clock on the wall shows: `Sun 22:05`."""
    wall = datetime.fromtimestamp(at // 1000, zone_info(zone))
    return f"{DAYS[wall.weekday()]} {wall.hour:02d}:{wall.minute:02d}"
