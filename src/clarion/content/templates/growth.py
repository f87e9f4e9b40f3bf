"""How often what a source makes may hold the data it is made of.

The engine shares what it copies: forty times `{% set x = [x, x] %}` costs it nothing, until something walks through
`x`. So every name a source sets is followed from tag to tag: what it may hold of the data, and how deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from clarion.content.templates.errors import Code, SourceRefused

MAX_COPIES = 16
"""Times that one value may hold the data it is made of."""
MAX_DEPTH = 8
"""Lists inside one another that a source may make."""
_JOINS = frozenset({"~", "+", ","})
_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "true", "false", "none"})


class Extent(NamedTuple):
    """How large a value can be."""

    copies: int = 1
    """Times it holds the data."""
    depth: int = 0
    """Lists of the source's own around the data."""


class Growth:
    """Follows the names that a source sets."""

    def __init__(self) -> None:
        self._names: dict[str, Extent] = {}

    def pass_(self, tokens: list[str], at: int) -> None:
        """Go through a tag. Raises Refused where a value would hold the data too often."""
        targets, expression = _parted(tokens)
        extent = self._of(expression)
        if extent.copies > MAX_COPIES:
            detail = (
                f"this would hold {extent.copies:,} copies of what it is made of, at most {MAX_COPIES} are "
                "allowed: send the finished value with the event"
            )
            raise SourceRefused(detail, at, Code.LIMIT)
        if extent.depth > MAX_DEPTH:
            raise SourceRefused(f"more than {MAX_DEPTH} lists inside one another", at, Code.LIMIT)
        for name in targets:
            known = self._names.get(name, Extent())
            self._names[name] = Extent(max(known.copies, extent.copies), max(known.depth, extent.depth))

    def _of(self, tokens: list[str]) -> Extent:
        """Of an expression: alternatives as the larger one, what is joined or listed as all together."""
        extents: list[Extent] = []
        for part in _alternatives(tokens):
            found = [self._names.get(name, Extent()) for name in _names(part)]
            if found:
                copies = [extent.copies for extent in found]
                depth = max(extent.depth for extent in found)
                extents.append(Extent(sum(copies) if _joins(part) else max(copies), depth + _nesting(part)))
        return Extent(
            max((extent.copies for extent in extents), default=1),
            max((extent.depth for extent in extents), default=0),
        )


def _parted(tokens: list[str]) -> tuple[list[str], list[str]]:
    """The names that a tag gives a value, and the expression this value comes from."""
    match tokens[:1]:
        case ["set"] if "=" in tokens:
            at = tokens.index("=")
        case ["for"] if "in" in tokens:
            at = tokens.index("in")
        case _:
            return [], tokens
    return [word for word in tokens[1:at] if word[0].isidentifier()], tokens[at + 1 :]


def _alternatives(tokens: list[str]) -> Iterator[list[str]]:
    """`a if b else c` gives `a` and `c`; the condition only chooses."""
    part: list[str] = []
    depth, chooses = 0, False
    for word in tokens:
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if not depth and word == "if":
            chooses = True
        elif not depth and word == "else":
            yield part
            part, chooses = [], False
        elif not chooses:
            part.append(word)
    yield part


def _names(tokens: list[str]) -> Iterator[str]:
    for before, word, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        is_argument = after == "=" and before in ("(", ",")
        if (
            word[0].isidentifier()
            and word not in _WORDS
            and before not in (".", "|", "is")
            and not is_argument
        ):
            yield word


def _joins(tokens: list[str]) -> bool:
    """Whether values are put together. The arguments of a filter are not: filters bound what they give themselves."""
    calls: list[bool] = []
    for before, word in zip(["", *tokens], tokens, strict=False):
        if word in ("(", "["):
            calls.append(word == "(" and _is_name(before))
        elif word in (")", "]"):
            del calls[-1:]
        elif word in _JOINS and not (word == "," and calls and calls[-1]):
            return True
    return False


def _nesting(tokens: list[str]) -> int:
    """Lists and tuples inside one another. Indexes, calls and brackets that only group are none."""
    deepest = 0
    brackets: list[int] = []
    for before, word in zip(["", *tokens], tokens, strict=False):
        if word in ("(", "["):
            is_used = _is_name(before) or before in (")", "]")
            brackets.append(-1 if is_used else int(word == "["))
        elif word in (")", "]"):
            del brackets[-1:]
        elif word == "," and brackets and brackets[-1] == 0:
            brackets[-1] = 1
        deepest = max(deepest, sum(kind > 0 for kind in brackets))
    return deepest


def _is_name(word: str) -> bool:
    return word[:1].isidentifier() and word not in _WORDS
