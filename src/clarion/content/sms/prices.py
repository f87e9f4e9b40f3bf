"""Estimates the cost of an SMS from the tenant's price table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

import phonenumbers
from babel.core import get_global

from clarion.model.setup import Money

PREFIX = re.compile(r"\+[1-9][0-9]{0,9}")
"""The beginning of E.164 numbers, like `+1787`."""
LONGEST = 11
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,9})(?:\.[0-9]{1,10})?", re.ASCII)


def country(phone: str) -> str:
    """The ISO 3166 country of an E.164 number (`+4915...`: `DE`); empty when it belongs to none.

    A number that nobody was given is taken for one of the main country of its calling code.
    """
    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ""
    code = phonenumbers.region_code_for_number(number)
    code = code or phonenumbers.region_code_for_country_code(number.country_code or 0)
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else ""


def row(phone: str, prices: Mapping[str, Money]) -> str:
    """The row of the table that a number falls under: the longest prefix, else its country; empty when none does."""
    prefixes = (phone[:length] for length in range(min(len(phone), LONGEST), 1, -1))
    return next((prefix for prefix in (*prefixes, country(phone)) if prefix in prices), "")


def cost(segments: int, price: Money) -> Money:
    """Exactly: 3 at 0.07 are 0.21."""
    return Money(amount=f"{Decimal(price.amount) * segments:f}", currency=price.currency)


def is_amount(text: str) -> bool:
    """A decimal number as text: digits, and at most ten behind the point."""
    return bool(_AMOUNT.fullmatch(text))


def is_row(name: str) -> bool:
    """A country that has telephone numbers, or the beginning of numbers."""
    return bool(PREFIX.fullmatch(name)) or name in phonenumbers.SUPPORTED_REGIONS


def is_currency(code: str) -> bool:
    """One that CLDR knows (ISO 4217)."""
    return code in get_global("all_currencies")
