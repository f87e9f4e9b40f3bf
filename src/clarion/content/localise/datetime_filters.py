"""Formats dates, times and relative times in the reader's language and time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import dates

from clarion.content.localise import relative_days
from clarion.content.localise.render_target import FilterError, RenderTarget, babel
from clarion.model.ids import Instant

Kind = Literal["date", "time", "datetime"]
Unit = Literal["year", "month", "week", "day", "hour", "minute", "second"]
WIDTHS = ("short", "medium", "long", "full")
DAY = len("2026-01-31")
"""Characters of a date without time: it is the same day in every zone."""
_UNITS: tuple[tuple[Unit, int], ...] = (
    ("year", 31_536_000), ("month", 2_592_000), ("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60),
)  # fmt: skip
_NEARLY = 0.85
"""A unit is used from this part of it on: 23 hours are "1 day"."""
_DAYS_TOLD = 14
"""A day of the calendar is told in days up to here: six days off are not a week."""


class DateTimeFilters:
    """The filters for times."""

    def __init__(self, reader: RenderTarget) -> None:
        self._reader = reader

    def date(self, value: Any, width: Any = "medium") -> str:
        """The day."""
        return self._written("date", value, width)

    def time(self, value: Any, width: Any = "short") -> str:
        """The time of the day."""
        return self._written("time", value, width)

    def datetime(self, value: Any, width: Any = "medium") -> str:
        """Both."""
        return self._written("datetime", value, width)

    def ago(self, value: Any) -> str:
        """How far off it is, seen from the moment of writing: `in 3 days`, `2 hours ago`, `now`; a day: `tomorrow`."""
        now = self._reader.now
        if now is None:
            raise FilterError("`ago` needs the current time, which is not available here")
        is_day = _is_day(value)
        unit, seconds = _distance(_timestamp("ago", value), now, self._reader.timezone, is_day)
        locale = self._reader.locale
        word = relative_days.day(seconds, locale) if is_day else "" if seconds else relative_days.now(locale)
        return word or _relative(unit, seconds, locale)

    def _written(self, kind: Kind, value: Any, width: Any) -> str:
        try:
            return _moment(kind, value, width, self._reader.locale, self._reader.timezone)
        except TypeError:  # a list, an object: nothing that could be remembered, nor a time
            raise _no_time(kind) from None


@lru_cache(maxsize=4096, typed=True)
def _moment(kind: Kind, value: Any, width: Any, locale: str, zone: str) -> str:
    if width not in WIDTHS:
        raise FilterError(f"`{kind}` knows the widths {', '.join(WIDTHS)}")
    moment = _timestamp(kind, value)
    try:
        local = moment if _is_day(value) else moment.astimezone(_zone(zone))
        if kind == "date":
            return dates.format_date(local.date(), width, babel(locale))
        write = dates.format_time if kind == "time" else dates.format_datetime
        return write(local, width, tzinfo=local.tzinfo, locale=babel(locale))
    except (ValueError, OverflowError, OSError):
        raise _no_time(kind) from None


def _timestamp(name: str, value: Any) -> datetime:
    try:
        if isinstance(value, str):
            if len(value) > 40:
                raise ValueError
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise _no_time(name)


def _distance(moment: datetime, now: Instant, zone: str, is_day: bool) -> tuple[Unit, int]:
    """The unit to tell it in, and the seconds, rounded to that unit."""
    present = datetime.fromtimestamp(now / 1000, UTC)
    if is_day:
        days = (moment.date() - present.astimezone(_zone(zone)).date()).days
        if abs(days) < _DAYS_TOLD:
            return "day", days * 86_400
        seconds: float = days * 86_400
    else:
        seconds = (moment - present).total_seconds()
    for unit, length in _UNITS:
        if abs(seconds) >= length * _NEARLY:
            return unit, round(abs(seconds) / length) * length * (-1 if seconds < 0 else 1)
    return "second", round(seconds)


@lru_cache(maxsize=4096)
def _relative(unit: Unit, seconds: int, locale: str) -> str:
    return dates.format_timedelta(
        timedelta(seconds=seconds),
        granularity=unit,
        threshold=inf,  # in this unit, whatever Babel would choose
        add_direction=True,
        locale=babel(locale),
    )


def _is_day(value: Any) -> bool:
    return isinstance(value, str) and len(value) == DAY


def _no_time(name: str) -> FilterError:
    return FilterError(f"`{name}` needs an RFC 3339 time or seconds since 1970")


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    """The zone, or UTC when a profile names one that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
