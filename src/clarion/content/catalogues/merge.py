"""Merges translations into templates: a whole message in a language, or none of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from clarion.content.catalogues.entries import Catalogue, CatalogueEntry
from clarion.content.catalogues.pieces import Cut, Pieces
from clarion.content.catalogues.placeholders import differences
from clarion.content.catalogues.units import CUTS, Unit, fields_in, paired, plain, units, written_as
from clarion.content.templates.review import errors
from clarion.model.channel import Channel
from clarion.model.setup import Template
from clarion.model.user import Value

Fields = Mapping[str, str]


class Note(Value, frozen=True, kw_only=True):
    """What is to be said about one entry of the file."""

    template: str
    entry: str
    line: int
    """Of the file."""
    detail: str


class Merged(Value, frozen=True, kw_only=True):
    """What became of a catalogue. With anything in `broken` nothing must be stored."""

    templates: tuple[Template, ...] = ()
    """Those that changed."""
    changed: int = 0
    """Texts that are new or different now."""
    unchanged: int = 0
    broken: tuple[Note, ...] = ()
    """Translations whose placeholders differ from the source, or that cannot be used."""
    unknown: tuple[Note, ...] = ()
    """Entries no template has."""
    outdated: tuple[Note, ...] = ()
    """Entries whose source text is another one by now: export again."""
    review: tuple[Note, ...] = ()
    """Marked as uncertain by the translator, and so left out."""
    incomplete: tuple[Note, ...] = ()
    """Translated, but not applied, because other texts of the same message are missing."""
    untranslated: int = 0


def merge(
    templates: Iterable[Template],
    catalogue: Catalogue,
    *,
    source: str,
    target: str,
    partials: Mapping[str, str] | None = None,
) -> Merged:
    """The templates with the translations of `catalogue`, which were made from the locale `source`.

    With the `partials` they use every changed field is compiled, and refused when it cannot be.
    """
    by_key = {template.key: template for template in templates}
    told = _Told()
    entries: dict[str, list[CatalogueEntry]] = {}
    for entry in catalogue.entries:
        if entry.template in by_key:
            entries.setdefault(entry.template, []).append(entry)
        else:
            told.say("unknown", entry, f"there is no template `{entry.template}`")
    changed = []
    for key, found in entries.items():
        template = _Merge(by_key[key], source, target, told).template(found, partials or {})
        if template != by_key[key]:
            changed.append(template)
    return told.merged(tuple(changed))


class _Told:
    """Collects what is said on the way."""

    def __init__(self) -> None:
        self.notes: dict[str, list[Note]] = {}
        self.changed = self.unchanged = self.untranslated = 0

    def say(self, what: str, entry: CatalogueEntry, detail: str) -> None:
        note = Note(template=entry.template, entry=entry.name, line=entry.line, detail=detail)
        self.notes.setdefault(what, []).append(note)

    def merged(self, templates: tuple[Template, ...]) -> Merged:
        return Merged(
            templates=templates,
            changed=self.changed,
            unchanged=self.unchanged,
            untranslated=self.untranslated,
            **{what: tuple(notes) for what, notes in self.notes.items()},
        )


class _Merge:
    """One template and its entries."""

    def __init__(self, template: Template, source: str, target: str, told: _Told) -> None:
        self._template = template
        self._source, self._target = source, target
        self._told = told
        self._units = {unit.name: unit for unit in units(template, source, target)}

    def template(self, entries: Iterable[CatalogueEntry], partials: Mapping[str, str]) -> Template:
        """The template with every translation that can be used."""
        usable = {entry.name: entry for entry in entries if self._usable(entry)}
        channels = dict(self._template.channels)
        for channel in self._template.channels:
            mine = {name: unit for name, unit in self._units.items() if unit.channel is channel}
            fields = self._fields(channel, mine, usable)
            if fields is not None:
                tag = written_as(channels[channel], self._target)
                channels[channel] = {**channels[channel], tag: dict(fields)}
        merged = msgspec.structs.replace(self._template, channels=channels)
        if merged != self._template:
            self._try_out(msgspec.structs.replace(merged, partials=dict(partials)), usable)
        return merged

    def _usable(self, entry: CatalogueEntry) -> bool:
        unit = self._units.get(entry.name)
        if unit is None:
            known = {f"{unit.channel}.{unit.field}" for unit in self._units.values()}
            what = "outdated" if ".".join(entry.name.split(".")[:2]) in known else "unknown"
            self._told.say(what, entry, f"the template has no text `{entry.name}`: export again")
        elif not entry.target.strip():
            self._told.untranslated += 1
        elif entry.source.split() != unit.source.split():
            self._told.say("outdated", entry, "the source text has changed since: export again")
        elif entry.review:
            self._told.say("review", entry, "marked as uncertain (fuzzy)")
        elif plain(entry.target).strip() == unit.target:
            return True
        elif wrong := differences(unit.source, entry.target, markup=unit.markup):
            for detail in wrong:
                self._told.say("broken", entry, detail)
        else:
            return True
        return False

    def _fields(
        self, channel: Channel, mine: Mapping[str, Unit], usable: Mapping[str, CatalogueEntry]
    ) -> Fields | None:
        """The fields of the channel in the target language; None to leave them as they are."""
        existing = fields_in(self._template, channel, self._target)
        given = [name for name in mine if name in usable]
        if not given:
            return None
        if existing is None and len(given) < len(mine):
            missing = next(name for name in mine if name not in usable)
            for name in given:
                self._told.say(
                    "incomplete",
                    usable[name],
                    f"{channel} has no {self._target} yet, and `{missing}` is missing",
                )
            return None
        written = fields_in(self._template, channel, self._source) or {}
        fields = dict(written if existing is None else existing)
        for field in dict.fromkeys(mine[name].field for name in given):
            of_field = {name: unit for name, unit in mine.items() if unit.field == field}
            text = self._text(of_field, written[field], (existing or {}).get(field, ""), usable)
            if text is not None:
                fields[field] = text
        return fields

    def _text(
        self, of_field: Mapping[str, Unit], source: str, existing: str, usable: Mapping[str, CatalogueEntry]
    ) -> str | None:
        """The translated field; None when a part of it is missing."""
        kind = next(iter(of_field.values())).kind
        pairing = paired(kind, source, existing)
        texts = []
        given = []
        for (name, unit), now in zip(of_field.items(), pairing.translated, strict=True):
            entry = usable.get(name)
            text = plain(entry.target).strip() if entry else unit.target
            given += [(entry, text != unit.target)] if entry else []
            texts.append(text if text != unit.target else now)
        if not all(text.strip() for text in texts):
            missing = next(name for name, text in zip(of_field, texts, strict=True) if not text.strip())
            for entry, _ in given:
                self._told.say("incomplete", entry, f"`{missing}` of the same field is missing")
            return None
        self._told.changed += sum(is_new for _, is_new in given)
        self._told.unchanged += sum(not is_new for _, is_new in given)
        if pairing.into:
            new = [entry for entry, is_new in given if is_new]
            self._keep_frame(pairing.into, CUTS[kind], texts, new)
            filled = pairing.into.fill(texts)
            return filled if existing.strip() else self._relabelled(filled)
        before, behind = _surrounding(existing if existing.strip() else source)
        return before + texts[0] + behind

    def _relabelled(self, html: str) -> str:
        """Markup that was written for the source language, now saying it is in the other."""
        return re.sub(
            rf"""(<html\b[^>]*\slang=["']?){re.escape(self._source)}\b""",
            rf"\g<1>{self._target}",
            html,
            count=1,
        )

    def _keep_frame(
        self, pieces: Pieces, cut: Cut, texts: Sequence[str], given: Sequence[CatalogueEntry]
    ) -> None:
        """Refuse texts that would end the attribute, the element or the string they stand in."""
        if Pieces(pieces.fill(texts), cut).frame == pieces.frame:
            return
        odd = [entry for entry in given if Pieces(entry.target, Cut.MARKUP).texts != (entry.target.strip(),)]
        quoted = [entry for entry in given if (set(entry.target) - set(entry.source)) & set("\"'<>")]
        quote = '\\"' if cut is Cut.LABELS else "&quot;"
        for entry in odd or quoted or given:
            self._told.say(
                "broken",
                entry,
                f"this changes what stands around it: write a quote as {quote}, and keep some words",
            )

    def _try_out(self, merged: Template, usable: Mapping[str, CatalogueEntry]) -> None:
        """Refuse what does not compile, unless the source is as bad."""
        faults = {(problem.pointer, problem.detail) for problem in errors(merged)}
        for entry in usable.values():
            unit = self._units[entry.name]
            locales = merged.channels[unit.channel]
            pointers = [
                f"#/channels/{unit.channel}/{written_as(locales, tag)}/{unit.field}"
                for tag in (self._source, self._target)
            ]
            in_source = {detail for pointer, detail in faults if pointer == pointers[0]}
            for detail in sorted(
                {detail for pointer, detail in faults if pointer == pointers[1]} - in_source
            ):
                self._told.say("broken", entry, detail)


def _surrounding(text: str) -> tuple[str, str]:
    """The blanks before and behind a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
