"""MJML, made into responsive HTML when a template is compiled: template tags go through it untouched.

Every tag, and the content of every element that holds HTML, is a single word while MRML works, and is put back
afterwards. So nothing in them can be mistaken for MJML, and a tag that MJML has no place for is noticed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import mrml

from clarion.content.html.markup import masked
from clarion.content.templates.errors import Code, SourceRefused
from clarion.content.templates.inheritance import ResolvedSource
from clarion.content.templates.sandbox import nearest, tags

# fmt: off
HOLD_HTML = (
    "mj-accordion-text", "mj-accordion-title", "mj-button", "mj-navbar-link", "mj-preview", "mj-raw",
    "mj-social-element", "mj-style", "mj-table", "mj-text", "mj-title",
)
"""MJML's "ending tags": what is inside is HTML, text or CSS. https://documentation.mjml.io/#ending-tags"""
ELEMENTS = frozenset({
    *HOLD_HTML, "mjml", "mj-accordion", "mj-accordion-element", "mj-all", "mj-attributes", "mj-body", "mj-breakpoint",
    "mj-carousel", "mj-carousel-image", "mj-class", "mj-column", "mj-divider", "mj-font", "mj-group", "mj-head",
    "mj-hero", "mj-html-attribute", "mj-html-attributes", "mj-image", "mj-navbar", "mj-section", "mj-selector",
    "mj-social", "mj-spacer", "mj-wrapper",
})
# fmt: on
_HOLDING = re.compile(rf"<({'|'.join(HOLD_HTML)})(?=[\s>])(?:\"[^\"]*\"|'[^']*'|[^>\"']++)*+(?<!/)>")
_CLOSING = {name: re.compile(rf"</{name}\s*>") for name in HOLD_HTML}
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
MAX_DEPTH = 32
"""Elements inside one another: MRML goes as deep, on the stack."""
_ELEMENT = re.compile(r"<(/?)([a-zA-Z][\w-]*)((?:\"[^\"]*\"|'[^']*'|[^>\"'])*)>")
_ROOT = re.compile(r"<mjml\b(?P<attributes>[^>]*?)(?=/?>)")
_END = re.compile(r"</mjml\s*>")
_POSITION = re.compile(r" at position (\d+)")
_OPENS_TAG = re.compile(r"\{(?=[{%#])")


_NO_LANGUAGE = 'lang="und" dir="auto"'
_LANGUAGE = 'lang="{{ user.language }}" dir="{{ user.direction }}"'


class Word(NamedTuple):
    """A part of the source, for which one word stands while MRML works."""

    start: int
    end: int


def to_html(resolved: ResolvedSource) -> ResolvedSource:
    """The HTML source that `resolved` stands for. Raises Faulty with the line where the MJML is broken."""
    source = resolved.text
    try:
        blank = masked(source)
    except SourceRefused as refused:
        raise resolved.fault(refused.detail, refused.at, refused.code) from None
    root, end = _ROOT.search(blank), _END.search(blank)
    if root is None or end is None:
        raise resolved.fault("MJML starts with `<mjml>` and ends with `</mjml>`", 0, Code.MJML)
    words = _words(source, blank, root.start(), end.end())
    stem = _stem(source)
    edits = [(word.start, word.end, f"{stem}{number}z") for number, word in enumerate(words)]
    given = resolved.splice([(0, root.start(), ""), *edits, (end.end(), len(source), "")])
    given = given.splice((*comment.span(), "") for comment in _COMMENT.finditer(given.text))
    words_left = _there(given.text, stem)
    try:
        _check_elements(given.text)
        html = _run(given.text)
    except SourceRefused as refused:
        raise given.fault(refused.detail, refused.at, refused.code) from None
    parts = [(source[: root.start()], 0), *_restored(resolved, words, html, stem, words_left)]
    return resolved.pieces(parts)


