"""What readers would be sorry about in HTML or MJML: pictures nobody describes, pale text, links without https."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import accumulate
from typing import NamedTuple

from clarion.content.contrast import AA, AA_LARGE, Colour, colour, ratio
from clarion.content.faults import Code
from clarion.content.sandbox import tags

VALUE = "\ufffc"
"""Stands for every character of a tag that prints something."""
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_UNSEEN = frozenset({"head", "script", "style", "title", "mj-head", "mj-style", "mj-title"})
_WORDS = re.compile(r"[^\s\ufffc\u00a0\u200b-\u200f\u034f\u2007]")
_BOLD = frozenset({"bold", "bolder", "700", "800", "900"})


class Remark(NamedTuple):
    """Something to warn of, and the offset in the source where it is."""

    at: int
    code: Code
    detail: str


class Look(NamedTuple):
    """How text looks inside an element; None is not known."""

    element: str
    ink: Colour | None
    paper: Colour | None
    size: float
    bold: bool
    seen: bool


def remarks(source: str, *, contrast: bool = True) -> list[Remark]:
    """What to warn of in a source that may still have its tags."""
    reader = _Reader(masked(source), contrast=contrast)
    return reader.remarks


def masked(source: str) -> str:
    """As long as `source`, with its template tags blotted out: readable as HTML or MJML."""
    parts: list[str] = []
    for tag in tags(source):
        filler = VALUE if tag.opening == "{{" else " "
        inside = source[tag.start : tag.end]
        parts += (tag.text, "".join("\n" if c == "\n" else filler for c in inside))
    return "".join(parts)


class _Reader(HTMLParser):
    def __init__(self, text: str, *, contrast: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.remarks: list[Remark] = []
        self._contrast = contrast
        self._lines = list(
            accumulate((len(line) for line in text.split("\n")), lambda a, b: a + b + 1, initial=0)
        )
        self._looks = [Look("", (0, 0, 0), (255, 255, 255), 16.0, False, True)]
        self._pale: set[tuple[Colour, Colour]] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("img", "mj-image") and "alt" not in given:
            self._remark(
                Code.IMAGE_ALT,
                'an image without `alt`: say what it shows, or write `alt=""` when it is only decoration',
            )
        for name in ("href", "src", "background", "background-url"):
            if given.get(name, "").strip().lower().startswith("http:"):
                self._remark(Code.INSECURE_LINK, f"`{name}` of `<{tag}>` starts with http: write https")
        if tag not in _VOID:
            self._looks.append(_look(self._looks[-1], tag, given))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._looks.pop()

    def handle_endtag(self, tag: str) -> None:
        for number in range(len(self._looks) - 1, 0, -1):
            if self._looks[number].element == tag:
                del self._looks[number:]
                return

    def handle_data(self, data: str) -> None:
        look = self._looks[-1]
        if not (self._contrast and look.seen and look.ink and look.paper and _WORDS.search(data)):
            return
        pair, wanted = (look.ink, look.paper), AA
        if look.size >= 24 or (look.bold and look.size >= 18.66):
            wanted = AA_LARGE
        if pair not in self._pale and ratio(*pair) < wanted:
            self._pale.add(pair)
            self._remark(
                Code.CONTRAST,
                f"text in {_written(look.ink)} on {_written(look.paper)} has a contrast of "
                f"{ratio(*pair):.1f}, readers need {wanted}",
            )

    def _remark(self, code: Code, detail: str) -> None:
        line, column = self.getpos()
        self.remarks.append(Remark(self._lines[line - 1] + column, code, detail))


def _look(outer: Look, element: str, given: dict[str, str]) -> Look:
    style = dict(_declarations(given.get("style", "")))
    ink = style.get("color", given.get("color", ""))
    paper = style.get("background-color") or given.get("background-color") or given.get("bgcolor", "")
    if "background" in style and not paper:
        paper = style["background"].split()[0] if style["background"].split() else ""
        paper = paper if "url(" not in style["background"] else VALUE
    size = re.match(r"([\d.]+)px", style.get("font-size", "")) if "font-size" in style else None
    hidden = "none" in (style.get("display"), style.get("mso-hide")) or element in _UNSEEN
    return Look(
        element,
        colour(ink) if ink else outer.ink,
        outer.paper if paper in ("", "transparent", "none") else colour(paper),
        float(size[1]) if size else _SIZES.get(element, outer.size),
        style.get("font-weight", "") in _BOLD
        or element in ("b", "strong", "h1", "h2", "h3", "th")
        or outer.bold,
        outer.seen and not hidden,
    )


_SIZES = {"h1": 32.0, "h2": 24.0, "h3": 18.72}


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            yield name.strip().lower(), value.replace("!important", "").strip().lower()


def _written(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)
