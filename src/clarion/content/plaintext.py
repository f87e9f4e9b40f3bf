"""The plain text of an email that has only HTML: links as `text (url)`, lists, headings and tables readable.

It is made from the HTML's *source* when the template is compiled, with all its tags, so that sending a message costs
no more than rendering one more text. Where tags stand inside HTML tags that cannot be: then from every mail's HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from clarion.content.sandbox import Tag, tags
from clarion.content.weave import Woven

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "center", "div", "dl", "fieldset", "figure", "footer", "form",
    "header", "main", "nav", "ol", "pre", "section", "table", "ul",
})  # fmt: skip
_APART = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6"})
"""With an empty line before and after."""
_LINES = frozenset({"li", "tr", "dt", "dd", "caption", "br"})
_SKIPPED = frozenset({"head", "noscript", "script", "style", "template", "title"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_SPACE = re.compile(r"[ \t\r\n\f\u00a0]+")
_INVISIBLE = re.compile("[\u200b\u200c\u034f\u00ad\ufeff]")
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_BLANK_ENDS = re.compile(r"[ \t]+\n")
_EMPTY_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"\ue000(\d+)([oce])\ue001")
"""Stands for a tag of the template: an opening statement, another one, or an expression."""
_STATEMENT = re.compile(r"(\ue000\d+[oc]\ue001)")
_OPENING = ("if", "for")
_BREAK_TWICE = re.compile(r"\n((?:\ue000\d+o\ue001)+)\n")
"""Before a repeated or conditional part, and again in it."""


def derive(html: Woven) -> Woven | None:
    """The source of the plain text for an HTML source; None when it depends on tags inside HTML tags."""
    source = html.text
    found = [tag for tag in tags(source) if tag.opening]
    writer = _Writer()
    writer.feed(html.splice(_words(source, found)).text)
    writer.close()
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
            word = f"\ue000{number}{'o' if tag.is_statement(*_OPENING) else 'c'}\ue001"
        else:
            word = f"\ue000{first.setdefault(source[tag.start : tag.end], number)}e\ue001"
        yield tag.start, tag.end, word


def plain(html: str) -> str:
    """The plain text of rendered HTML."""
    writer = _Writer()
    writer.feed(html)
    writer.close()
    return tidy(writer.text())


def tidy(text: str) -> str:
    """Without spaces at the ends of lines, and never two empty lines."""
    return _EMPTY_LINES.sub("\n\n", _BLANK_ENDS.sub("\n", text)).strip()


class _Writer(HTMLParser):
    """Writes down what a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tangled = False
        """A statement stands inside an HTML tag."""
        self._out: list[str] = []
        self._breaks = 0
        """Line breaks due before the next words."""
        self._is_written = False
        """The breaks are the author's own, not those of a block that may be repeated."""
        self._space = False
        self._skipped: list[str] = []
        """The element that is not shown, and elements of the same name inside it."""
        self._lists: list[int] = []
        """Of each list around: the next number, 0 for bullets."""
        self._links: list[tuple[str, int]] = []
        """Address, and how much had been written before it."""
        self._cells = 0

    def text(self) -> str:
        """All of it."""
        return _BREAK_TWICE.sub(r"\1\n", "".join(self._out)).strip("\n ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tangled = self.tangled or any(
            _STATEMENT.search(f"{name} {value}") for name, value in given.items()
        )
        if self._skipped:
            if tag == self._skipped[0]:
                self._skipped.append(tag)
        elif tag in _SKIPPED or "hidden" in given or _HIDDEN.search(given.get("style", "")):
            if tag not in _VOID:
                self._skipped.append(tag)
        else:
            self._start(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[0]:
                self._skipped.pop()
            return
        if tag == "a" and self._links:
            self._end_link()
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        self._break_for(tag)

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return self._statements(data)
        for number, part in enumerate(_STATEMENT.split(data)):
            if number % 2:
                self._statements(part)
            else:
                self._words(part)

    def handle_comment(self, data: str) -> None:
        self._statements(data)

    def unknown_decl(self, data: str) -> None:
        self._statements(data)

    def _start(self, tag: str, given: dict[str, str]) -> None:
        self._break_for(tag)
        match tag:
            case "a":
                self._links.append((given.get("href", "").strip(), len(self._out)))
            case "ul":
                self._lists.append(0)
            case "ol":
                self._lists.append(1)
            case "li":
                self._write(f"{'  ' * (len(self._lists) - 1)}{self._bullet()} ")
            case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
                self._write("#" * int(tag[1]) + " ")
            case "hr":
                self._breaks = 2
                self._write("---")
                self._breaks = 2
            case "tr":
                self._cells = 0
            case "td" | "th":
                if self._cells and not self._breaks:
                    self._out.append("  ")
                    self._space = False
                self._cells += 1
            case "img":
                self._words(given.get("alt", ""))

    def _break_for(self, tag: str) -> None:
        if tag == "br":
            self._breaks += 1
            self._is_written = True
        elif tag in _APART or (tag in ("ul", "ol") and not self._lists):
            self._breaks = max(self._breaks, 2)
        elif tag in _BLOCKS or tag in _LINES:
            self._breaks = max(self._breaks, 1)

    def _bullet(self) -> str:
        if not self._lists or not self._lists[-1]:
            return "-"
        self._lists[-1] += 1
        return f"{self._lists[-1] - 1}."

    def _end_link(self) -> None:
        address, before = self._links.pop()
        said = _STATEMENT.sub("", "".join(self._out[before:])).strip()
        address = address.removeprefix("mailto:").removeprefix("tel:")
        if address and said and not address.startswith("#") and address != said:
            self._out.append(f" ({address})")

    def _words(self, data: str) -> None:
        words = _INVISIBLE.sub("", _SPACE.sub(" ", data))
        if words.strip():
            self._space = (self._space or words[0] == " ") and not self._breaks
            self._write(words.strip())
            self._space = words[-1] == " "
        elif words:
            self._space = True

    def _write(self, text: str) -> None:
        if self._out and self._breaks:
            self._out.append("\n" * min(self._breaks, 2))
        elif self._space and self._out:
            self._out.append(" ")
        self._breaks, self._space, self._is_written = 0, False, False
        self._out.append(text)

    def _statements(self, data: str) -> None:
        """Statements are kept wherever they stand; inside a loop, lists are not numbered.

        Breaks that are due go before a loop or condition, so that they are neither repeated nor left out.
        """
        for number, kind in _WORD.findall(data):
            if kind == "e":
                continue
            due = self._is_written or kind == "o" if self._breaks else self._space
            if self._out and due:
                self._write("")
            elif not self._out:
                self._breaks = 0
            self._out.append(f"\ue000{number}{kind}\ue001")
            if self._lists:
                self._lists[-1] = 0