def _words(source: str, blank: str, start: int, end: int) -> list[Word]:
    """The contents of elements and the tags outside them, in order; comments are part of what they stand in."""
    found = list(_contents(blank, start, end))
    starts = [word.start for word in found]
    for tag in tags(source):
        if tag.opening and start <= tag.start < end:
            number = bisect_right(starts, tag.start) - 1
            if number < 0 or tag.start >= found[number].end:
                found.append(Word(tag.start, tag.end))
    return sorted(word for word in found if word.start < word.end)


def _contents(blank: str, start: int, end: int) -> Iterator[Word]:
    """What stands in the elements that hold HTML."""
    left_open: set[str] = set()
    while opening := _HOLDING.search(blank, start, end):
        name, start = opening[1], opening.end()
        if name in left_open:
            continue
        closing = _CLOSING[name].search(blank, start, end)
        if closing is None:
            left_open.add(name)
        else:
            yield Word(start, closing.start())
            start = closing.end()


def _stem(source: str) -> str:
    """A word that does not occur in `source`."""
    stem = "zq"
    while stem in source:
        stem += "q"
    return stem


def _check_elements(given: str) -> None:
    """Known elements, each closed where it should be: MRML passes over the one and gives no place for the other."""
    above: list[tuple[str, int]] = []
    for found in _ELEMENT.finditer(given):
        closing, name, rest = found.groups()
        if name == "mj-include":
            raise SourceRefused(
                '`mj-include` is not available: write `{% include "key" %}`', found.start(), Code.MJML
            )
        if name not in ELEMENTS:
            hint = (
                nearest(name, ELEMENTS)
                if name.startswith("mj")
                else "put HTML into `<mj-text>` or `<mj-raw>`"
            )
            raise SourceRefused(f"`<{name}>` is not allowed here in MJML; {hint}", found.start(), Code.MJML)
        if closing:
            if not above or above.pop()[0] != name:
                raise SourceRefused(
                    f"`</{name}>` closes a tag that is not open here", found.start(), Code.MJML
                )
        elif not rest.endswith("/"):
            above.append((name, found.start()))
            if len(above) > MAX_DEPTH:
                raise SourceRefused(
                    f"more than {MAX_DEPTH} elements inside one another", found.start(), Code.LIMIT
                )
    if above:
        raise SourceRefused(f"`<{above[-1][0]}>` is never closed", above[-1][1], Code.MJML)


def _run(given: str) -> str:
    try:
        return str(
            mrml.to_html(given, mrml.ParserOptions(include_loader=mrml.noop_loader()), _OPTIONS).content
        )
    except OSError as error:
        position = _POSITION.search(str(error))
        detail = _POSITION.split(str(error))[0].replace(" in root template", "")
        raise SourceRefused(
            f"the MJML is broken: {detail}", int(position[1]) if position else 0, Code.MJML
        ) from None


_OPTIONS = mrml.RenderOptions(fonts={})
"""No font from elsewhere: nobody is told who reads what."""


def _there(text: str, stem: str) -> set[int]:
    return {int(number) for number in re.findall(rf"{stem}(\d+)z", text)}


def _restored(
    resolved: ResolvedSource, words: list[Word], html: str, stem: str, given: set[int]
) -> Iterator[tuple[str, int | None]]:
    """`html` with the words replaced by what they stand for. Raises Faulty when one of `given` with a tag got lost."""
    for number in sorted(given - _there(html, stem)):
        start, end = words[number]
        if "{" in resolved.text[start:end]:
            raise resolved.fault(
                f"MJML has no place for `{resolved.text[start:end][:40]}` here: put it into `<mj-raw>` or `<mj-text>`",
                start,
                Code.MJML,
            )
    html = _OPENS_TAG.sub("{ ", html).replace(_NO_LANGUAGE, _LANGUAGE)
    position = 0
    for found in re.finditer(rf"{stem}(\d+)z", html):
        start, end = words[int(found[1])]
        yield html[position : found.start()], None
        yield resolved.text[start:end], start
        position = found.end()
    yield html[position:], None
