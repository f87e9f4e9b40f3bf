"""Formats lists, plurals and ordinals by the rules of the reader's language, and isolates names of the other direction."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from babel.lists import format_list

from clarion.content.localise.locales import direction_of
from clarion.content.localise.number_filters import NumberFilters, decimal, shown
from clarion.content.localise.render_target import FilterError, RenderTarget, babel

CATEGORIES = ("zero", "one", "two", "few", "many", "other")
"""Of CLDR: every language uses some of them, all have `other`."""
MAX_ITEMS = 100
FSI, PDI = "\u2068", "\u2069"
_STYLES = {"and": "standard", "or": "or", "units": "unit"}
_RTL = "\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_RIGHT_TO_LEFT = re.compile(f"[{_RTL}]")
_LEFT_TO_RIGHT = re.compile(rf"[^\W\d_{_RTL}]")


class ListPluralFilters:
    """The filters for words."""

    def __init__(self, reader: RenderTarget, amounts: NumberFilters) -> None:
        self._reader = reader
        self._amounts = amounts

    def list(self, value: Any, style: Any = "and") -> str:
        """`A, B and C`, or with `or`."""
        if style not in _STYLES:
            raise FilterError(f"`list` knows the styles {', '.join(_STYLES)}")
        if isinstance(value, str | dict) or not isinstance(value, Iterable):
            raise FilterError("`list` needs a list: `names|list`")
        parts = [str(part) for part in islice(value, MAX_ITEMS + 1)]
        if len(parts) > MAX_ITEMS:
            raise FilterError(f"`list` takes at most {MAX_ITEMS} items")
        return format_list(parts, _STYLES[style], babel(self._reader.locale))  # type: ignore[arg-type]

    def plural(self, value: Any, **forms: Any) -> str:
        """The form for a number: `count|plural(one="# item", other="# items")`; `#` is the number as it is written."""
        return self._form("plural", value, forms)

    def ordinal(self, value: Any, **forms: Any) -> str:
        """The form for a rank: `place|ordinal(one="#st", two="#nd", few="#rd", other="#th")`."""
        return self._form("ordinal", value, forms)

    def isolate(self, value: Any) -> str:
        """A text that may run in the other direction, kept from turning what stands around it.

        Only when it holds letters of the other direction: the marks would make any text message UCS-2.
        """
        text = str(value)
        turns = _LEFT_TO_RIGHT if direction_of(self._reader.locale) == "rtl" else _RIGHT_TO_LEFT
        return f"{FSI}{text}{PDI}" if turns.search(text) else text

    def _form(self, name: str, value: Any, forms: dict[str, Any]) -> str:
        if "other" not in forms or not forms.keys() <= set(CATEGORIES):
            raise FilterError(
                f'`{name}` needs the form `other`, and knows {", ".join(CATEGORIES)}: `n|{name}(one="...", other="...")`'
            )
        try:
            category = _category(name, value, self._reader.locale)
        except TypeError:
            raise FilterError(f"`{name}` needs a number") from None
        if "zero" in forms and shown(decimal(name, value)) == 0:
            category = "zero"
        form = str(forms.get(category, forms["other"]))
        return form.replace("#", self._amounts.number(value)) if "#" in form else form


@lru_cache(maxsize=4096, typed=True)
def _category(name: str, value: Any, locale: str) -> str:
    number = shown(decimal(name, value))
    counted = int(number) if number == number.to_integral_value() else number.normalize()
    rule = babel(locale).plural_form if name == "plural" else babel(locale).ordinal_form
    return str(rule(counted))
