"""Reviews HTML and MJML: images without a description, low contrast, links without https."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from clarion.content.html.contrast import AA, AA_LARGE, Colour, colour, ratio
from clarion.content.html.elements import VOID, Elements, events
from clarion.content.templates.errors import Code
from clarion.content.templates.sandbox import tags

VALUE = "\ufffc"
"""Stands for every character of a tag that prints something."""
_UNSEEN = frozenset({"head", "script", "style", "title", "mj-head", "mj-style", "mj-title"})
_WORDS = re.compile(r"[^\s\ufffc\u00a0\u200b-\u200f\u034f\u2007]")
_CLOSED = "x-closed"
"""An attribute that stands for the `/` of `<mj-spacer />`."""
MISSES = 64
"""Places that are looked for in vain before lines are told only roughly."""
_BOLD = frozenset({"bold", "bolder", "700", "800", "900"})


class Remark(NamedTuple):
    """Something to warn of, and the offset in the source where it is."""

    at: int
    code: Code
    detail: str


class TextStyle(NamedTuple):
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


class _Reader:
    def __init__(self, text: str, *, contrast: bool) -> None:
        self.remarks: list[Remark] = []
        self._contrast = contrast
        self._text = text.lower()
        self._at = -1
        """Where the tag begins that is read."""
        self._missed = 0
        self._page = TextStyle("", (0, 0, 0), (255, 255, 255), 16.0, False, True)
        self._open: Elements[TextStyle] = Elements()
        self._pale: set[tuple[Colour, Colour]] = set()
        for kind, what in events(text.replace("/>", f" {_CLOSED}>")):
            if kind == "start":
                self._start(*what)
            elif kind == "end":
                self._go_on(f"</{what}")
                _run(self._open.end(what))
            elif kind == "comment":
                self._go_on(what.lower())
            elif kind == "text":
                self._words(what)

    def _start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        given = {name: value or "" for name, value in attributes.items()}
        self._go_on(f"<{tag.removeprefix('x-')}")
        _run(self._open.make_room(tag))
        if tag in ("img", "mj-image") and "alt" not in given:
            self._remark(
                Code.IMAGE_ALT,
                'an image without `alt`: say what it shows, or write `alt=""` when it is only decoration',
            )
        for name in ("href", "src", "background", "background-url"):
            if given.get(name, "").strip().lower().startswith("http:"):
                self._remark(Code.INSECURE_LINK, f"`{name}` of `<{tag}>` starts with http: write https")
        if tag not in VOID and not (_CLOSED in given and tag.startswith("mj")):
            self._open.begin(tag, _text_style(self._text_style, tag, given))

    def _go_on(self, to: str) -> None:
        """What is read is the next place where this stands; near enough for a line number."""
        if self._missed < MISSES:
            at = self._text.find(to, self._at + 1)
            self._missed += at < 0
            self._at = max(at, self._at)

    @property
    def _text_style(self) -> TextStyle:
        return self._open.inner or self._page

    def _words(self, data: str) -> None:
        text_style = self._text_style
        if not (
            self._contrast and text_style.seen and text_style.ink and text_style.paper and _WORDS.search(data)
        ):
            return
        pair, wanted = (text_style.ink, text_style.paper), AA
        if text_style.size >= 24 or (text_style.bold and text_style.size >= 18.66):
            wanted = AA_LARGE
        if pair not in self._pale and ratio(*pair) < wanted:
            self._pale.add(pair)
            self._remark(
                Code.CONTRAST,
                f"text in {_written(text_style.ink)} on {_written(text_style.paper)} has a contrast of "
                f"{ratio(*pair):.1f}, readers need {wanted}",
            )

    def _remark(self, code: Code, detail: str) -> None:
        self.remarks.append(Remark(max(self._at, 0), code, detail))


def _run(ended: Iterator[object]) -> None:
    for _ in ended:
        pass


def _text_style(outer: TextStyle, element: str, given: dict[str, str]) -> TextStyle:
    style = dict(_declarations(given.get("style", "")))
    ink = style.get("color", given.get("color", ""))
    paper = style.get("background-color") or given.get("background-color") or given.get("bgcolor", "")
    if "background" in style and not paper:
        paper = style["background"].split()[0] if style["background"].split() else ""
        paper = paper if "url(" not in style["background"] else VALUE
    size = re.match(r"([\d.]+)px", style.get("font-size", "")) if "font-size" in style else None
    hidden = "none" in (style.get("display"), style.get("mso-hide")) or element in _UNSEEN
    return TextStyle(
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
