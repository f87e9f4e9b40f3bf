"""Texts with placeholders, such as `{to}`: checked when they are stored, and filled when a message is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from clarion.errors import ConfigError

OF_MESSAGE = ("to", "to_digits", "text", "reference", "callback_url")
OF_SETTINGS = ("from", "user", "secret", "basic", "callback_secret")
PLACEHOLDERS = (*OF_MESSAGE, *OF_SETTINGS)
_PIECES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Absent(Exception):
    """A placeholder has nothing to stand for: what it is part of is left out."""


class Filling(NamedTuple):
    """One text with placeholders: what stands between them, and their names."""

    words: tuple[str, ...]
    """One more than there are names."""
    names: tuple[str, ...]

    def filled(self, values: Mapping[str, str | None], spell: Callable[[str], str] = str) -> str:
        """The text with these values, each spelled for its place. Raises Absent when one has nothing to say."""
        parts = [self.words[0]]
        for name, word in zip(self.names, self.words[1:], strict=True):
            value = values[name]
            if value is None:
                raise Absent
            parts += (spell(value), word)
        return "".join(parts)


def filling_of(text: str, pointer: str, allowed: Collection[str] = PLACEHOLDERS) -> Filling:
    """Raises ConfigError for a placeholder that is not known, or not allowed here."""
    words, names, at = [""], [], 0
    for found in _PIECES.finditer(text):
        words[-1] += text[at : found.start()]
        at = found.end()
        if found[0] in ("{{", "}}"):
            words[-1] += found[0][0]
            continue
        name = found[1]
        if name is None:
            raise ConfigError("a brace stands alone: write {{ or }} where a brace is meant", pointer=pointer)
        if name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {_listed(PLACEHOLDERS)}"
            raise ConfigError(f"this placeholder is not known: {hint}", pointer=pointer)
        if name not in allowed:
            raise ConfigError(f"{{{name}}} is not allowed here, but {_listed(allowed)}", pointer=pointer)
        names.append(name)
        words.append("")
    words[-1] += text[at:]
    return Filling(tuple(words), tuple(names))


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


class JsonTemplate:
    """A JSON document whose strings have placeholders."""

    def __init__(self, document: Any, pointer: str) -> None:
        self.names: set[str] = set()
        self._document = self._compiled(document, pointer)

    def _compiled(self, value: Any, pointer: str) -> Any:
        if isinstance(value, str):
            filling = filling_of(value, pointer)
            self.names.update(filling.names)
            return filling
        if isinstance(value, dict):
            return {
                name: self._compiled(one, f"{pointer}/{escaped_pointer(name)}") for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._compiled(one, f"{pointer}/{at}") for at, one in enumerate(value)]
        return value

    def filled(self, values: Mapping[str, str | None]) -> Any:
        """The document for one message; members and items that have nothing to say are left out."""
        return _filled(self._document, values)


def _filled(value: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(value, Filling):
        return value.filled(values)
    if isinstance(value, dict):
        return dict(_present(value.items(), values))
    if isinstance(value, list):
        return [one for _, one in _present(enumerate(value), values)]
    return value


def _present(items: Any, values: Mapping[str, str | None]) -> Iterator[tuple[Any, Any]]:
    for name, one in items:
        try:
            yield name, _filled(one, values)
        except Absent:
            continue


def escaped_pointer(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
