"""The translatable units of a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from clarion.content.catalogues.pieces import Cut, Pieces, has_text
from clarion.content.localise.locales import canonical
from clarion.content.templates.fields import LAYOUTS, FieldKind
from clarion.model.channel import Channel
from clarion.model.setup import Template
from clarion.model.user import Value

CUTS = {
    FieldKind.LINE: Cut.WHOLE,
    FieldKind.TEXT: Cut.WHOLE,
    FieldKind.FACTS: Cut.WHOLE,
    FieldKind.SSML: Cut.WHOLE,
    FieldKind.HTML: Cut.MARKUP,
    FieldKind.MJML: Cut.MARKUP,
    FieldKind.ACTIONS: Cut.LABELS,
}
"""Fields of other kinds (links, data) are taken over as they are when a language is added."""


class Unit(Value, frozen=True, kw_only=True):
    """One text for a translator: a field, or one sentence of its markup."""

    template: str
    channel: Channel
    field: str
    part: int = 0
    """Counts the texts of markup, or of buttons, from 1; 0: the whole field."""
    kind: FieldKind
    source: str
    target: str = ""
    line: int = 1
    """Of the field, where the text begins."""

    @property
    def name(self) -> str:
        """Unique in the template: `email.subject`, `email.html.3`."""
        return f"{self.channel}.{self.field}" + (f".{self.part}" if self.part else "")

    @property
    def markup(self) -> bool:
        """Whether HTML tags in the text have to be kept like placeholders."""
        return self.part > 0


def units(template: Template, source: str, target: str) -> list[Unit]:
    """Everything of the template that has words in the locale `source`, with what `target` says."""
    found: list[Unit] = []
    for channel in template.channels:
        written = fields_in(template, channel, source) or {}
        translated = fields_in(template, channel, target) or {}
        for field in translatable(channel, written):
            found += _of_field(template.key, channel, field, written[field], translated.get(field, ""))
    return found


def translatable(channel: Channel, fields: Mapping[str, str]) -> list[str]:
    """The fields that hold words. Those of webhooks are read by programs."""
    if channel is Channel.WEBHOOK:
        return []
    kinds = LAYOUTS[channel].kinds
    return [
        field
        for field, text in fields.items()
        if (kind := kinds.get(field)) in CUTS and has_text(text, CUTS[kind])
    ]


def fields_in(template: Template, channel: Channel, locale: str) -> Mapping[str, str] | None:
    """The fields of a channel in exactly this language, however its tag is written."""
    locales = template.channels.get(channel, {})
    return locales.get(written_as(locales, locale))


def written_as(locales: Mapping[str, object], locale: str) -> str:
    """The tag under which `locales` has this language; its proper form when it does not."""
    wanted = canonical(locale)
    return next((tag for tag in locales if canonical(tag) == wanted), wanted)


def plain(text: str) -> str:
    """A text as files carry it: editors and XML do not keep other line breaks than this."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Pairing(NamedTuple):
    """The texts of a field and their translations."""

    pieces: Pieces
    """Of the source."""
    translated: tuple[str, ...]
    """One for each text of the source; blank where there is none."""
    into: Pieces | None
    """The frame of the translated field, when its sentences are units of their own."""


def paired(kind: FieldKind, source: str, target: str) -> Pairing:
    """A field whose translation is built differently from its source is one unit, so that nothing of it is lost."""
    cut = CUTS[kind]
    pieces = Pieces(source, cut)
    if not target.strip():
        return Pairing(pieces, ("",) * len(pieces.texts), pieces if cut is not Cut.WHOLE else None)
    if cut is not Cut.WHOLE:
        translated = Pieces(target, cut)
        if translated.shape == pieces.shape:
            return Pairing(pieces, translated.texts, translated)
    return Pairing(Pieces(source, Cut.WHOLE), (target.strip(),), None)


def _of_field(template: str, channel: Channel, field: str, source: str, target: str) -> Iterator[Unit]:
    kind = LAYOUTS[channel].kinds[field]
    pairing = paired(kind, source, target)
    for number, text in enumerate(pairing.pieces.texts):
        yield Unit(
            template=template,
            channel=channel,
            field=field,
            part=number + 1 if pairing.into else 0,
            kind=kind,
            source=plain(text),
            target=plain(pairing.translated[number]),
            line=pairing.pieces.lines[number],
        )
