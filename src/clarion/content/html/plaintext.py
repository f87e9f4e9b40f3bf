"""The plain text of an email that has only HTML: links as `text (url)`, lists, headings and tables readable.

It is made from the HTML's *source* when the template is compiled, with all its tags, so that sending a message costs
no more than rendering one more text. Where tags stand inside HTML tags that cannot be: then from every mail's HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from clarion.content.html.elements import VOID, Elements, events
from clarion.content.templates.inheritance import ResolvedSource
from clarion.content.templates.sandbox import Tag, tags

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "details", "dialog", "dir", "div", "dl", "fieldset",
    "figcaption", "figure", "footer", "form", "header", "hgroup", "html", "legend", "main", "menu", "nav", "ol",
    "option", "section", "summary", "table", "ul",
})  # fmt: skip
_APART = frozenset({"hr", "p", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})
"""With an empty line before and after."""
_LINES = frozenset({"li", "tr", "dt", "dd", "caption", "br", "textarea"})
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_STAY = (_BLOCKS | _APART) - _LISTS - {"table"}
"""Do not begin a line of their own behind a bullet."""
_SKIPPED = frozenset({"noscript", "script", "style", "template", "title"})
_KEEPS_LINES = frozenset({"pre", "textarea", "listing"})
_SPACE = re.compile(r"[ \t\r\n\f\u00a0]+")
_INVISIBLE = re.compile("[\u200b\u200c\u034f\u00ad\ufeff]")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
_PRE = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)", re.IGNORECASE)
_BLANK_ENDS = re.compile(r"(?<![ \t])[ \t]+\n")
_EMPTY_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"\ue000(\d+)([oxce])\ue001")
"""Stands for a tag of the template: a statement that opens or closes a part, another one, or an expression."""
_STATEMENT = re.compile(r"(\ue000\d+[oxc]\ue001)")
_LINE = "\ue002"
"""Stands for a line break that is kept wherever it stands."""
_LAST_LINES = re.compile("(?<!\ue002)\ue002+\n")
_MARKS = re.compile("[\ue000-\ue002]")
_OPENING = ("if", "for")
_CLOSING = ("endif", "endfor")
DEEPEST = 16
"""Lists inside one another that are still moved to the right."""
LOOKED_AT = 64
"""Pieces of what a link says."""
_BREAK_TWICE = re.compile(r"\n((?:\ue000\d+o\ue001)+)\n")
"""Before a repeated or conditional part, and again in it."""
_RAISED = {
    "sup": str.maketrans("0123456789+-=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾"),
    "sub": str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎"),
}
_RAISED_SIGN = {"sup": "^", "sub": "_"}


def derive(html: ResolvedSource) -> ResolvedSource | None:
    """The source of the plain text for an HTML source; None when only a rendered mail tells."""
    source = html.text
    if _MARKS.search(source):
        return None
    found = [tag for tag in tags(source) if tag.opening]
    writer = _read(html.splice(_words(source, found)).text)
    text = writer.text()
    statements = [int(number) for number, kind in _WORD.findall(text) if kind != "e"]
    if writer.tangled or statements != [n for n, tag in enumerate(found) if tag.opening == "{%"]:
        return None

    def parts() -> Iterator[tuple[str, int | None]]:
        position = 0
        for word in _WORD.finditer(text):
            tag = found[int(word[1])]
            yield text[position : word.start()], None
            yield source[tag.start : tag.end], tag.start
            position = word.end()
        yield text[position:], None

    return html.pieces(parts())


def _words(source: str, found: Sequence[Tag]) -> Iterator[tuple[int, int, str]]:
    """What stands for each tag; the same for equal expressions, so that a link which says its address is known."""
    first: dict[str, int] = {}
    for number, tag in enumerate(found):
        if tag.opening == "{#":
            word = ""
        elif tag.opening == "{%":
            kind = "o" if tag.is_statement(*_OPENING) else "x" if tag.is_statement(*_CLOSING) else "c"
            word = f"\ue000{number}{kind}\ue001"
        else:
            word = f"\ue000{first.setdefault(source[tag.start : tag.end], number)}e\ue001"
        yield tag.start, tag.end, word


def plain(html: str) -> str:
    """The plain text of rendered HTML."""
    return tidy(_read(_MARKS.sub("", html)).text())


def tidy(text: str) -> str:
    """Without spaces at the ends of lines, and never two empty lines, except where the HTML keeps its lines."""
    text = _LAST_LINES.sub("\n", _BLANK_ENDS.sub("\n", text))
    text = _EMPTY_LINES.sub("\n\n", text).strip()
    return text.replace(_LINE, "\n").strip("\n")


def _read(html: str) -> _Writer:
    writer = _Writer(frozenset())
    writer.read(html)
    if writer.shows_nothing_behind:  # what is hidden and never ends was not meant to hide all the rest
        writer = _Writer(frozenset(writer.left_open))
        writer.read(html)
    return writer


class _Element:
    """What is to be remembered of an open element."""

    __slots__ = ("address", "before", "depth", "has_image", "hides", "keeps_lines", "label", "number")

    def __init__(self, number: int, before: int, depth: int) -> None:
        self.number = number
        self.depth = depth
        """Loops and conditions around its start."""
        self.before = before
        """How much had been written before it."""
        self.hides = False
        self.keeps_lines = False
        self.address = ""
        """Of a link."""
        self.label = ""
        self.has_image = False


class _Writer:
    """Writes down what a reader sees."""

    def __init__(self, shown: frozenset[int]) -> None:
        """`shown`: numbers of elements that hide nothing, whatever they say."""
        self.tangled = False
        """A statement stands inside an HTML tag, or decides what ends an element, what a link says, or what is first
        behind a bullet."""
        self.left_open: list[int] = []
        """Numbers of the elements that nothing ends before the document does."""
        self.shows_nothing_behind = False
        """One of those hides what it holds."""
        self._shown = shown
        self._count = 0
        self._out: list[str] = []
        self._breaks = 0
        """Line breaks due before the next words."""
        self._is_written = False
        """The breaks are the author's own, not those of a block that may be repeated."""
        self._space = False
        self._is_marked = False
        """A bullet or the sign of a heading was written, and nothing behind it."""
        self._open: Elements[_Element] = Elements()
        self._hiding = 0
        """Open elements that are not shown."""
        self._keeping = 0
        """Open elements whose lines are kept."""
        self._is_first_line = False
        self._lists: list[int] = []
        """Of each list around: the next number, 0 for bullets."""
        self._links: list[_Element] = []
        self._depth = 0
        """Loops and conditions around."""
        self._raised = 0
        """`sup` and `sub` inside one another."""
        self._cells = 0

    def read(self, html: str) -> None:
        """Write down all of it."""
        for kind, what in events(html):
            match kind:
                case "start":
                    self._start_tag(*what)
                case "end":
                    self._end_tag(what)
                case "text":
                    self._text(what)
                case "comment":
                    self._statements(what)
        for name, element in self._open.end_all():
            self._end(name, element, is_over=True)

    def text(self) -> str:
        """What was written."""
        return _BREAK_TWICE.sub(r"\1\n", "".join(self._out)).strip("\n ")

    def _start_tag(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        given = {name: value or "" for name, value in attributes.items()}
        self.tangled = self.tangled or any(
            _STATEMENT.search(f"{name} {value}") for name, value in given.items()
        )
        for name, ended in self._open.make_room(tag):
            self._end(name, ended)
        self._count += 1
        element = _Element(self._count, len(self._out), self._depth)
        style = given.get("style", "")
        hides = tag in _SKIPPED or "hidden" in given or _HIDDEN.search(style) is not None
        element.hides = hides and self._count not in self._shown
        if not self._hiding and not element.hides:
            self._start(tag, given, element)
        if tag in VOID:
            return
        element.keeps_lines = tag in _KEEPS_LINES or _PRE.search(style) is not None
        self._is_first_line = element.keeps_lines
        self._hiding += element.hides
        self._keeping += element.keeps_lines
        self._open.begin(tag, element)

    def _end_tag(self, tag: str) -> None:
        is_over = tag in ("body", "html")
        ended = False
        for name, element in self._open.end(tag):
            ended = True
            self._end(name, element, is_over=is_over and name != tag)
        if not ended and tag in ("br", "p") and not self._hiding:
            self._break_for(tag)  # as browsers do

    def _end(self, tag: str, element: _Element, *, is_over: bool = False) -> None:
        if is_over:
            self.left_open.append(element.number)
            self.shows_nothing_behind = self.shows_nothing_behind or (element.hides and tag not in _SKIPPED)
        self.tangled = self.tangled or element.depth != self._depth
        self._hiding -= element.hides
        self._keeping -= element.keeps_lines
        if self._hiding or element.hides:
            return
        if self._links and element is self._links[-1]:
            self._end_link(self._links.pop())
        elif tag in _LISTS and self._lists:
            self._lists.pop()
        elif tag in _RAISED:
            self._raised -= 1
            if not self._raised:
                self._raise(tag, element.before)
        self._is_marked = False
        self._break_for(tag)

    def _text(self, data: str) -> None:
        if self._hiding:
            return self._statements(data)
        for number, part in enumerate(_STATEMENT.split(data)):
            if number % 2:
                self._statements(part)
            elif self._keeping:
                self._lines(part)
            else:
                self._words(part)

    def _start(self, tag: str, given: dict[str, str], element: _Element) -> None:
        self._break_before(tag)
        match tag:
            case "a":
                element.address = given.get("href", "").strip()
                element.label = given.get("aria-label", "") or given.get("title", "")
                self._links.append(element)
            case "ul" | "menu" | "dir":
                self._lists.append(0)
            case "ol":
                self._lists.append(_number(given.get("start", "1")))
            case "li":
                self._write(f"{'  ' * (min(len(self._lists), DEEPEST) - 1)}{self._bullet(given)} ")
                self._is_marked = True
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._write("#" * int(tag[1]) + " ")
                self._is_marked = True
            case "hr":
                self._write("---")
                self._breaks = 2
            case "sup" | "sub":
                self._raised += 1
            case "tr" | "td" | "th":
                self._start_cell(tag)
            case "img" | "svg" | "picture" | "video" | "input":
                if self._links:
                    self._links[-1].has_image = True
                self._words(given.get("alt", ""))

    def _start_cell(self, tag: str) -> None:
        if tag == "tr":
            self._cells = 0
            return
        if self._cells and not self._breaks:
            self._out.append("  ")
            self._space = False
        self._cells += 1

    def _break_before(self, tag: str) -> None:
        if not (self._is_marked and tag in _STAY):
            self._break_for(tag)
        elif _STATEMENT.fullmatch(self._out[-1]):
            self.tangled = True

    def _break_for(self, tag: str) -> None:
        if tag == "br":
            self._breaks += 1
            self._is_written = True
        elif tag in _APART or (tag in _LISTS and not self._lists):
            self._breaks = max(self._breaks, 2)
        elif tag in _BLOCKS or tag in _LINES:
            self._breaks = max(self._breaks, 1)

    def _bullet(self, given: dict[str, str]) -> str:
        if not self._lists or not self._lists[-1]:
            return "-"
        number = _number(given.get("value", "")) or self._lists[-1]
        self._lists[-1] = number + 1
        return f"{number}."

    def _end_link(self, link: _Element) -> None:
        written = "".join(self._out[link.before : link.before + LOOKED_AT]).strip()
        address = link.address.removeprefix("mailto:").removeprefix("tel:")
        if not address or address.startswith("#") or address == written:
            return
        shown = _STATEMENT.sub("", written).strip()
        if shown != written and address in shown:
            self.tangled = True
        if not shown and link.has_image:
            self._words(link.label or address)
            shown = link.label
        if shown:
            self._out.append(f" ({address})")

    def _raise(self, tag: str, before: int) -> None:
        """Digits above or below the line as such, so that 19 with a small 99 is not read as 1999."""
        written = "".join(self._out[before:])
        text = written.lstrip()
        if not (_WORD.search(text) or any(c.isdigit() for c in text)):
            return
        table = _RAISED[tag]
        raised = text.translate(table) if all(ord(c) in table for c in text) else _RAISED_SIGN[tag] + text
        self._out[before:] = [written[: len(written) - len(text)] + raised]

    def _words(self, data: str) -> None:
        words = _INVISIBLE.sub("", _SPACE.sub(" ", data))
        if words.strip():
            self._space = (self._space or words[0] == " ") and not self._breaks
            self._write(words.strip())
            self._space = words[-1] == " "
        elif words:
            self._space = True

    def _lines(self, data: str) -> None:
        if self._is_first_line:
            data = data.removeprefix("\n")
            self._is_first_line = False
        if data:
            self._write(_INVISIBLE.sub("", data.replace("\n", _LINE)))

    def _write(self, text: str) -> None:
        if self._out and self._breaks:
            self._out.append("\n" * min(self._breaks, 2))
        elif self._space and self._out and not self._is_marked:
            self._out.append(" ")
        self._breaks, self._space, self._is_written, self._is_marked = 0, False, False, False
        self._out.append(text)

    def _statements(self, data: str) -> None:
        """Statements are kept wherever they stand; inside a loop, lists are not numbered.

        Breaks that are due go before a loop or condition, so that they are neither repeated nor left out.
        """
        for number, kind in _WORD.findall(data):
            if kind == "e":
                continue
            self._depth += (kind == "o") - (kind == "x")
            due = self._is_written or kind == "o" if self._breaks else self._space
            if self._out and due:
                self._write("")
            elif not self._out:
                self._breaks = 0
            self._out.append(f"\ue000{number}{kind}\ue001")
            if self._lists:
                self._lists[-1] = 0


def _number(text: str) -> int:
    """A number of a list; 0 when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
