"""Formats numbers, percentages and money in the reader's language."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext
from functools import lru_cache, wraps
from typing import Any

from babel import numbers

from clarion.content.localise.render_target import FilterError, RenderTarget, babel

MAX_DIGITS = 10
"""Places behind the point that an author may ask for."""

_SHOWN = Decimal("0.001")
"""CLDR's decimal patterns have at most three digits behind the point."""
_EXACT = Context(prec=99)


class NumberFilters:
    """The filters for numbers."""

    def __init__(self, reader: RenderTarget) -> None:
        self._reader = reader

    def number(self, value: Any, digits: Any = None) -> str:
        """With the reader's separators; `digits` behind the point, or as many as there are, up to three."""
        return _written("number", value, digits, self._reader.locale)

    def percent(self, value: Any, digits: Any = 0) -> str:
        """A share of 1 as a percentage."""
        return _written("percent", value, digits, self._reader.locale)

    def money(self, value: Any, currency: Any = "") -> str:
        """An amount of a currency, with that currency's places behind the point."""
        return _written("money", value, currency, self._reader.locale)


def times(value: Any, factor: Any) -> int | float:
    """Multiplies numbers, and nothing else."""
    if not (_is_number(value) and _is_number(factor)):
        raise FilterError("`times` multiplies two numbers: `price|times(quantity)`")
    product: int | float = value * factor
    if abs(product) > 1e100:
        raise FilterError("the result of `times` is out of range")
    return product


def decimal(name: str, value: Any) -> Decimal:
    """The number that `value` is or spells. Raises FilterError."""
    if _is_number(value) or isinstance(value, str):
        text = str(value)
        try:
            if len(text) <= 40:
                number = Decimal(text)
                if number.is_finite() and abs(number.adjusted()) <= 40:
                    return number
        except InvalidOperation:
            pass
    raise FilterError(f"`{name}` needs a number")


def shown(number: Decimal) -> Decimal:
    """As it is written without a say on digits: what is counted is what the reader sees."""
    return number.quantize(_SHOWN, ROUND_HALF_EVEN, _EXACT)


def _exactly(write: Callable[[Any, Any, str], str]) -> Callable[[Any, Any, str], str]:
    """With room for every number that is taken: Babel rounds within 28 digits otherwise."""

    @wraps(write)
    def written(value: Any, how: Any, locale: str) -> str:
        with localcontext(_EXACT):
            return write(value, how, locale)

    return written


def _written(name: str, value: Any, how: Any, locale: str) -> str:
    try:
        return _WRITE[name](value, how, locale)
    except TypeError:  # a list, an object: nothing that could be remembered, nor a number
        raise FilterError(f"`{name}` needs a number") from None


@lru_cache(maxsize=4096, typed=True)
@_exactly
def _number(value: Any, digits: Any, locale: str) -> str:
    number = decimal("number", value)
    if digits is None:
        return numbers.format_decimal(number, locale=babel(locale))
    return numbers.format_decimal(number, format=f"#,##0{_places('number', digits)}", locale=babel(locale))


@lru_cache(maxsize=4096, typed=True)
@_exactly
def _percent(value: Any, digits: Any, locale: str) -> str:
    number = decimal("percent", value)
    pattern = babel(locale).percent_formats[None].pattern
    if places := _places("percent", digits):
        pattern = pattern.replace("0", f"0{places}")
    return numbers.format_percent(number, format=pattern, locale=babel(locale))


@lru_cache(maxsize=4096, typed=True)
@_exactly
def _money(value: Any, currency: Any, locale: str) -> str:
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise FilterError('`money` needs a currency of three letters: `total|money("EUR")`')
    return numbers.format_currency(decimal("money", value), currency.upper(), locale=babel(locale))


_WRITE = {"number": _number, "percent": _percent, "money": _money}


def _places(name: str, digits: Any) -> str:
    if not isinstance(digits, int) or not 0 <= digits <= MAX_DIGITS:
        raise FilterError(f"`{name}` takes 0 to {MAX_DIGITS} digits behind the point")
    return "." + "0" * digits if digits else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
