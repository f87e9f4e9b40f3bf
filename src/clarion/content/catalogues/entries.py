"""The entries of a catalogue file, independent of its format."""

from __future__ import annotations

from clarion.model.user import Value


class CatalogueEntry(Value, frozen=True, kw_only=True):
    """One text and its translation, as they stand in a file."""

    template: str
    name: str
    """Of the unit in its template, `email.html.3`."""
    source: str
    target: str = ""
    """Empty: nobody has translated it yet."""
    line: int
    """Where it stands in the file."""
    review: bool = False
    """The translator marked it as uncertain (PO: `fuzzy`)."""


class Catalogue(Value, frozen=True, kw_only=True):
    """A file that was read."""

    target: str = ""
    """The locale the file says it is for; empty when it does not say."""
    entries: tuple[CatalogueEntry, ...]


class Unreadable(Exception):
    """The file is not what it claims to be; says on which line and what to do."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line
