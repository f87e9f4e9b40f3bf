"""Exports templates for translators and imports translations. It uses the draft, or the live version without one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

from clarion.content.catalogues import (
    Catalogue,
    Merged,
    MissingReport,
    merge,
    po,
    report,
    summary,
    units,
    xliff,
)
from clarion.content.localise.locales import canonical
from clarion.errors import InvalidInput, NotFound
from clarion.flow.setup_view import SetupView
from clarion.model.ids import TenantId
from clarion.model.setup import Template
from clarion.rules.match import nearest
from clarion.services.templates import TemplateService


class Format(StrEnum):
    """Format of a translation file."""

    PO = "po"
    XLIFF = "xliff"

    @property
    def media_type(self) -> str:
        """Its media type."""
        return po.MEDIA_TYPE if self is Format.PO else xliff.MEDIA_TYPE

    def write(self, templates: Sequence[Template], *, source: str, target: str) -> bytes:
        """A file with every text of the templates."""
        found = [unit for template in templates for unit in units(template, source, target)]
        if self is Format.PO:
            return po.write(found, source=source, target=target)
        return xliff.write(found, source=source, target=target)

    def read(self, content: bytes) -> Catalogue:
        """What a file says. Raises Unreadable with the line."""
        return po.read(content) if self is Format.PO else xliff.read(content)


class Translations:
    """Exports and imports the texts of a tenant's templates."""

    def __init__(self, setup: SetupView, authoring: TemplateService) -> None:
        self._setup = setup
        self._authoring = authoring

    async def write(
        self, tenant: TenantId, form: Format, locale: str, source: str | None, key: str | None
    ) -> bytes:
        """A file with every text of one template or all, and what there is of it in `locale`."""
        templates = self.templates(tenant, key)
        target, origin = _language(locale, "locale"), self._source(templates, source)
        return await asyncio.to_thread(form.write, templates, source=origin, target=target)

    async def bring_in(
        self, tenant: TenantId, catalogue: Catalogue, locale: str, source: str | None
    ) -> Merged:
        """Save the translations of a file in the drafts of its templates; nothing when one of them is broken.

        Raises Conflict when somebody else saves one of the drafts meanwhile: bring the file in again.
        """
        templates = self.templates(tenant, None)
        target, origin = _language(locale, "locale"), self._source(templates, source)
        if catalogue.target and canonical(catalogue.target) != target:
            raise InvalidInput(
                f"The file is for `{catalogue.target}`, not for `{target}`: send it to /v1/translations/{catalogue.target}."
            )
        revisions = {key: draft.revision for key, draft in self._setup.drafts.all(tenant).items()}
        partials = {key: partial.source for key, partial in self._setup.partials.all(tenant).items()}
        merged = await asyncio.to_thread(
            merge, templates, catalogue, source=origin, target=target, partials=partials
        )
        if not merged.broken:
            for template in merged.templates:
                await self._authoring.save(tenant, template, revisions.get(template.key, 0))
        return merged

    async def missing(self, tenant: TenantId, locale: str, key: str | None = None) -> MissingReport:
        """What a language lacks, by template, channel and field."""
        return await asyncio.to_thread(report, self.templates(tenant, key), _language(locale, "locale"))

    async def summary(self, tenant: TenantId) -> list[MissingReport]:
        """One line for each language that is in use or required."""
        required = self._setup.tenants.all()[tenant].required_locales
        return await asyncio.to_thread(summary, self.templates(tenant, None), required)

    def templates(self, tenant: TenantId, key: str | None) -> Sequence[Template]:
        """The templates as they are worked on, by key; one of them, or NotFound."""
        found = dict(self._setup.templates.all(tenant))
        found |= {name: draft.template for name, draft in self._setup.drafts.all(tenant).items()}
        if key is None:
            return [template for _, template in sorted(found.items())]
        if key not in found:
            raise NotFound(f"There is no template {key!r}. {nearest(key, found)}".rstrip())
        return [found[key]]

    def _source(self, templates: Sequence[Template], source: str | None) -> str:
        """The language to translate from: as named, or the one all templates are written in."""
        if source is not None:
            return _language(source, "source")
        written_in = sorted({canonical(t.default_locale) or t.default_locale for t in templates}) or ["en"]
        if len(written_in) > 1:
            raise InvalidInput(
                f"The templates are written in {', '.join(written_in)}: name the one to translate from with `source`."
            )
        return written_in[0]


def _language(tag: str, name: str) -> str:
    found = canonical(tag)
    if not found:
        raise InvalidInput(f"`{name}` must be a language tag like `de` or `pt-BR`.")
    return found
