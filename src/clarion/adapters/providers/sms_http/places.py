"""Where a value is found in what a gateway says: by a JSON pointer, a field, a parameter of the URL, or a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import regex

from clarion.errors import ConfigError

PATTERN_S = 0.1
"""How long a pattern may take: some take ages over the wrong text."""


def json_of(body: bytes) -> Any:
    """The document; None when it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def at_pointer(document: Any, pointer: str) -> Any:
    """What is at a JSON pointer (RFC 6901); None when nothing is."""
    if not pointer:
        return document
    for part in pointer[1:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isascii() and name.isdecimal() and len(name) < 6:
            document = document[int(name)] if int(name) < len(document) else None
        else:
            return None
    return document


def text_of(value: Any) -> str:
    """A word or a number as text; empty for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""


def check_pattern(pattern: str, pointer: str) -> None:
    """Raises ConfigError when it is no regular expression."""
    try:
        regex.compile(pattern)
    except (regex.error, RecursionError, ValueError):
        raise ConfigError("this is no regular expression, such as ^OK", pointer=pointer) from None


def check_answer_place(place: str, pointer: str) -> None:
    """Raises ConfigError when it is neither a pointer nor a pattern with a group."""
    if not place or place.startswith("/"):
        return
    check_pattern(place, pointer)
    if regex.compile(place).groups != 1:
        raise ConfigError(
            r"write a JSON pointer such as /messages/0/id, or a regular expression with one group such as ID: (\d+)",
            pointer=pointer,
        )


def matches(pattern: str, text: str) -> bool:
    """Whether it is found within the time."""
    try:
        return regex.search(pattern, text, timeout=PATTERN_S) is not None
    except TimeoutError:
        return False


def in_answer(place: str, text: str, document: Any) -> str:
    """What is at a place of an answer; empty when nothing is."""
    if not place:
        return ""
    if place.startswith("/"):
        return text_of(at_pointer(document, place))
    try:
        found = regex.search(place, text, timeout=PATTERN_S)
    except TimeoutError:
        return ""
    return (found[1] or "") if found is not None else ""


def in_callback(place: str, document: Any, query: Mapping[str, str]) -> str:
    """What is at a place of a callback: a pointer, the field of a form, or `?name` in the URL."""
    if not place:
        return ""
    if place.startswith("?"):
        return query.get(place[1:], "")
    if place.startswith("/"):
        return text_of(at_pointer(document, place))
    return text_of(document.get(place)) if isinstance(document, dict) else ""
