"""Filters of ours: dates, money and numbers as the reader writes them, and tame versions of what can grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from babel import dates, numbers
from babel.core import Locale, UnknownLocaleError

from clarion.content.locales import fallbacks
from clarion.content.text import link
from clarion.model.ids import Instant

Width = Literal["short", "medium", "long", "full"]
WIDTHS = ("short", "medium", "long", "full")
MAX_TEXT = 262_144
"""Characters any one value may grow to."""
MAX_RANGE = 1_000
_HARMLESS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


class FilterError(ValueError):
    """A filter cannot do what it was asked; the text names the filter and what it needs, never the value."""


class Reader:
    """For whom the current message is written; set before each rendering."""

    __slots__ = ("locale", "now", "timezone")

    def __init__(self) -> None:
        self.locale = "en"
        self.timezone = "UTC"
        self.now: Instant | None = None


def filters(reader: Reader) -> Mapping[str, Callable[..., Any]]:
    """Every filter that is not MiniJinja's own; they write for `reader`."""

    def on_date(value: Any, width: Width = "medium") -> str:
        return _moment("date", _instant("date", value), _width("date", width), reader.locale, reader.timezone)

    def on_time(value: Any, width: Width = "short") -> str:
        return _moment("time", _instant("time", value), _width("time", width), reader.locale, reader.timezone)

    def on_datetime(value: Any, width: Width = "medium") -> str:
        moment = _instant("datetime", value)
        return _moment("datetime", moment, _width("datetime", width), reader.locale, reader.timezone)

    def on_money(value: Any, currency: Any) -> str:
        if not (
            isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isalpha()
        ):
            raise FilterError('`money` needs a currency of three letters: `total|money("EUR")`')
        return _money(_number("money", value), currency.upper(), reader.locale)

    def on_number(value: Any) -> str:
        return _decimal(_number("number", value), reader.locale)

    def on_percent(value: Any) -> str:
        return _percent(_number("percent", value), reader.locale)

    return {
        "date": on_date,
        "datetime": on_datetime,
        "join": join,
        "link": on_link,
        "money": on_money,
        "number": on_number,
        "percent": on_percent,
        "replace": replace,
        "time": on_time,
        "times": times,
        "tojson": to_json,
    }


def on_link(value: Any) -> str:
    """A value that may start a link: relative, or with a harmless scheme."""
    if isinstance(value, str):
        try:
            return link(value)
        except ValueError as error:
            raise FilterError(str(error)) from None
    return str(value)


def times(value: Any, factor: Any) -> int | float:
    """Multiplies numbers, and nothing else."""
    if not (_is_number(value) and _is_number(factor)):
        raise FilterError("`times` multiplies two numbers: `price|times(quantity)`")
    product: int | float = value * factor
    if abs(product) > 1e100:
        raise FilterError("`times` went out of range")
    return product


def join(value: Any, separator: Any = "") -> str:
    """The texts of a list, with `separator` between them."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise FilterError('`join` needs a list: `names|join(", ")`')
    parts = [str(part) for part in value]
    between = str(separator)
    _refuse_growth("join", sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def replace(value: Any, old: Any, new: Any) -> str:
    """`value` with every `old` replaced by `new`."""
    text, before, after = str(value), str(old), str(new)
    _refuse_growth("replace", len(text) + text.count(before) * max(len(after) - len(before), 0))
    return text.replace(before, after)


def to_json(value: Any) -> str:
    """`value` as JSON, also harmless in a script. In HTML it is escaped like any other text."""
    text = msgspec.json.encode(value).decode().translate(_HARMLESS)
    _refuse_growth("tojson", len(text))
    return text


def range_(*bounds: int) -> list[int]:
    """`range(stop)`, `range(start, stop)`, `range(start, stop, step)`, of at most MAX_RANGE numbers."""
    if not all(isinstance(bound, int) for bound in bounds) or not 1 <= len(bounds) <= 3 or bounds[2:] == (0,):
        raise FilterError("`range` needs one to three whole numbers: `range(1, 10)`")
    numbers_ = range(*bounds)
    if numbers_[MAX_RANGE:]:
        raise FilterError(f"`range` gives at most {MAX_RANGE} numbers")
    return list(numbers_)


def _refuse_growth(name: str, size: int) -> None:
    if size > MAX_TEXT:
        raise FilterError(f"`{name}` would give more than {MAX_TEXT} characters")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(name: str, value: Any) -> str:
    """The number as text: exact, and a key for memory."""
    if _is_number(value) or isinstance(value, str):
        text = str(value)
        try:
            if len(text) <= 40 and Decimal(text).is_finite() and abs(Decimal(text).adjusted()) <= 40:
                return text
        except InvalidOperation:
            pass
    raise FilterError(f"`{name}` needs a number")


def _width(name: str, width: Any) -> Width:
    if width not in WIDTHS:
        raise FilterError(f"`{name}` knows the widths {', '.join(WIDTHS)}")
    return width  # type: ignore[no-any-return]


def _instant(name: str, value: Any) -> str | int | float:
    if _is_number(value) or (isinstance(value, str) and len(value) <= 40):
        return value  # type: ignore[no-any-return]
    raise FilterError(f"`{name}` needs an RFC 3339 time or seconds since 1970")


@lru_cache(maxsize=4096)
def _moment(
    kind: Literal["date", "time", "datetime"], value: str | float, width: Width, locale: str, zone: str
) -> str:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            whole_day = len(value) == len("2026-01-31")
        else:
            moment, whole_day = datetime.fromtimestamp(value, UTC), False
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        local = moment if whole_day else moment.astimezone(_zone(zone))
    except (ValueError, OverflowError, OSError):
        raise FilterError(f"`{kind}` needs an RFC 3339 time or seconds since 1970") from None
    if kind == "date":
        return dates.format_date(local.date(), width, _locale(locale))
    if kind == "time":
        return dates.format_time(local, width, tzinfo=local.tzinfo, locale=_locale(locale))
    return dates.format_datetime(local, width, tzinfo=local.tzinfo, locale=_locale(locale))


@lru_cache(maxsize=4096)
def _money(value: str, currency: str, locale: str) -> str:
    return numbers.format_currency(Decimal(value), currency, locale=_locale(locale))


@lru_cache(maxsize=4096)
def _decimal(value: str, locale: str) -> str:
    return numbers.format_decimal(Decimal(value), locale=_locale(locale))


@lru_cache(maxsize=4096)
def _percent(value: str, locale: str) -> str:
    return numbers.format_percent(Decimal(value), locale=_locale(locale))


@lru_cache(maxsize=512)
def _locale(tag: str) -> Locale:
    for candidate in fallbacks(tag):
        try:
            return Locale.parse(candidate, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    """The zone, or UTC when a profile names one that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
