"""The template filters that are not MiniJinja's own: localised output, and bounded versions of filters that can grow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from clarion.content.localise.datetime_filters import DateTimeFilters
from clarion.content.localise.list_plural_filters import ListPluralFilters
from clarion.content.localise.number_filters import NumberFilters, times
from clarion.content.localise.render_target import FilterError, RenderTarget
from clarion.content.sanitize import SCHEMES, link

MAX_TEXT = 262_144
"""Characters any one value may grow to."""
MAX_RANGE = 1_000
_HARMLESS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


def filters(reader: RenderTarget) -> Mapping[str, Callable[..., Any]]:
    """The filters by name; they write for `reader`."""
    moments, amounts = DateTimeFilters(reader), NumberFilters(reader)
    wording = ListPluralFilters(reader, amounts)
    return {
        "ago": moments.ago,
        "date": moments.date,
        "datetime": moments.datetime,
        "isolate": wording.isolate,
        "join": join,
        "link": to_link,
        "list": wording.list,
        "money": amounts.money,
        "number": amounts.number,
        "ordinal": wording.ordinal,
        "percent": amounts.percent,
        "plural": wording.plural,
        "replace": replace,
        "time": moments.time,
        "times": times,
        "tojson": to_json,
    }


def to_link(value: Any) -> str:
    """A value that may start a link: relative, or with a harmless scheme."""
    return _linked(value, SCHEMES)


def further(value: Any) -> str:
    """A value that goes on where another started a link: without any scheme."""
    return _linked(value, ())


def _linked(value: Any, schemes: Collection[str]) -> str:
    try:
        return link(str(value), schemes)
    except ValueError as error:
        raise FilterError(str(error)) from None


def join(value: Any, separator: Any = "") -> str:
    """The texts of a list, with `separator` between them."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise FilterError('`join` needs a list: `names|join(", ")`')
    between = str(separator)
    parts: list[str] = []
    size = 0
    for part in value:
        parts.append(str(part))
        size += len(parts[-1]) + len(between)
        _refuse_growth("join", size)
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
    numbers = range(*bounds)
    if numbers[MAX_RANGE:]:
        raise FilterError(f"`range` may give at most {MAX_RANGE} numbers")
    return list(numbers)


def _refuse_growth(name: str, size: int) -> None:
    if size > MAX_TEXT:
        raise FilterError(f"the result of `{name}` has more than {MAX_TEXT} characters")
