"""Where a text may be cut: between what people see as characters (grapheme clusters, UAX #29), never inside an emoji,
a flag, or a letter and its accents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LONGEST = 64
"""Code points of one visible character; a longer pile of accents may be cut."""


def cuts(text: str, most: int) -> Sequence[int]:
    """The places at which the text may end, in order, from 0 to at most `most` code points."""
    end = min(most, len(text))
    if text.isascii():
        return range(end + 1)
    import regex

    beginning = text[: end + LONGEST]
    found = [0, *(part.end() for part in regex.finditer(r"\X", beginning) if part.end() <= end)]
    if end - found[-1] >= LONGEST or any(later - earlier > LONGEST for earlier, later in pairwise(found)):
        return range(end + 1)
    return found


def beginning(text: str, most: int) -> str:
    """At most `most` code points of the text, with no visible character cut."""
    return text if len(text) <= most else text[: cuts(text, most)[-1]]


def first_of(text: str) -> str:
    """The first visible character; empty when there is none."""
    return text[: cuts(text, LONGEST)[1]] if text else ""
