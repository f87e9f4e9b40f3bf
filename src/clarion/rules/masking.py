"""Replaces personal data in what leaves for somebody else, and puts it back into what comes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SHORTEST = 3
"""Characters of a value that is looked for: shorter ones are parts of everything."""
_FOUND = (
    r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+\.\w{2,}",  # an email address
    r"\+?\d(?:[\s().\-/]*\d){6,}",  # a number of 7 digits or more: a telephone, a card, an account
)
_PLACEHOLDER = re.compile(r"\[\[(\d+)\]\]")


class UnknownPlaceholder(Exception):
    """What came has one that nobody gave."""


def masked(value: Any, known: Iterable[str]) -> tuple[Any, Mapping[str, str]]:
    """The value with placeholders for email addresses, long numbers and `known` texts, and what each stands for.
    The same value gives the same, whatever the order of its fields."""
    wanted = sorted({one for one in known if len(one) >= SHORTEST}, key=lambda one: (-len(one), one))
    looked_for = re.compile("|".join([*(rf"(?<!\w){re.escape(one)}(?!\w)" for one in wanted), *_FOUND]))
    names: dict[str, str] = {}

    def placeholder(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"[[{len(names) + 1}]]")

    def replaced(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: replaced(inner) for name, inner in sorted(one.items())}
        if isinstance(one, list):
            return [replaced(inner) for inner in one]
        if isinstance(one, int) and not isinstance(one, bool) and len(str(abs(one))) >= 7:
            return looked_for.sub(placeholder, str(one))
        return looked_for.sub(placeholder, _PLACEHOLDER.sub("", one)) if isinstance(one, str) else one

    return replaced(value), {name: found for found, name in names.items()}


def unmasked(value: Any, names: Mapping[str, str]) -> Any:
    """The value with what its placeholders stand for. Raises UnknownPlaceholder."""

    def meant(found: re.Match[str]) -> str:
        if found[0] not in names:
            raise UnknownPlaceholder
        return names[found[0]]

    if isinstance(value, dict):
        return {name: unmasked(inner, names) for name, inner in value.items()}
    if isinstance(value, list):
        return [unmasked(inner, names) for inner in value]
    return _PLACEHOLDER.sub(meant, value) if isinstance(value, str) else value


def without_placeholders(text: str) -> str:
    """The rest of a text."""
    return _PLACEHOLDER.sub(" ", text)
