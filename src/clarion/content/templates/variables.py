"""Finds unknown names in a template, so that a typo is found before the first message."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from clarion.content.templates.sandbox import tags
from clarion.content.templates.scope import HOUSE, TENANT, USER

MAX_DEPTH = 8


class Use(NamedTuple):
    """A variable as a source uses it."""

    at: int
    """Where its tag starts."""
    path: tuple[str, ...]
    optional: bool
    """Nothing happens when it is missing."""


class Shape(NamedTuple):
    """What is known of a value: examples of it and schemas for it."""

    examples: tuple[Any, ...] = ()
    schemas: tuple[Mapping[str, Any], ...] = ()

    def names(self) -> set[str]:
        """Every name it may have; empty when nothing is known of that."""
        found = {str(name) for example in self.examples if isinstance(example, dict) for name in example}
        return found.union(*(_properties(schema) for schema in self.schemas))

    def of(self, name: str) -> Shape:
        """What is known of the value under `name`."""
        return Shape(
            tuple(e[name] for e in self.examples if isinstance(e, dict) and name in e),
            tuple(
                inner
                for schema in self.schemas
                if isinstance(inner := _properties(schema).get(name), Mapping)
            ),
        )


def uses(source: str) -> list[Use]:
    """Every use of a variable, in order."""
    found = [use for tag in tags(source) for use in _uses(tag.start, tag.tokens)]
    asked = {use.path for use in found if use.optional}
    return [use._replace(optional=use.optional or use.path in asked) for use in found]


def unknown(source: str, undeclared: Collection[str], data: Shape) -> Iterator[tuple[int, str]]:
    """Where a name is used that nobody has, and what to say; each path once. `undeclared`: what `source` does not set.

    Names of the event are passed over when nothing is known of its data.
    """
    seen: set[tuple[str, ...]] = set()
    for use in uses(source):
        if use.path[0] in undeclared and not use.optional and use.path not in seen:
            seen.add(use.path)
            if said := _missing(use.path, data):
                yield use.at, said


def _missing(path: tuple[str, ...], data: Shape) -> str:
    match path:
        case ("data", *rest):
            return _missing_in(data, tuple(rest), ("data",))
        case ("user", part, *_):
            return "" if part in USER else _said(path[:2], USER, "`user`")
        case ("tenant", part, *_):
            return "" if part in TENANT else _said(path[:2], TENANT, "`tenant`")
        case (name,) if name in HOUSE:
            return ""
    return _missing_in(data, path, ())


def _missing_in(shape: Shape, path: tuple[str, ...], above: tuple[str, ...]) -> str:
    for name in path:
        names = shape.names()
        if not names:
            return ""
        if name not in names:
            place = (
                f"`{'.'.join(above)}`" if above else "the example data, the schema and Clarion's own names"
            )
            return _said((*above, name), names if above else names | HOUSE, place)
        shape, above = shape.of(name), (*above, name)
    return ""


def _said(path: tuple[str, ...], names: Collection[str], place: str) -> str:
    near = get_close_matches(path[-1], names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(names)[:12])}"
    return f"`{'.'.join(path)}` is not among the names of {place}; {hint}"


def _uses(at: int, tokens: list[str]) -> Iterator[Use]:
    position = 0
    while position < len(tokens):
        word, before = tokens[position], tokens[position - 1] if position else ""
        position += 1
        is_argument = tokens[position : position + 1] == ["="] and before in ("(", ",")
        if not word[0].isidentifier() or before in (".", "|", "is") or is_argument:
            continue
        path = [word]
        while part := _part(tokens, position):
            path.append(part[0])
            position += part[1]
        yield Use(at, tuple(path[:MAX_DEPTH]), _is_optional(tokens[position : position + 3]))


def _part(tokens: list[str], position: int) -> tuple[str, int] | None:
    """The name behind a dot or in brackets, and how many tokens it takes."""
    match tokens[position : position + 3]:
        case [".", name, *_] if name[0].isidentifier():
            return name, 2
        case ["[", text, "]"] if text[0] in "\"'":
            return text[1:-1], 3
    return None


def _is_optional(behind: list[str]) -> bool:
    match behind:
        case ["|", "default" | "d", *_] | ["is", "defined" | "undefined", *_]:
            return True
        case ["is", "not", "defined" | "undefined"]:
            return True
    return False


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Its properties, also those of schemas it is combined of."""
    found: dict[str, Any] = {}
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word) or ():
            if isinstance(part, Mapping):
                found |= _properties(part)
    properties = schema.get("properties")
    return found | dict(properties) if isinstance(properties, Mapping) else found
