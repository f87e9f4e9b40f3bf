"""Splits a source into text, template tags and HTML tags, in linear time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

_BEGIN = re.compile(r"\{[{%#]|<!--|<[!?]|</?[A-Za-z]")
_TEMPLATE_BEGIN = re.compile(r"\{[{%#]")
_NAME = re.compile(r"</?\s*([A-Za-z][\w:-]*)")
_STATEMENT = re.compile(r"\{%[-+]?\s*(\w*)")
_STRING = r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
_END = {
    "{{": re.compile(rf"(?>(?:{_STRING}|[^\"'}}]|\}}(?!\}}))*)\}}\}}", re.DOTALL),
    "{%": re.compile(rf"(?>(?:{_STRING}|[^\"'%]|%(?!\}}))*)%\}}", re.DOTALL),
    "{#": re.compile(r"(?>(?:[^#]|#(?!\}))*)#\}"),
}
"""Atomic groups, not possessive repeats: with a look-ahead inside, those match nothing in Python 3.11.2."""
_IN_TAG = re.compile(r"[\"'>]|\{[{%#]")
_RAW = frozenset({"style", "script", "mj-style"})
"""Elements whose inside is not text."""


class Sort(Enum):
    """What a token is."""

    TEXT = "text"
    VALUE = "value"  # {{ ... }}
    STATEMENT = "statement"  # {% ... %}
    OPEN = "open"
    CLOSE = "close"
    OTHER = "other"  # comments, declarations, the inside of <style>, and whatever is never closed


class Token(NamedTuple):
    """A stretch of the source."""

    sort: Sort
    start: int
    end: int
    name: str = ""
    """Of an element or a statement."""


def scan(source: str, *, markup: bool) -> Iterator[Token]:
    """All of `source` as tokens, in order and without gaps. HTML tags only count when it is `markup`."""
    begin = _BEGIN if markup else _TEMPLATE_BEGIN
    position = 0
    while found := begin.search(source, position):
        if found.start() > position:
            yield Token(Sort.TEXT, position, found.start())
        token = _token(source, found.start())
        yield token
        position = token.end
        if token.sort is Sort.OPEN and token.name in _RAW:
            end = _close_of(source, token.name, position)
            if end > position:
                yield Token(Sort.OTHER, position, end)
            position = end
    if position < len(source):
        yield Token(Sort.TEXT, position, len(source))


def _token(source: str, start: int) -> Token:
    two = source[start : start + 2]
    if two in _END:
        return _template_tag(source, start, two)
    if source.startswith("<!--", start):
        end = source.find("-->", start)
        return Token(Sort.OTHER, start, end + 3 if end > 0 else len(source))
    end = _tag_end(source, start)
    named = _NAME.match(source, start)
    if not end or not named:
        return Token(Sort.OTHER, start, end or len(source))
    sort = Sort.CLOSE if two == "</" else Sort.OPEN
    return Token(sort, start, end, named[1].lower())


def _template_tag(source: str, start: int, opening: str) -> Token:
    closed = _END[opening].match(source, start + 2)
    if closed is None or opening == "{#":
        return Token(Sort.OTHER, start, closed.end() if closed else len(source))
    if opening == "{{":
        return Token(Sort.VALUE, start, closed.end())
    named = _STATEMENT.match(source, start)
    return Token(Sort.STATEMENT, start, closed.end(), named[1] if named else "")


def _tag_end(source: str, start: int) -> int:
    """Behind the `>` of the tag that starts here; 0 when it is never closed."""
    position, quote = start + 1, ""
    while found := _IN_TAG.search(source, position):
        position = found.end()
        if len(found.group()) == 2:
            closed = _END[found.group()].match(source, position)
            if closed is None:
                return 0
            position = closed.end()
        elif found.group() == quote:
            quote = ""
        elif not quote and found.group() == ">":
            return position
        elif not quote:
            quote = found.group()
    return 0


def _close_of(source: str, name: str, position: int) -> int:
    closed = re.compile(rf"</{re.escape(name)}\b", re.IGNORECASE).search(source, position)
    return closed.start() if closed else len(source)
