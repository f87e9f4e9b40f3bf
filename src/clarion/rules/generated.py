"""What a language model wrote: whether it has anything that it was not given."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from clarion.rules.masking import without_placeholders

_ADDRESS = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://\S+|(?<![\w@])[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}(?:/\S*)?")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_END = ".,;:!?)]}\"'"


def invented(written: Any, given: str) -> str | None:
    """What it has that the text `given` has not: `a link`, `an address` or `a number`; None: nothing. Personal data are
    placeholders in both."""
    known = _plain(given)
    numbers = {*_NUMBER.findall(known)}
    for text in _texts(written):
        plain = _plain(without_placeholders(text))
        if any(found.rstrip(_END) not in known for found in _ADDRESS.findall(plain)):
            return "an address"
        if any(found.rstrip(_END) not in known for found in _LINK.findall(plain)):
            return "a link"
        if any(found not in numbers for found in _NUMBER.findall(plain)):
            return "a number"
    return None


def _plain(text: str) -> str:
    """As one reads it: without what is invisible, and every letter and digit in its usual form."""
    usual = unicodedata.normalize("NFKC", text).casefold()
    return "".join(
        str(unicodedata.digit(one)) if one.isdigit() else one
        for one in usual
        if unicodedata.category(one) != "Cf"
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
