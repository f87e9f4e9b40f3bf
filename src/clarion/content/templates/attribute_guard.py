"""Keeps templates from Python's own methods: where a key is missing, the engine would look for an attribute instead.

`order.pop` is then no missing value but a method of Python's `dict`. It cannot be called, but it would print. Few
sources can name one; for those, data are handed over as dicts and lists that have no methods.
"""

from __future__ import annotations

from typing import Any

from clarion.content.templates.sandbox import is_literal, tags

METHODS = frozenset(name for kind in (dict, list) for name in dir(kind) if not name.startswith("_"))
_BY_NAME = frozenset(
    {"dictsort", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum"}
)
"""Filters that take names of attributes."""


def _nothing(_: object) -> Any:
    raise AttributeError


class Fields(dict[str, Any]):
    """A dict without methods. `items` stays an attribute, by which the engine knows a dict, but is null."""

    __slots__ = ()


class Rows(list[Any]):
    """A list without methods."""

    __slots__ = ()


for _kind in (Fields, Rows):
    for _name in METHODS:
        setattr(_kind, _name, property(_nothing))
Fields.items = property(lambda _: None)  # type: ignore[method-assign, assignment]


def shielded(value: Any) -> Any:
    """`value` with all its dicts and lists, however deep, as ones without methods."""
    if value.__class__ is dict:
        return Fields({key: shielded(inner) for key, inner in value.items()})
    if isinstance(value, list | tuple):
        return Rows([shielded(inner) for inner in value])
    return value


def reaches(source: str) -> bool:
    """Whether `source` could name a method: in plain words, or by a name that only the data know."""
    return any(_reaches(tag.tokens) for tag in tags(source))


def _reaches(tokens: list[str]) -> bool:
    for before, word, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        if word[0] in "\"'" and not METHODS.isdisjoint(word[1:-1].split(".")):
            return True
        if before == "." and word in METHODS:
            return True
        if before == "|" and word in _BY_NAME and after == "(":
            return True
        if word == "[" and (before in (")", "]") or before[:1].isidentifier()) and not is_literal(after):
            return True
    return False
