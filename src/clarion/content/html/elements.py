"""Reads HTML as a stream of tags and text, and tracks open elements. Linear time, however broken the HTML is.

No tree is made: a tree repeats what is left open, so that 50 KB can mean millions of elements.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

VOID = frozenset({
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
_CLOSE_P = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
    "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "table", "ul",
})  # fmt: skip
"""What ends an open paragraph by beginning."""
_LISTS = ("ul", "ol", "menu", "dir", "dl")
_CELLS = ("td", "th", "caption")
_SECTIONS = ("thead", "tbody", "tfoot")
_SIBLINGS = {
    "li": (("li",), _LISTS),
    "dt": (("dt", "dd"), _LISTS),
    "dd": (("dt", "dd"), _LISTS),
    "td": (_CELLS, ("table",)),
    "th": (_CELLS, ("table",)),
    "tr": (("tr", *_CELLS), ("table",)),
    **dict.fromkeys(_SECTIONS, ((*_SECTIONS, "tr", *_CELLS), ("table",))),
    "a": (("a",), ()),
    "option": (("option",), ()),
}
"""What an element ends by beginning, as far as it is inside the nearest of the second."""
_BARRIERS = frozenset({"table", *_CELLS})
"""An end tag ends nothing outside these, unless it is of a table itself."""
_OF_TABLES = _BARRIERS | {"tr", *_SECTIONS, "body", "html"}
_TEXT_ONLY = ("title", "textarea", "noscript", "iframe", "noframes", "noembed", "xmp", "plaintext")
"""Elements whose tags are text until they are closed."""
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
MANY_COMMENTS = 64

Event = tuple[Literal["start", "end", "text", "comment", "doctype"], Any]


def events(html: str) -> Iterator[Event]:
    """`("start", (name, attributes))`, `("end", name)`, `("text", ...)`, `("comment", ...)`, entities resolved.

    An element that holds nothing but text and is never closed holds nothing.
    """
    from justhtml import stream  # loads a whole HTML library: only who writes HTML needs it

    if html.count("<!--") > MANY_COMMENTS:  # the library looks through the rest of the text for each of them
        html = _COMMENT.sub("", html)
    lower = html.lower()
    for name in _TEXT_ONLY:
        if f"<{name}" in lower and f"</{name}" not in lower:
            html = re.sub(rf"<{name}(?![a-z0-9])", f"<x-{name}", html, flags=re.IGNORECASE)
    return stream(html)


class Elements(Generic[T]):
    """The open elements, and something to remember of each."""

    def __init__(self) -> None:
        self._open: list[tuple[str, T]] = []
        self._at: defaultdict[str, list[int]] = defaultdict(list)
        """Where in `_open` the elements of a name are."""
        self._barriers: list[int] = []

    @property
    def inner(self) -> T | None:
        """What is remembered of the innermost."""
        return self._open[-1][1] if self._open else None

    def make_room(self, name: str) -> Iterator[tuple[str, T]]:
        """Ends what `name` ends by beginning, innermost first."""
        within = self._barriers[-1] if self._barriers else -1
        if name in _CLOSE_P and self._last(("p",)) > within:
            yield from self._down_to(self._last(("p",)))
        if name in _SIBLINGS:
            ended, inside = _SIBLINGS[name]
            limit = max(self._last(inside), within if name not in _OF_TABLES else -1)
            if found := [self._at[one][-1] for one in ended if self._last((one,)) > limit]:
                yield from self._down_to(min(found))

    def begin(self, name: str, of: T) -> None:
        """An element begins; not for those in VOID."""
        self._at[name].append(len(self._open))
        if name in _BARRIERS:
            self._barriers.append(len(self._open))
        self._open.append((name, of))

    def end(self, name: str) -> Iterator[tuple[str, T]]:
        """Ends the nearest `name` and all inside it, innermost first; nothing where there is none."""
        at = self._last((name,))
        if at >= 0 and (name in _OF_TABLES or not self._barriers or at > self._barriers[-1]):
            yield from self._down_to(at)

    def end_all(self) -> Iterator[tuple[str, T]]:
        """The text is over."""
        yield from self._down_to(0)

    def _last(self, names: tuple[str, ...]) -> int:
        return max((self._at[name][-1] for name in names if self._at.get(name)), default=-1)

    def _down_to(self, at: int) -> Iterator[tuple[str, T]]:
        while len(self._open) > at:
            name, of = self._open.pop()
            self._at[name].pop()
            if name in _BARRIERS:
                self._barriers.pop()
            yield name, of
