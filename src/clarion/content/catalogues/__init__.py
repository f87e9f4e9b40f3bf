"""Message catalogues: exports templates for translators, as gettext PO or XLIFF 2.0, and imports translations."""

from clarion.content.catalogues import po, xliff
from clarion.content.catalogues.entries import Catalogue, CatalogueEntry, Unreadable
from clarion.content.catalogues.merge import Merged, Note, merge
from clarion.content.catalogues.missing import MissingReport, report, summary
from clarion.content.catalogues.units import Unit, units

__all__ = [
    "Catalogue",
    "CatalogueEntry",
    "Merged",
    "MissingReport",
    "Note",
    "Unit",
    "Unreadable",
    "merge",
    "po",
    "report",
    "summary",
    "units",
    "xliff",
]
