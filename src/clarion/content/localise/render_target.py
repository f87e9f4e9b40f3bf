"""The reader for whom content is rendered: locale, time zone and direction. And the error of a filter."""

from __future__ import annotations

from functools import lru_cache

from babel.core import Locale, UnknownLocaleError

from clarion.content.localise.locales import fallbacks
from clarion.model.ids import Instant


class FilterError(ValueError):
    """A filter cannot do what it was asked; the text names the filter and what it needs, never the value."""


class RenderTarget:
    """For whom the current message is written; set before each rendering."""

    __slots__ = ("locale", "now", "timezone")

    def __init__(self) -> None:
        self.locale = "en"
        self.timezone = "UTC"
        self.now: Instant | None = None


@lru_cache(maxsize=512)
def babel(tag: str) -> Locale:
    """Babel's locale for a tag, or for the nearest that it knows; English when it knows none."""
    for candidate in fallbacks(tag):
        try:
            return Locale.parse(candidate, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")
