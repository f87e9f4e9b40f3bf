"""`/v1/translations`: exports and imports translations, and lists what is missing."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, put
from litestar.params import Parameter

from clarion.api.conditions import RECORD
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_all
from clarion.api.problems import Fault, RejectedRequest, wrong_parameter
from clarion.content.catalogues import Merged, MissingReport, Note, Unreadable
from clarion.content.localise.locales import canonical
from clarion.errors import InvalidInput
from clarion.services.translations import Format, Translations

READS = {form.media_type: form for form in (Format.PO, Format.XLIFF)}
"""What a file of translations is sent as."""

Source = Annotated[
    str | None,
    Parameter(
        description="Language to translate from; left out: the one that all templates have as `default_locale`"
    ),
]
Key = Annotated[str | None, Parameter(description="Only this template")]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A note about one entry of the file."""

    template: str
    entry: str
    line: int
    """Of the file."""
    detail: str


class ImportView(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an import of translations."""

    drafts: list[str]
    """Templates whose draft changed: check and publish them."""
    changed: int
    """Texts that are new or changed."""
    unchanged: int
    untranslated: int
    """Entries without a translation."""
    incomplete: list[Told]
    """Translated but not applied, because other texts of the same message are missing."""
    review: list[Told]
    """Marked as uncertain (PO: `fuzzy`), and so left out."""
    outdated: list[Told]
    """The source text has changed since the export."""
    unknown: list[Told]
    """No template has this text."""


@get("/", opt=READ)
async def list_languages(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[MissingReport]:
    """Every language in use or required, with its percentage of translated texts."""
    languages = await _translations(parts).summary(caller.tenant)
    return page_of_all(languages, lambda report: report.locale, cursor, limit)


@get("/{locale:str}", opt=READ | RECORD)
async def export_translations(
    locale: str,
    caller: Caller,
    parts: Parts,
    format: Format = Format.PO,
    source: Source = None,
    template: Key = None,
) -> Response[bytes]:
    """A file for translators: every text of the templates (of the draft, if there is one), with existing translations."""
    _check_languages(locale=locale, source=source)
    content = await _translations(parts).write(caller.tenant, format, locale, source, template)
    name = f"clarion.{locale}.{'po' if format is Format.PO else 'xlf'}"
    return Response(
        content,
        media_type=format.media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@put("/{locale:str}", opt={**ADMIN, "reads": tuple(READS)})
async def import_translations(
    locale: str, request: Request[Any, Any, Any], caller: Caller, parts: Parts, source: Source = None
) -> ImportView:
    """Import translations into the drafts of their templates.

    Nothing is imported if a translation lacks a placeholder of its source or has another one.
    """
    _check_languages(locale=locale, source=source)
    form = READS[request.headers["content-type"].partition(";")[0].strip().lower()]
    try:
        given = await asyncio.to_thread(form.read, await request.body())
    except Unreadable as wrong:
        raise InvalidInput(f"Line {wrong.line}: {wrong.detail}.", pointer="#") from None
    merged = await _translations(parts).bring_in(caller.tenant, given, locale, source)
    if merged.broken:
        faults = [_fault(note) for note in merged.broken]
        raise RejectedRequest(
            f"Nothing was stored: {len(faults)} translation(s) cannot be used. {faults[0].detail}",
            faults,
            code="content_error",
        )
    return _view(merged)


@get("/{locale:str}/missing", opt=READ)
async def missing_texts(locale: str, caller: Caller, parts: Parts, template: Key = None) -> MissingReport:
    """The missing texts of a language by template, channel and field, with counts and percentages."""
    _check_languages(locale=locale)
    return await _translations(parts).missing(caller.tenant, locale, template)


def _translations(parts: ApiParts) -> Translations:
    return Translations(parts.ledger.setup, parts.services.templates)


def _check_languages(**tags: str | None) -> None:
    for name, tag in tags.items():
        if tag is not None and not canonical(tag):
            raise wrong_parameter(name, f"`{name}` must be a language tag like `de` or `pt-BR`.")


def _fault(note: Note) -> Fault:
    return Fault(detail=f"line {note.line}, {note.template} {note.entry}: {note.detail}")


def _view(merged: Merged) -> ImportView:
    return ImportView(
        drafts=[template.key for template in merged.templates],
        changed=merged.changed,
        unchanged=merged.unchanged,
        untranslated=merged.untranslated,
        incomplete=_told(merged.incomplete),
        review=_told(merged.review),
        outdated=_told(merged.outdated),
        unknown=_told(merged.unknown),
    )


def _told(notes: tuple[Note, ...]) -> list[Told]:
    return [Told(**msgspec.structs.asdict(note)) for note in notes]


router = Router(
    "/v1/translations",
    route_handlers=[list_languages, export_translations, import_translations, missing_texts],
    tags=["Set-up"],
)
