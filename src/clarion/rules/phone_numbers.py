"""Countries and prefixes of telephone numbers (E.164)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

PREFIX = re.compile(r"\+[1-9][0-9]{0,9}")
"""The beginning of E.164 numbers, like `+1787`."""
LONGEST = 11
KEPT = 4_096
_ANYWHERE = 5
"""A number of the United States that may be in so many time zones belongs to no area, as a toll-free one."""


@lru_cache(maxsize=KEPT)
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


@lru_cache(maxsize=KEPT)
def zones(phone: str) -> tuple[str, ...]:
    """The time zones in which a number may be; nothing when nobody knows."""
    from phonenumbers import timezone

    try:
        number = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ()
    return tuple(zone for zone in timezone.time_zones_for_number(number) if zone != timezone.UNKNOWN_TIMEZONE)


@lru_cache(maxsize=KEPT)
def area_code(phone: str) -> str:
    """The area code of a number of the United States (`+1305...`: `305`); empty when it belongs to no area there."""
    if country(phone) != "US" or len(phone) != len("+13055550123") or not zones(phone):
        return ""
    return phone[2:5] if len(zones(phone)) < _ANYWHERE else ""


def prefixes(phone: str) -> Iterator[str]:
    """The beginnings of a number that may have a price, the longest first."""
    return (phone[:length] for length in range(min(len(phone), LONGEST), 1, -1))


def is_country(code: str) -> bool:
    """One that has telephone numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS
