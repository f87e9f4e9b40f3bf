"""Splits a field into words for translators and markup that they do not see."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum

from clarion.content.catalogues.placeholders import protected
from clarion.content.catalogues.scan import Sort, Token, scan

# fmt: off
INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "q", "s",
    "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
})
# fmt: on
"""Elements that stand inside a sentence; every other one ends it."""
_VOID = frozenset({"br", "wbr"})
_DIVIDING = frozenset({"block", "endblock", "extends"})
"""Statements that end a sentence: what they hold goes to another place of a layout."""
_SILENT = re.compile(r"&#?\w+;|\b[a-zA-Z][\w+.-]*://\S*")
"""Letters that are no words: entities, and links by themselves."""
_SPOKEN = re.compile(r"""\s(?:alt|title|aria-label)\s*=\s*("[^"]*"|'[^']*')""", re.IGNORECASE)
"""Attributes that people read or hear."""
MAX_SPOKEN = 4
"""Texts that may begin in one tag; one more than it can have such attributes."""


_LABEL = re.compile(
    r""""label"\s*:\s*"((?>(?:\{\{(?>(?:[^}]|\}(?!\}))*)\}\}|[^"\\{]|\{(?!\{)|\\.)*))\"""", re.DOTALL
)


class Cut(Enum):
    """How a field is cut into texts."""

    WHOLE = "the field is one text"
    MARKUP = "sentences between block elements, and what attributes say"
    LABELS = "what the buttons of a JSON list are called"


class Pieces:
    """A source as texts in a frame: `frame[0] texts[0] frame[1] texts[1] ... frame[-1]`."""

    __slots__ = ("frame", "lines", "shape", "texts")

    def __init__(self, source: str, cut: Cut) -> None:
        spans = list(_CUTTERS[cut](source))
        edges = [0, *(edge for span in spans for edge in span), len(source)]
        self.texts = tuple(source[start:end] for start, end in spans)
        self.frame = tuple(source[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
        self.lines = tuple(source.count("\n", 0, start) + 1 for start, _ in spans)
        """Where each text stands in the source."""
        self.shape = _shape(source, spans) if cut is Cut.MARKUP else ("text",) * len(spans)
        """The elements and tags around the texts, without attributes: equal shapes hold texts in equal places."""

    def fill(self, texts: Sequence[str]) -> str:
        """The source with other texts."""
        return self.frame[0] + "".join(text + f for text, f in zip(texts, self.frame[1:], strict=True))


def has_words(text: str, *, markup: bool) -> bool:
    """Whether there is anything to translate."""
    return any(_speaks(text, token) for token in scan(text, markup=markup))


def _speaks(source: str, token: Token) -> bool:
    text = source[token.start : token.end]
    if token.sort is Sort.TEXT:
        return any(map(str.isalpha, _SILENT.sub("", text)))
    return token.sort in (Sort.VALUE, Sort.STATEMENT) and not protected(text)


def _labels(source: str) -> Iterator[tuple[int, int]]:
    for label in _LABEL.finditer(source):
        if has_words(label[1], markup=False):
            yield label.span(1)


def _whole(source: str) -> Iterator[tuple[int, int]]:
    if has_words(source, markup=False):
        yield len(source) - len(source.lstrip()), len(source.rstrip())


def _spans(source: str) -> Iterator[tuple[int, int]]:
    """Where the texts of markup stand: sentences between block tags, and what attributes say."""
    run: list[Token] = []
    for token in scan(source, markup=True):
        if _divides(token):
            yield from _sentence(source, run)
            run = []
            if token.sort is Sort.OPEN:
                yield from _said(source, token)
        else:
            run.append(token)
    yield from _sentence(source, run)


def _divides(token: Token) -> bool:
    if token.sort is Sort.STATEMENT:
        return token.name in _DIVIDING
    return token.sort is Sort.OTHER or (token.sort in (Sort.OPEN, Sort.CLOSE) and token.name not in INLINE)


def _shape(source: str, spans: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    shape: list[str] = []
    at = 0
    for token in scan(source, markup=True):
        while at < len(spans) and spans[at][1] <= token.start:
            at += 1
        if at == len(spans) or token.start < spans[at][0]:
            shape += _label(source, token)
        begin_here = (start for start, _ in spans[at : at + MAX_SPOKEN] if token.start <= start < token.end)
        shape += ["text" for _ in begin_here]
    return tuple(shape)


def _label(source: str, token: Token) -> tuple[str, ...]:
    if token.sort in (Sort.OPEN, Sort.CLOSE):
        return (f"{token.sort.value} {token.name}",)
    if token.sort in (Sort.VALUE, Sort.STATEMENT):
        return (" ".join(source[token.start : token.end].split()),)
    return ()


def _said(source: str, tag: Token) -> Iterator[tuple[int, int]]:
    for spoken in _SPOKEN.finditer(source, tag.start, tag.end):
        start, end = spoken.start(1) + 1, spoken.end(1) - 1
        if has_words(source[start:end], markup=False):
            yield start, end


def _sentence(source: str, run: Sequence[Token]) -> Iterator[tuple[int, int]]:
    """The run without what merely surrounds it: blanks, lone tags, and pairs of tags around the whole of it.

    What the attributes of those tags say are texts of their own; those of tags within the sentence stay in it.
    """
    partners = _partners(run)
    first, last = 0, len(run) - 1
    while first <= last:
        if _surrounds(source, run[first]) and first not in partners:
            first += 1
        elif _surrounds(source, run[last]) and last not in partners:
            last -= 1
        elif partners.get(first) == last:
            first, last = first + 1, last - 1
        else:
            break
    if not any(_speaks(source, token) for token in run[first : last + 1]):
        first, last = len(run), len(run) - 1
    for token in run[:first]:
        if token.sort is Sort.OPEN:
            yield from _said(source, token)
    if first <= last:
        start, end = run[first].start, run[last].end
        text = source[start:end]
        yield end - len(text.lstrip()), start + len(text.rstrip())
    for token in run[last + 1 :]:
        if token.sort is Sort.OPEN:
            yield from _said(source, token)


def _surrounds(source: str, token: Token) -> bool:
    if token.sort is Sort.TEXT:
        return source[token.start : token.end].isspace()
    return token.sort is not Sort.VALUE


def _partners(run: Sequence[Token]) -> dict[int, int]:
    """Which tag closes which within the run. `else` binds the pair around it to its place: it has no partner to name."""
    partners: dict[int, int] = {}
    waiting: list[tuple[str, int]] = []
    bound: set[int] = set()
    for at, token in enumerate(run):
        if token.sort is Sort.STATEMENT and token.name in ("else", "elif"):
            bound.update(index for name, index in waiting[-1:] if name.startswith("end"))
        elif (token.sort is Sort.OPEN and token.name not in _VOID) or (
            token.sort is Sort.STATEMENT and token.name in ("if", "for")
        ):
            waiting.append((f"end{token.name}" if token.sort is Sort.STATEMENT else f"/{token.name}", at))
        elif token.sort in (Sort.CLOSE, Sort.STATEMENT):
            closes = f"/{token.name}" if token.sort is Sort.CLOSE else token.name
            if waiting and waiting[-1][0] == closes:
                opener = waiting.pop()[1]
                partners[opener], partners[at] = (-1, -1) if opener in bound else (at, opener)
    return partners


_CUTTERS = {Cut.WHOLE: _whole, Cut.MARKUP: _spans, Cut.LABELS: _labels}


def has_text(source: str, cut: Cut) -> bool:
    """Whether there is anything to translate in a field; looks no further than the first text."""
    return next(_CUTTERS[cut](source), None) is not None
