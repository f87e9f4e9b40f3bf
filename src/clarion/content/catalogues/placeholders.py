"""The template tags inside a text: which ones a translation must keep, and which contain words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from clarion.content.catalogues.scan import Sort, scan

_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'|[=!<>]=|\w+|[^\s\w]""")
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">=", "in", "is"})
_FREE = frozenset({"plural", "ordinal"})
"""Filters whose arguments are words, as many as the language has forms: a translation writes its own."""
_WORDED = frozenset({"default", "d", "plural", "ordinal"})
_WORDS = '"…"'
"""Stands for a text that readers see: a translation may change it."""


def differences(source: str, target: str, *, markup: bool) -> list[str]:
    """What is wrong with the tags of a translation, in words; empty when it has those of the source."""
    wanted, given = _tags(source, markup), _tags(target, markup)
    found = [f"`{text}` of the source is missing" for key, text in wanted.items() if key not in given]
    for key, text in given.items():
        if key not in wanted:
            near = get_close_matches(key, wanted, n=1)
            hint = f"; did you mean `{wanted[near[0]]}`?" if near else ""
            found.append(f"`{text}` is not in the source{hint}")
    return found


def protected(tag: str) -> bool:
    """Whether a template tag holds nothing to translate, so that tools may lock it."""
    return _WORDS not in _signature(tag)


def _tags(text: str, markup: bool) -> dict[str, str]:
    """Signature to the tag as it is written."""
    found: dict[str, str] = {}
    for token in scan(text, markup=markup):
        tag = text[token.start : token.end]
        if token.sort in (Sort.VALUE, Sort.STATEMENT):
            found.setdefault(" ".join(_signature(tag)), tag)
        elif token.sort in (Sort.OPEN, Sort.CLOSE):
            found.setdefault(" ".join(tag.split()), tag)
    return found


def _signature(tag: str) -> Iterator[str]:
    """The words of a template tag, with every text that readers see replaced by the same sign."""
    words = _TOKEN.findall(tag[2:-2].strip("-+ \n\t\r"))
    yield tag[:2]
    calls: list[str] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word == ")" and calls:
            calls.pop()
        if not _FREE.intersection(calls):
            yield _WORDS if _is_words(word, before, after, calls, words[0], tag) else word
        if word == "(":
            calls.append(before)
            if before in _FREE:
                yield _WORDS


def _is_words(word: str, before: str, after: str, calls: list[str], first: str, tag: str) -> bool:
    if word[0] not in "\"'" or not any(map(str.isalpha, word)):
        return False
    if tag.startswith("{%") and first != "set":
        return False
    if before in _COMPARISONS or after in _COMPARISONS:
        return False
    return all(not call.isidentifier() or call in _WORDED for call in calls)
