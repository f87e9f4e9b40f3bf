"""Where in HTML a value is printed. Escaping makes it harmless as text and inside quotes, and nowhere else.

A value that starts a link could choose its scheme, so it passes through the filter `link`. HTML that `rich` made is
text again anywhere but between elements. In a script, in the name of
a tag or an attribute, in an event handler or without quotes, nothing makes it harmless: the source is refused.
"""

from __future__ import annotations

import re
from enum import Enum

from clarion.content.templates.errors import Code, SourceRefused
from clarion.content.templates.sandbox import Tag, tags

LINKS = frozenset(
    {"action", "background", "cite", "data", "formaction", "href", "poster", "src", "xlink:href"}
)
"""Attributes that hold one address."""
_BARE = frozenset({"srcdoc", "srcset"})
"""Attributes that hold markup or several addresses."""
PLAIN = "as_text"
"""A filter that makes HTML text again. Not for authors."""
FURTHER = "further"
"""A filter for what follows the first value of a link: with it, no scheme may come. Not for authors."""
_MAKES_HTML = re.compile(r"\b(rich|map)\b")
"""Filters whose values may not be escaped: `rich`, and those that run it by its name."""
_RAW = frozenset({"script", "style", "iframe", "noembed", "noframes", "xmp", "plaintext"})
_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_ATTRIBUTE = re.compile(r"""[^\s/>"'=][^\s/>=]*""")


class EscapeState(Enum):
    """What the next character belongs to."""

    TEXT = "text"
    TAG_NAME = "the name of a tag"
    TAG = "a tag, outside the quotes of an attribute"
    VALUE = "an attribute's value"
    COMMENT = "a comment"
    RAW = "a script"


Place = tuple[EscapeState, str, str, str]


class Scanner:
    """Follows HTML through its plain text."""

    def __init__(self) -> None:
        self.state = EscapeState.TEXT
        self.element = ""
        self.attribute = ""
        self.quote = ""
        self.value = ""
        """What stands in the attribute's value so far."""
        self.printed = False
        """And whether a value was printed there."""

    def feed(self, text: str) -> None:
        """Go on through `text`."""
        at = 0
        while at < len(text):
            at = getattr(self, f"_{self.state.name.lower()}")(text, at)

    @property
    def place(self) -> Place:
        """All there is to remember."""
        return self.state, self.element, self.attribute, self.quote

    @place.setter
    def place(self, place: Place) -> None:
        self.state, self.element, self.attribute, self.quote = place
        self.value = ""

    def _text(self, text: str, at: int) -> int:
        start = text.find("<", at)
        if start < 0:
            return len(text)
        if text.startswith("<!--", start) and not text.startswith("<!--[", start):
            self.state = EscapeState.COMMENT
            return start + 2
        if text[start + 1 : start + 2] in ("!", "?"):  # also conditional comments, whose inside Outlook shows
            self.element, self.state = "", EscapeState.TAG
            return start + 2
        closing = text.startswith("/", start + 1)
        name = _NAME.match(text, start + 1 + closing)
        if name:
            self.element = "" if closing else name.group().lower()
            self.state = EscapeState.TAG_NAME
            return name.end()
        if start + 1 + closing == len(text):
            self.element, self.state = "", EscapeState.TAG_NAME
        return start + 1 + closing

    def _tag_name(self, text: str, at: int) -> int:
        self.state = EscapeState.TAG
        return at

    def _tag(self, text: str, at: int) -> int:
        character = text[at]
        if character == ">":
            self.state = EscapeState.RAW if self.element in _RAW else EscapeState.TEXT
            return at + 1
        if character == "=":
            return self._equals(text, at + 1)
        if name := _ATTRIBUTE.match(text, at):
            self.attribute = name.group().lower()
            return name.end()
        return at + 1

    def _equals(self, text: str, at: int) -> int:
        while at < len(text) and text[at].isspace():
            at += 1
        self.quote = text[at] if text[at : at + 1] in ('"', "'") else ""
        self.value = ""
        self.printed = False
        self.state = EscapeState.VALUE
        return at + len(self.quote)

    def _value(self, text: str, at: int) -> int:
        if self.quote:
            end = text.find(self.quote, at)
        else:
            found = re.compile(r"[\s>]").search(text, at)
            end = found.start() if found else -1
        if end < 0:
            self.value += text[at:]
            return len(text)
        self.state = EscapeState.TAG
        return end + len(self.quote)

    def _comment(self, text: str, at: int) -> int:
        end = text.find("-->", at)
        if end < 0:
            return len(text)
        self.state = EscapeState.TEXT
        return end + 3

    def _raw(self, text: str, at: int) -> int:
        end = re.compile("</" + re.escape(self.element), re.IGNORECASE).search(text, at)
        if end is None:
            return len(text)
        self.state = EscapeState.TEXT
        return end.start()


