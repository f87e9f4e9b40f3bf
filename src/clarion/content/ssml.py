"""SSML: what authors may mark for the voice of a call, checked, and the plain words of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

LONGEST = 3_000
"""Characters. Services take a document of about 4,000, with everything around it."""
DEEPEST = 16
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
ALLOWED: Mapping[str, frozenset[str]] = {
    "break": frozenset({"strength", "time"}),
    "emphasis": frozenset({"level"}),
    "lang": frozenset({LANGUAGE}),
    "p": frozenset(),
    "phoneme": frozenset({"alphabet", "ph"}),
    "prosody": frozenset({"volume", "rate", "pitch"}),
    "s": frozenset(),
    "say-as": frozenset({"interpret-as", "format", "role"}),
    "sub": frozenset({"alias"}),
    "w": frozenset({"role"}),
}
"""Elements with their attributes, as far as services of calls agree on them."""
_APART = frozenset({"break", "p", "s"})
_SPACES = re.compile(r"[ \t]+")


def checked(text: str) -> str:
    """The inside of `<speak>`, well-formed and with nothing but what is allowed. ValueError says what is wrong."""
    if not text.strip():
        return ""
    if len(text) > LONGEST:
        raise ValueError(f"SSML has at most {LONGEST:,} characters")
    root = _parsed(text.strip())
    for element in root.iter():
        if element is not root:
            _check(element)
    written = tostring(root, encoding="unicode", short_empty_elements=True)
    return "" if written == "<speak />" else written.removeprefix("<speak>").removesuffix("</speak>")


def plain(ssml: str) -> str:
    """What is said, one line for each paragraph, sentence or pause."""
    said = "".join(_words(_parsed(ssml)))
    lines = (_SPACES.sub(" ", line).strip() for line in said.split("\n"))
    return "\n".join(line for line in lines if line)


def _parsed(text: str) -> Element:
    if "<!" in text or "<?" in text:
        raise ValueError("SSML has no comments, declarations or instructions")
    inside = text if text.startswith("<speak") else f"<speak>{text}</speak>"
    try:
        root = fromstring(inside)  # noqa: S314 (nothing that declares entities gets here)
    except ParseError as wrong:
        raise ValueError(f"this is not well-formed SSML: {wrong.msg.partition(':')[0]}") from None
    if root.tag != "speak" or root.attrib:
        raise ValueError("write the inside of `<speak>`, or `<speak>` without attributes around it")
    level, depth = [root], 0
    while level := [child for element in level for child in element]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"SSML has at most {DEEPEST} elements inside one another")
    return root


def _check(element: Element) -> None:
    known = ALLOWED.get(element.tag)
    if known is None:
        near = get_close_matches(element.tag, ALLOWED, n=1)
        meant = f"did you mean `<{near[0]}>`?" if near else f"there are {', '.join(ALLOWED)}"
        raise ValueError(f"`<{element.tag}>` cannot be used: {meant}")
    for name in element.attrib.keys() - known:
        there = ", ".join("xml:lang" if one == LANGUAGE else one for one in sorted(known)) or "none"
        raise ValueError(f"`<{element.tag}>` has no attribute `{name}`: there are {there}")


def _words(element: Element) -> Iterator[str]:
    if element.tag in _APART:
        yield "\n"
    yield element.get("alias", "") if element.tag == "sub" else element.text or ""
    if element.tag != "sub":
        for child in element:
            yield from _words(child)
            yield child.tail or ""
    if element.tag in _APART:
        yield "\n"
