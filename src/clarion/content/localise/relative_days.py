"""What languages have words for instead of numbers: now, yesterday, today, tomorrow.

CLDR has them (`dates/fields/field/relative`), Babel leaves them out: `nearby.json` holds what ICU's
`Intl.RelativeTimeFormat(tag, {numeric: "auto"})` says for every locale that Babel knows (CLDR 48, (c) Unicode, Inc.,
Unicode License v3: https://www.unicode.org/license.txt).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import msgspec

from clarion.content.localise.locales import fallbacks

_NOW, _YESTERDAY, _TODAY, _TOMORROW = range(4)
_DAYS = {-86_400: _YESTERDAY, 0: _TODAY, 86_400: _TOMORROW}


def day(seconds: int, locale: str) -> str:
    """The word for the day before, the same day or the day after; empty for any other."""
    which = _DAYS.get(seconds)
    return "" if which is None else _words(locale)[which]


def now(locale: str) -> str:
    """The word for this very moment."""
    return _words(locale)[_NOW]


def _words(locale: str) -> Sequence[str]:
    """In the nearest language that is known, as everything else of the filter; English when none is."""
    known = _table()
    return known[next((tag for tag in fallbacks(locale) if tag in known), "en")]


@cache
def _table() -> Mapping[str, Sequence[str]]:
    source = files("clarion.content.localise").joinpath("relative_days.json").read_bytes()
    return msgspec.json.decode(source, type=dict[str, tuple[str, str, str, str]])
