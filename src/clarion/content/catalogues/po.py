"""gettext PO, https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html.

`msgctxt` names the template and the unit, so that equal words in two places can be translated differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, PoFileParser, generate_po, normalize

from clarion.content.catalogues.entries import Catalogue, CatalogueEntry, Unreadable
from clarion.content.catalogues.units import Unit
from clarion.content.templates.fields import FieldKind

MEDIA_TYPE = "text/x-gettext-translation"


def write(units: Iterable[Unit], *, source: str, target: str) -> bytes:
    """A catalogue in UTF-8. The same templates give the same file, so it can be kept under version control."""
    catalog = Catalog()
    for unit in units:
        message = catalog.add(
            unit.source,
            unit.target,
            context=f"{unit.template}/{unit.name}",
            auto_comments=[_comment(unit)],
        )
        # Babel takes our tags for Python's, and gettext would then check them by the wrong rules.
        message.flags.clear()
    return (_header(source, target) + "".join(generate_po(catalog, omit_header=True))).encode()


def read(content: bytes) -> Catalogue:
    """What a file says; entries that are no longer in use (`#~`) are left out. Raises Unreadable."""
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable("this is not UTF-8: save the file in that encoding", line) from None
    messages = _Messages()
    try:
        PoFileParser(messages, ignore_obsolete=True, abort_invalid=True).parse(lines)
    except PoFileError as error:
        raise Unreadable(
            "this is not PO: a line starts with #, msgctxt, msgid, msgstr or a quote", error.lineno + 1
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Unreadable("this is not PO: check it with `msgfmt --check`", 1) from None
    header, entries = "", []
    for message in messages.found:
        if not message.id and not message.context:
            header = str(message.string)
        else:
            entries.append(_entry(message))
    return Catalogue(target=_language(header), entries=tuple(entries))


class _Messages(Catalog):
    """Keeps messages as they come. Headers of a file are not obeyed: a number of plurals is a size of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Message] = []

    def __setitem__(self, id: Any, message: Message) -> None:
        self.found.append(message)


def _entry(message: Message) -> CatalogueEntry:
    template, _, name = (message.context or "").partition("/")
    return CatalogueEntry(
        template=template,
        name=name,
        source=message.id if isinstance(message.id, str) else message.id[0],
        target=message.string if isinstance(message.string, str) else "",
        line=message.lineno or 1,
        review="fuzzy" in message.flags,
    )


def _comment(unit: Unit) -> str:
    words = f"{unit.channel} {unit.field}"
    if unit.kind is FieldKind.LINE:
        words += ", one line"
    return f"{words}, line {unit.line}" if unit.line > 1 else words


def _header(source: str, target: str) -> str:
    fields = {
        "Project-Id-Version": "Clarion templates",
        "PO-Revision-Date": "YEAR-MO-DA HO:MI+ZONE",
        "Last-Translator": "",
        "Language-Team": "",
        "Language": target.replace("-", "_"),
        "X-Source-Language": source.replace("-", "_"),
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return f'msgid ""\nmsgstr {normalize(text)}\n\n'


def _language(header: str) -> str:
    for line in header.split("\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "language":
            return value.strip().replace("_", "-")
    return ""
