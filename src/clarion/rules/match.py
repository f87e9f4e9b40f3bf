"""Matching of event types, JSON pointers, and the nearest known name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec


class MissingValue(msgspec.Struct, frozen=True):
    """Nothing is there; different from a `null` that is."""


MISSING: Final = MissingValue()


def matches(pattern: str, type: str) -> bool:
    """Whether a CloudEvents type fits a pattern; `*` stands for one or more whole segments between dots."""
    wanted, given = pattern.split("."), type.split(".")
    at = 0
    star: int | None = None
    taken = 0
    i = 0
    while i < len(given):
        if at < len(wanted) and wanted[at] == "*":
            star, taken = at, i  # It takes this segment, and more when what follows does not fit.
            at += 1
            i += 1
        elif at < len(wanted) and wanted[at] == given[i]:
            at += 1
            i += 1
        elif star is not None:
            taken += 1
            at, i = star + 1, taken + 1
        else:
            return False
    return at == len(wanted)


def overlap(one: str, other: str) -> bool:
    """Whether some type fits both patterns."""
    first, second = one.split("."), other.split(".")
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        place = i, j = ahead.pop()
        if place in seen or i == len(first) or j == len(second):
            if (i, j) == (len(first), len(second)):
                return True
            continue
        seen.add(place)
        if first[i] == second[j] or "*" in (first[i], second[j]):
            ahead.append((i + 1, j + 1))
            ahead += [(i, j + 1)] if first[i] == "*" else []
            ahead += [(i + 1, j)] if second[j] == "*" else []
    return False


_SEGMENT = re.compile(r"\*|[^\s.*]+")
PATTERN_CHARS = 255


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a pattern of event types; None when nothing is."""
    if len(pattern) > PATTERN_CHARS or not all(map(_SEGMENT.fullmatch, pattern.split("."))):
        return (
            f"an event type has 1 to {PATTERN_CHARS} characters in segments between dots; `*` stands for one or more "
            "whole segments, as in order.*"
        )
    return None


_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]*", re.ASCII)


def check_pointer(pointer: str) -> str | None:
    """What is wrong with a JSON pointer (RFC 6901); None when nothing is."""
    if pointer and not pointer.startswith("/"):
        return f"a JSON pointer starts with '/': write '/{pointer}'"
    if _ESCAPE.search(pointer):
        return "in a JSON pointer '~' is written '~0' and '/' inside a name '~1'"
    return None


def resolve(data: Any, pointer: str) -> Any:
    """What `pointer` leads to in decoded JSON, or `MISSING`. Raises ValueError for a malformed pointer."""
    wrong = check_pointer(pointer)
    if wrong:
        raise ValueError(wrong)
    for token in pointer.split("/")[1:]:
        if isinstance(data, dict):
            data = data.get(token.replace("~1", "/").replace("~0", "~"), MISSING)
        elif (
            isinstance(data, list) and _INDEX.fullmatch(token) and len(token) < 10 and int(token) < len(data)
        ):
            data = data[int(token)]
        else:
            return MISSING
    return data


def closest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or nothing."""
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that helps whoever mistyped a name: the closest known one, else some of what there is."""
    names = sorted(known)
    if close := closest(name, names):
        return f"Did you mean {close!r}?"
    if not names:
        return "None exists yet."
    shown = ", ".join(repr(known_name) for known_name in names[:5])
    return f"There is {shown}{' and others' if len(names) > 5 else ''}."
