"""Times in words, as instants in a zone: `09:00`, `next weekday 09:00`, `mon,thu 18:30`, `in 1d at 09:00`.

A time on the wall is one instant: the first at which the clock shows it or more. So a time that the clock jumps over
comes when the gap is over, and one that it shows twice comes once, at the first. A date that a zone left out has no times.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from functools import lru_cache

import msgspec

from clarion.model.ids import Instant
from clarion.model.user import WEEK
from clarion.rules.match import closest
from clarion.rules.quiet_hours import instant_of_clock, zone_info

FURTHEST_DAYS = 400
"""How far ahead a time is looked for."""
WORDS = "09:00 · weekdays 09:00 · mon,thu 18:30 · first mon of month 09:00 · in 1d at 09:00 · end of day · 2026-12-24 09:00"
"""What is told to whoever wrote none."""

_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000
_UNITS = {"s": 1_000, "m": _MINUTE_MS, "h": _HOUR_MS, "d": _DAY_MS, "w": 7 * _DAY_MS}
_EVERY_DAY, _WEEKDAYS, _WEEKEND = frozenset(range(7)), frozenset(range(5)), frozenset({5, 6})
_GROUPS = {
    "day": _EVERY_DAY,
    "daily": _EVERY_DAY,
    "weekday": _WEEKDAYS,
    "weekdays": _WEEKDAYS,
    "weekend": _WEEKEND,
}
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMES = {name: number for names in (WEEK, _LONG) for number, name in enumerate(names)}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}

_CLOCK = r"(?P<times>(?:[01][0-9]|2[0-3]):[0-5][0-9](?:\s*,\s*(?:[01][0-9]|2[0-3]):[0-5][0-9])*)"
_ON_DAYS = re.compile(rf"(?:next\s+)?(?:(?P<days>[a-z]+(?:\s*,\s*[a-z]+)*)\s+)?{_CLOCK}", re.ASCII)
_ON_NTH = re.compile(
    rf"(?:next\s+)?(?P<nth>[a-z]+)\s+(?P<days>[a-z]+)\s+of\s+(?:the\s+)?month\s+{_CLOCK}", re.ASCII
)
_ON_NUMBER = re.compile(
    rf"(?:next\s+)?day\s+(?P<number>[0-9]+)\s+of\s+(?:the\s+)?month(?P<last>\s+or\s+last)?\s+{_CLOCK}",
    re.ASCII,
)
_IN = re.compile(rf"in\s+(?P<length>(?:[0-9]+[smhdw])+)(?:\s+at\s+{_CLOCK})?", re.ASCII)
_ON_DATE = re.compile(rf"(?P<date>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:\s+{_CLOCK})?", re.ASCII)
_EDGE = re.compile(r"(?P<edge>end of|start of next)\s+(?:the\s+)?(?P<unit>[a-z]+)", re.ASCII)
_PERIOD = re.compile(
    r"P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?",
    re.ASCII,
)
_PART = re.compile(r"([0-9]+)([smhdw])", re.ASCII)
_OFFSET = re.compile(r"(?:[zZ]|[+-][0-9]{2}:[0-9]{2})$", re.ASCII)


class MomentError(ValueError):
    """A text is no time, or has no instant."""


class Days(msgspec.Struct, frozen=True):
    """At some times of some days."""

    times: tuple[int, ...]
    """Minutes of the day, ascending."""
    weekdays: frozenset[int] = _EVERY_DAY
    nth: int = 0
    """Only the first (1) to fourth such day of its month, or the last (-1); 0: all of them."""
    number: int = 0
    """Only this day of its month; 0: all of them."""
    or_last: bool = False
    """The last day of months that are shorter."""

    def after(self, zone: str, after: Instant) -> Instant | None:
        """The first that is later; None: there is none within 400 days."""
        first = _local(zone, after).date()
        for ahead in range(FURTHEST_DAYS + 1):
            day = first + timedelta(days=ahead)
            if not self._has(day):
                continue
            for at in _instants(day, self.times, zone):
                if at > after:
                    return at
        return None

    def _has(self, day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        if self.number:
            return day.day == (min(self.number, length) if self.or_last else self.number)
        if day.weekday() not in self.weekdays:
            return False
        return not self.nth or (day.day + 7 > length if self.nth < 0 else (day.day - 1) // 7 + 1 == self.nth)


class Later(msgspec.Struct, frozen=True):
    """So long after the anchor."""

    length_ms: int
    times: tuple[int, ...] = ()
    """At these times of the day that is so many days later."""


class OnDate(msgspec.Struct, frozen=True):
    """On one date."""

    day: date
    times: tuple[int, ...] = (0,)


class UnitEdge(msgspec.Struct, frozen=True):
    """Where the hour, day, week or month ends, or the next one starts."""

    unit: str
    end: bool
    """The last minute, not the first of the next one."""


class Period(msgspec.Struct, frozen=True):
    """So much later by the calendar."""

    months: int
    days: int
    length_ms: int
    """Elapsed time behind these."""


Moment = Days | Later | OnDate | UnitEdge | Period


def in_words(text: str) -> bool:
    """Whether a text is meant as a time in words, not as an expression."""
    return not any(sign in text for sign in ".()[]{}'\"<>=?")


def period(text: str) -> Period:
    """An ISO 8601 period: `P3D`, `P1M`, `P1DT12H`. Raises MomentError with what to write instead."""
    found = _PERIOD.fullmatch(text)
    years, months, weeks, days, hours, minutes, seconds = (
        [int(number or 0) for number in found.groups()] if found else [0] * 7
    )
    if not any((years, months, weeks, days, hours, minutes, seconds)):
        raise MomentError(f"{text!r} is no period: write one like P3D, P1M or P1DT12H")
    length_ms = ((hours * 60 + minutes) * 60 + seconds) * 1_000
    if (years * 12 + months) * 31 + weeks * 7 + days + length_ms / _DAY_MS > FURTHEST_DAYS:
        raise MomentError(f"this is more than {FURTHEST_DAYS} days ahead")
    return Period(years * 12 + months, weeks * 7 + days, length_ms)


@lru_cache(maxsize=1_024)
def parsed(text: str) -> Moment:
    """A time in words. Raises MomentError with what to write instead."""
    said = " ".join(text.lower().split())
    if found := _IN.fullmatch(said):
        return _later(found["length"], _times(found["times"]))
    if found := _ON_DATE.fullmatch(said):
        try:
            return OnDate(date.fromisoformat(found["date"]), _times(found["times"]) or (0,))
        except ValueError:
            raise MomentError(f"there is no date {found['date']}") from None
    if found := _EDGE.fullmatch(said):
        unit = _known(found["unit"], ("hour", "day", "week", "month"), "unit")
        return UnitEdge(unit, found["edge"] == "end of")
    if found := _ON_NUMBER.fullmatch(said):
        number = int(found["number"])
        if not 1 <= number <= 31:
            raise MomentError(f"a month has the days 1 to 31, not {number}")
        return Days(_times(found["times"]), number=number, or_last=found["last"] is not None)
    if found := _ON_NTH.fullmatch(said):
        nth = _ORDINALS[_known(found["nth"], _ORDINALS, "ordinal")]
        return Days(_times(found["times"]), frozenset({_NAMES[_known(found["days"], _NAMES, "day")]}), nth)
    if found := _ON_DAYS.fullmatch(said):
        return Days(_times(found["times"]), _weekdays(found["days"]))
    raise MomentError(f"this is no time: write one like {WORDS}")


def instant_of(moment: Moment, zone: str, anchor: Instant, earliest_ms: int = 0) -> Instant | None:
    """When it is, for whoever begins to wait at `anchor`: later than then, and no sooner than `earliest_ms` behind it; of a
    date that has passed: in the past. None: never."""
    floor = Instant(anchor + earliest_ms)
    if isinstance(moment, Days):
        return moment.after(zone, floor)
    if isinstance(moment, UnitEdge):
        return _edge(moment, zone, floor)
    if isinstance(moment, Period):
        return max(_behind(moment, zone, anchor), floor)
    if isinstance(moment, Later):
        if not moment.times:
            return max(Instant(anchor + moment.length_ms), floor)
        day = _local(zone, anchor).date() + timedelta(days=moment.length_ms // _DAY_MS)
        on = OnDate(day, moment.times)
    else:
        on = moment
    times = [*_instants(on.day, on.times, zone)]
    if not times:
        return None  # The zone left that date out.
    at = next((one for one in times if one > floor), times[-1])
    return at if not earliest_ms or at > floor else floor


def given(value: object, zone: str) -> Instant:
    """What data say: a time with an offset, or one on the wall of the zone. Raises MomentError."""
    if isinstance(value, str):
        try:
            wall = datetime.fromisoformat(value)
            if _OFFSET.search(value):
                return Instant(round(wall.timestamp() * 1_000))
            if wall.tzinfo is None:
                return instant_of_clock(wall, zone)
        except (ValueError, OverflowError, OSError):
            pass
    raise MomentError("its value is no time like 2026-05-04T09:00:00Z, or without the Z in the zone's time")


def _behind(period: Period, zone: str, anchor: Instant) -> Instant:
    """The same time of the day so many months and days later; the last day of a month that is too short."""
    if not period.months and not period.days:
        return Instant(anchor + period.length_ms)
    wall = _local(zone, anchor)
    years, month = divmod(wall.month - 1 + period.months, 12)
    year = wall.year + years
    day = date(year, month + 1, min(wall.day, monthrange(year, month + 1)[1]))
    then = datetime.combine(day + timedelta(days=period.days), wall.time())
    return Instant(instant_of_clock(then, zone) + anchor % 1_000 + period.length_ms)


def _edge(edge: UnitEdge, zone: str, after: Instant) -> Instant:
    """The first that is later."""
    if edge.unit == "hour":
        offset = _local(zone, after).utcoffset() or timedelta()
        local = after + offset // timedelta(milliseconds=1)
        start = Instant(after + _HOUR_MS - local % _HOUR_MS)
        last = Instant(start - _MINUTE_MS)
        return last if edge.end and last > after else Instant(start + (_HOUR_MS - _MINUTE_MS) * edge.end)
    times = (24 * 60 - 1,) if edge.end else (0,)
    days = {
        "day": Days(times),
        "week": Days(times, frozenset({6 if edge.end else 0})),
        "month": Days(times, number=31, or_last=True) if edge.end else Days(times, number=1),
    }[edge.unit]
    found = days.after(zone, after)
    assert found is not None  # every month has one
    return found


def _instants(day: date, times: tuple[int, ...], zone: str) -> Iterator[Instant]:
    """These times of a day, ascending; none of a date that the zone left out."""
    midnight = datetime.combine(day, time())
    if _local(zone, instant_of_clock(midnight, zone)).date() != day:
        return
    for minute in times:
        yield instant_of_clock(midnight + timedelta(minutes=minute), zone)


def _local(zone: str, at: Instant) -> datetime:
    return datetime.fromtimestamp(at / 1_000, zone_info(zone))


def _later(length: str, times: tuple[int, ...]) -> Later:
    parts = _PART.findall(length)
    length_ms = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if times and length_ms % _DAY_MS:
        raise MomentError(f"`at` follows a number of days or weeks, as in `in 1d at 09:00`, not {length}")
    if length_ms > FURTHEST_DAYS * _DAY_MS:
        raise MomentError(f"this is more than {FURTHEST_DAYS} days ahead")
    return Later(length_ms, times)


def _times(found: str | None) -> tuple[int, ...]:
    clocks = found.split(",") if found else ()
    return tuple(sorted({int(clock.strip()[:2]) * 60 + int(clock.strip()[3:]) for clock in clocks}))


def _weekdays(said: str | None) -> frozenset[int]:
    if said is None:
        return _EVERY_DAY
    if said in _GROUPS:
        return _GROUPS[said]
    names = [one.strip() for one in said.split(",")]
    known = _NAMES if len(names) > 1 else {**_GROUPS, **_NAMES}
    return frozenset([_NAMES[_known(name, known, "day")] for name in names])


def _known(word: str, words: Collection[str], what: str) -> str:
    if word in words:
        return word
    near = closest(word, words)
    meant = f"did you mean `{near}`?" if near else f"write one of {', '.join(words)}"
    raise MomentError(f"there is no {what} `{word}`: {meant}")