class Branches:
    """Sees to it that HTML reads the same whichever way a source takes through its conditions and loops."""

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._open: list[list[Place]] = []

    def pass_(self, tag: Tag) -> None:
        """Go through a statement. Raises Refused where its branches end in different places."""
        if tag.is_statement("if", "for"):
            self._open.append([self._scanner.place])
        elif tag.is_statement("elif", "else", "endif", "endfor") and self._open:
            places = self._open[-1]
            if not _alike(self._scanner.place, places[-1]):
                raise SourceRefused(
                    "whether the HTML before this tag is open depends on a condition: "
                    "open and close tags and quotes in the same branch",
                    tag.start,
                    Code.UNSAFE_PLACE,
                )
            if tag.is_statement("endif", "endfor"):
                self._open.pop()
            self._scanner.place = places[0]


def _alike(one: Place, other: Place) -> bool:
    """Whether a value would be printed in the same kind of place."""
    state = one[0]
    if state is not other[0]:
        return False
    return state in (EscapeState.TEXT, EscapeState.TAG, EscapeState.COMMENT) or one == other


def guards(source: str) -> list[tuple[int, str]]:
    """What to insert into an HTML source so that every value is harmless where it stands. Raises Refused."""
    edits: list[tuple[int, str]] = []
    scanner = Scanner()
    branches = Branches(scanner)
    makes_html = bool(_MAKES_HTML.search(source))
    trims = False
    for tag in tags(source):
        text = tag.text.lstrip() if trims else tag.text
        scanner.feed(text.rstrip() if source[tag.start + 2 : tag.start + 3] == "-" else text)
        trims = source[tag.end - 3 : tag.end - 2] == "-"
        if tag.opening == "{%":
            branches.pass_(tag)
        if tag.opening != "{{":
            continue
        if problem := _problem(scanner):
            raise SourceRefused(problem, tag.start, Code.UNSAFE_PLACE)
        if _may_choose_scheme(scanner):
            edits += _through(FURTHER if scanner.printed else "link", source, tag.start, tag.end)
            scanner.printed = True
        elif makes_html and scanner.state is not EscapeState.TEXT:
            edits += _through(PLAIN, source, tag.start, tag.end)
    return edits


def _may_choose_scheme(scanner: Scanner) -> bool:
    """Whether a value printed here would be the start of a link."""
    return (
        scanner.state is EscapeState.VALUE
        and scanner.attribute in LINKS
        and not re.search(r"[:/?#]", scanner.value)
    )


def _problem(scanner: Scanner) -> str:
    """Why no value may be printed here; empty when one may."""
    match scanner.state:
        case EscapeState.TAG | EscapeState.TAG_NAME:
            return "a value cannot be printed inside a tag, outside the quotes of an attribute"
        case EscapeState.RAW if scanner.element != "style":
            return f"a value cannot be printed inside `<{scanner.element}>`"
        case EscapeState.VALUE if not scanner.quote:
            return f"put quotes around the value of `{scanner.attribute}`"
        case EscapeState.VALUE if scanner.attribute.startswith("on") or _is_bare(scanner):
            return f"a value cannot be printed inside the attribute `{scanner.attribute}`"
    return ""


def _is_bare(scanner: Scanner) -> bool:
    return scanner.attribute in _BARE or (scanner.element, scanner.attribute) == ("meta", "content")


def _through(filter: str, source: str, start: int, end: int) -> list[tuple[int, str]]:
    """`{{ expression }}` becomes `{{ (expression)|filter }}`."""
    first = start + 2 + (source[start + 2] in "-+")
    last = end - 2 - (source[end - 3] in "-+")
    return [(first, "("), (last, f")|{filter} ")]
