"""One channel of one template version in one locale: compiled once, filled for every message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clarion.content.html import mjml, plaintext
from clarion.content.html.preview_text import with_preheader
from clarion.content.sanitize import clean
from clarion.content.templates.attribute_guard import reaches
from clarion.content.templates.builtin_layouts import BUILTIN_LAYOUTS
from clarion.content.templates.engine import Engine, Overdue
from clarion.content.templates.errors import Code, TemplateFaulty
from clarion.content.templates.fields import LAYOUTS, FieldKind, Finish, Layout, finish
from clarion.content.templates.inheritance import ResolvedSource, resolve
from clarion.content.templates.overrides import text_of
from clarion.content.templates.partials import pointer_to
from clarion.content.templates.sandbox import paths
from clarion.content.templates.scope import TemplateScope
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.setup import Template

DERIVED = "text"
"""The field of an email that is made from `html` when the template has none."""


class Field:
    """A field that must be rendered."""

    __slots__ = ("compiled", "finish", "name", "source", "written")

    def __init__(
        self, name: str, written: str, finish: Finish, source: ResolvedSource, compiled: str
    ) -> None:
        self.name = name
        self.written = written
        """The field of the template it comes from: `mjml` becomes `html`, which may become `text`."""
        self.finish = finish
        self.source = source
        self.compiled = compiled
        """Its name in the engine."""


class CompiledChannel:
    """The fields of a template for a channel and a locale, in the engine."""

    __slots__ = (
        "_derives", "_engine", "_finishes", "_is_email", "_joined", "_key", "_paced", "_partials", "channel", "constants", "faults", "fields",
        "layout", "locale", "scope", "sources",
    )  # fmt: skip

    def __init__(self, engine: Engine, template: Template, channel: Channel, locale: str) -> None:
        """Compiles every field; those that are not acceptable are remembered in `faults`."""
        self.channel = channel
        self.locale = locale
        self.layout: Layout = LAYOUTS[channel]
        self.faults: list[tuple[str, TemplateFaulty]] = []
        self.fields: list[Field] = []
        self.constants: dict[str, Any] = {}
        """Values of fields in which nothing is to be rendered."""
        self.sources: dict[str, ResolvedSource] = {}
        """The fields as they are written, with their partials; those without faults."""
        self._engine = engine
        self._key = template.key
        self._partials: Mapping[str, str] = {**BUILTIN_LAYOUTS, **template.partials}
        for field, source in template.channels[channel][locale].items():
            try:
                self._add(field, source)
            except TemplateFaulty as fault:
                self.faults.append((field, fault))
                self.sources.pop(field, None)
        self._derives = ""
        self._is_email = channel is Channel.EMAIL
        if self._is_email and DERIVED not in self.sources and not self.faults:
            self._derive()
        texts = [field.source.text for field in self.fields]
        self.scope = TemplateScope(
            {path for text in texts for path in paths(text)}, shields=any(reaches(text) for text in texts)
        )
        self._finishes = [(field.name, field.finish) for field in self.fields]
        self._paced = any(engine.is_paced(field.compiled) for field in self.fields)
        self._joined = ""
        if len(self.fields) > 1 and not self.faults:
            self._joined = engine.join([field.compiled for field in self.fields])

    def fill(self, context: dict[str, Any], given: dict[str, Any] | None) -> AnyContent:
        """The content; fields in `given` are taken as they are. Raises ContentError for the first fault."""
        if self._paced:
            self._engine.start()
        values = None if given else self._at_once(context)
        if values is None:
            values = self._one_by_one(context, given or {})
        if self._is_email:
            self._complete(values, given or {})
        if lacking := self.layout.lacks(values):
            raise self._error("", TemplateFaulty(lacking, code=Code.MISSING_FIELD))
        return self.layout.content(**values)

    def try_out(self, context: dict[str, Any]) -> tuple[AnyContent | None, list[tuple[str, TemplateFaulty]]]:
        """The content for an example, or all faults it brings to light."""
        faults: list[tuple[str, TemplateFaulty]] = []
        values = dict(self.constants)
        for field in self.fields:
            self._engine.start()
            try:
                values[field.name] = self._render(field, context)
            except TemplateFaulty as fault:
                faults.append((field.written, fault))
        if faults or self.faults:
            return None, faults
        if self._is_email:
            self._complete(values, {})
        if lacking := self.layout.lacks(values):
            return None, [("", TemplateFaulty(lacking, code=Code.MISSING_FIELD))]
        return self.layout.content(**values), []

    def forget(self) -> None:
        """Free what it holds in the engine; not to be filled again."""
        for field in self.fields:
            self._engine.forget(field.compiled)
        if self._joined:
            self._engine.forget(self._joined)

    def _add(self, field: str, source: str) -> None:
        kind = self.layout.kinds.get(field)
        if kind is None:
            raise TemplateFaulty(self.layout.unknown(field), code=Code.UNKNOWN_FIELD)
        resolved = self.sources[field] = resolve(source, self._partials)
        if self.sources.keys() >= {"html", "mjml"}:
            raise TemplateFaulty("there are `html` and `mjml`: keep one of the two", code=Code.MJML)
        name = field
        if kind is FieldKind.MJML:
            name, resolved = "html", mjml.to_html(resolved)
        self._put(
            name,
            field,
            resolved,
            finish(kind, source),
            escape=kind in (FieldKind.HTML, FieldKind.MJML, FieldKind.SSML),
        )

    def _put(
        self, name: str, written: str, resolved: ResolvedSource, finish: Finish, *, escape: bool
    ) -> None:
        if "{" in resolved.text:
            compiled = self._engine.compile(resolved, escape=escape)
            self.fields.append(Field(name, written, finish, resolved, compiled))
        else:
            self.constants[name] = _finished(finish, resolved.text)

    def _derive(self) -> None:
        """Make the plain text from the HTML: now when that goes, else from every mail's."""
        if "html" in self.constants:
            self.constants[DERIVED] = plaintext.plain(self.constants["html"])
            self._derives = "once"
        for html in [field for field in self.fields if field.name == "html"]:
            self._derives = "each"
            try:
                if resolved := plaintext.derive(html.source):
                    self._put(DERIVED, html.written, resolved, _tidy, escape=False)
                    self._derives = "once"
            except TemplateFaulty:
                continue

    @property
    def derives(self) -> bool:
        """Whether the plain text is made from the HTML."""
        return bool(self._derives)

    def _complete(self, values: dict[str, Any], given: dict[str, Any]) -> None:
        """What an email's fields owe to one another."""
        html = values.get("html", "")
        if self._derives and DERIVED not in given and ("html" in given or not values.get(DERIVED)):
            values[DERIVED] = text_of(html) if "html" in given else plaintext.plain(html)
        if "html" not in given and (preheader := values.get("preheader")) and html:
            values["html"] = with_preheader(html, preheader)

    def _at_once(self, context: dict[str, Any]) -> dict[str, Any] | None:
        """All values in one run of the engine; None when that does not succeed."""
        if not self._joined:
            return None
        try:
            texts = self._engine.render_joined(self._joined, context)
        except Overdue as fault:
            written = [field.written for field in self.fields if field.compiled == fault.name]
            raise self._error("".join(written), fault) from None
        if texts is None:
            return None
        values = self.constants.copy()
        try:
            for (name, finish), text in zip(self._finishes, texts):  # noqa: B905 (as many, or there is no join)
                values[name] = finish(text)
        except ValueError:
            return None
        return values

    def _one_by_one(self, context: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        for name, fault in self.faults:
            raise self._error(name, fault)
        values = {**self.constants, **given}
        if self._paced:
            self._engine.start()
        for field in self.fields:
            if field.name not in given:
                try:
                    values[field.name] = self._render(field, context)
                except TemplateFaulty as fault:
                    raise self._error(field.written, fault) from None
        return values

    def _render(self, field: Field, context: dict[str, Any]) -> Any:
        return _finished(field.finish, self._engine.render(field.compiled, context))

    def _error(self, field: str, fault: TemplateFaulty) -> ContentError:
        place = f"template `{self._key}`, {self.channel} in {self.locale}"
        if field:
            place += f", `{field}`"
        if fault.partial:
            place += f", partial `{fault.partial}`"
        if fault.line:
            place += f" line {fault.line}"
        pointer = pointer_to(self.channel, self.locale, field, fault)
        return ContentError(f"{place}: {fault.detail}", pointer=pointer, line=fault.line)


def _tidy(text: str) -> str:
    return plaintext.tidy(clean(text))


def _finished(finish: Finish, text: str) -> Any:
    try:
        return finish(text)
    except ValueError as error:
        raise TemplateFaulty(str(error)) from None
