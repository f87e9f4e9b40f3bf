"""Which layouts and partials a template uses."""

from __future__ import annotations

from collections.abc import Mapping

from clarion.content.templates.builtin_layouts import BUILTIN_LAYOUTS
from clarion.content.templates.errors import TemplateFaulty
from clarion.content.templates.inheritance import resolve
from clarion.errors import ContentError
from clarion.model.setup import Template


def partials_used(template: Template, partials: Mapping[str, str]) -> dict[str, str]:
    """The sources of everything `template` extends and includes, directly or not, by key, out of `partials`.

    Keep them with the published version: rendering takes partials from nowhere else. Clarion's own layouts are found
    too (a partial of the same name comes first), so a version also outlives a change of those. Raises ContentError
    with the pointer and line of the first name that leads nowhere or back to itself.
    """
    there = {**BUILTIN_LAYOUTS, **partials}
    used: dict[str, str] = {}
    for channel, locales in template.channels.items():
        for locale, fields in locales.items():
            for field, source in fields.items():
                try:
                    used |= resolve(source, there).sources
                except TemplateFaulty as fault:
                    pointer = pointer_to(channel, locale, field, fault)
                    raise ContentError(fault.detail, pointer=pointer, line=fault.line) from None
    used.pop("", None)
    return used


def pointer_to(channel: str, locale: str, field: str, fault: TemplateFaulty | None = None) -> str:
    """JSON pointer to a field (empty: the content of a locale), or to the partial at fault, in a template's document."""
    path: tuple[str, ...] = ("channels", channel, locale, *([field] if field else []))
    if fault is not None and fault.partial:
        path = ("partials", fault.partial)
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
