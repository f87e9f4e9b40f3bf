"""XLIFF 2.0, https://docs.oasis-open.org/xliff/xliff-core/v2.0/xliff-core-v2.0.html.

One `<file>` per template, one `<unit>` per text. Template tags and HTML tags are placeholders (`<ph>`), which
translation tools show as blocks that cannot be typed into.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from clarion.content.catalogues.entries import Catalogue, CatalogueEntry, Unreadable
from clarion.content.catalogues.placeholders import protected
from clarion.content.catalogues.scan import Sort, scan
from clarion.content.catalogues.units import Unit

MEDIA_TYPE = "application/xliff+xml"
NAMESPACE = "urn:oasis:names:tc:xliff:document:2.0"
MAX_DEPTH = 32
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What no XML document can hold as it is."""


def write(units: Iterable[Unit], *, source: str, target: str) -> bytes:
    """A document in UTF-8. The same templates give the same document."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<xliff xmlns={quoteattr(NAMESPACE)} version='2.0' srcLang={quoteattr(source)} trgLang={quoteattr(target)}>",
    ]
    for template, found in groupby(units, lambda unit: unit.template):
        lines.append(f"  <file id={quoteattr(template)}>")
        for unit in found:
            lines += _unit(unit)
        lines.append("  </file>")
    return "\n".join([*lines, "</xliff>", ""]).encode()


def _unit(unit: Unit) -> Iterator[str]:
    codes: dict[str, str] = {}
    source = _marked(unit.source, unit.markup, codes)
    target = _marked(unit.target, unit.markup, codes)
    yield f"    <unit id={quoteattr(unit.name)} xml:space='preserve'>"
    if unit.line > 1:
        yield f"      <notes><note category='location'>line {unit.line}</note></notes>"
    if codes:
        yield "      <originalData>"
        for text, name in codes.items():
            yield f"        <data id='{name}'>{_text(text)}</data>"
        yield "      </originalData>"
    yield f"      <segment state='{'translated' if unit.target else 'initial'}'>"
    yield f"        <source>{source}</source>"
    if unit.target:
        yield f"        <target>{target}</target>"
    yield "      </segment>"
    yield "    </unit>"


def _marked(text: str, markup: bool, codes: dict[str, str]) -> str:
    """The text as XML, its tags as placeholders whose originals are collected in `codes`.

    The same tag has the same id in source and target, wherever it stands: that is how tools pair them.
    """
    written = []
    seen: Counter[str] = Counter()
    for token in scan(text, markup=markup):
        part = text[token.start : token.end]
        if token.sort in (Sort.TEXT, Sort.OTHER) or not protected(part):
            written.append(_text(part))
            continue
        name = codes.setdefault(part, f"d{len(codes) + 1}")
        seen[name] += 1
        code = name if seen[name] == 1 else f"{name}-{seen[name]}"
        written.append(f"<ph id='{code}' dataRef='{name}'/>")
    return "".join(written)


def _text(text: str) -> str:
    return _UNFIT.sub(lambda found: f"<cp hex='{ord(found[0]):04X}'/>", escape(text))


def read(content: bytes) -> Catalogue:
    """What a document says. Raises Unreadable; also for a document type, which is where entities come from."""
    root = _parsed(content)
    if root.name != "xliff":
        raise Unreadable(
            "this is not XLIFF 2: export the file in version 2.0 (1.2 is another format)", root.line
        )
    entries = [
        _entry(file.attributes.get("original") or file.attributes.get("id", ""), unit)
        for file in root.all("file")
        for unit in file.all("unit", "group")
    ]
    return Catalogue(target=root.attributes.get("trgLang", ""), entries=tuple(entries))


class _Node:
    """An element of XLIFF, and what is in it."""

    __slots__ = ("attributes", "content", "line", "name")

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name, self.attributes, self.line = name, attributes, line
        self.content: list[_Node | str] = []

    def all(self, name: str, inside: str = "") -> Iterator[_Node]:
        """The children of this name, also those in groups called `inside`."""
        for child in self.content:
            if isinstance(child, _Node) and child.name == name:
                yield child
            elif isinstance(child, _Node) and child.name == inside:
                yield from child.all(name, inside)

    def text(self, data: Mapping[str, str]) -> str:
        """All text, the placeholders in it written out."""
        return "".join(child if isinstance(child, str) else child.inline(data) for child in self.content)

    def inline(self, data: Mapping[str, str]) -> str:
        """What stands here: a placeholder's original, or the text between two of them."""
        given = self.attributes
        if self.name == "cp":
            return (
                chr(int(given.get("hex", ""), 16)).encode().decode()
            )  # half a surrogate pair is no character
        begins = data.get(given.get("dataRefStart", given.get("dataRef", "")), "")
        return begins + self.text(data) + data.get(given.get("dataRefEnd", ""), "")


def _entry(template: str, unit: _Node) -> CatalogueEntry:
    source, target, translated = "", "", True
    try:
        data = {
            one.attributes.get("id", ""): one.text({})
            for group in unit.all("originalData")
            for one in group.all("data")
        }
        for part in unit.content:
            if isinstance(part, _Node) and part.name in ("segment", "ignorable"):
                original = "".join(node.text(data) for node in part.all("source"))
                written = [node.text(data) for node in part.all("target")]
                translated &= bool(written) or part.name == "ignorable"
                source += original
                target += "".join(written) if written else original
    except ValueError:
        raise Unreadable("`<cp>` needs the hexadecimal number of a character", unit.line) from None
    return CatalogueEntry(
        template=template,
        name=unit.attributes.get("id", ""),
        source=source,
        target=target if translated else "",
        line=unit.line,
    )


def _parsed(content: bytes) -> _Node:
    """The document as a tree of its XLIFF elements; those of other vocabularies are left out."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = _Node("", {}, 1)
    path: list[_Node] = [top]

    def refuse(*_: Any) -> None:
        raise Unreadable("a document type (`<!DOCTYPE`) is not accepted: remove it", parser.CurrentLineNumber)

    def begin(tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if len(path) > MAX_DEPTH:
            raise Unreadable(f"elements are nested more than {MAX_DEPTH} deep", parser.CurrentLineNumber)
        node = _Node(name, attributes, parser.CurrentLineNumber)
        if namespace == NAMESPACE:
            path[-1].content.append(node)
        path.append(node)

    def characters(text: str) -> None:
        path[-1].content.append(text)

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: path.pop()
    parser.CharacterDataHandler = characters
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise Unreadable(f"this is not XML: {expat.ErrorString(error.code)}", error.lineno) from None
    except (LookupError, ValueError):
        raise Unreadable("this document cannot be read: save it as UTF-8", parser.CurrentLineNumber) from None
    return next((node for node in top.content if isinstance(node, _Node)), top)
