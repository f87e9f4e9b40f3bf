"""One channel of one template version in one locale: compiled once, filled for every message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clarion.content.engine import Engine
from clarion.content.faults import Code, Faulty
from clarion.content.fields import LAYOUTS, Finish, Kind, Layout, finish
from clarion.content.house import HOUSE_PARTIALS
from clarion.content.partials import pointer_to
from clarion.content.sandbox import paths
from clarion.content.scope import Scope
from clarion.content.weave import Woven, weave
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.setup import Template


class Field:
    """A field that must be rendered."""

    __slots__ = ("compiled", "finish", "name", "source")

    def __init__(self, name: str, finish: Finish, source: Woven, compiled: str) -> None:
        self.name = name
        self.finish = finish
        self.source = source
        self.compiled = compiled
        """Its name in the engine."""


class Variant:
    """The fields of a template for a channel and a locale, in the engine."""

    __slots__ = (
        "_constants", "_engine", "_finishes", "_joined", "_key", "_partials", "channel", "faults", "fields", "layout", "locale",
        "scope",
    )  # fmt: skip

    def __init__(self, engine: Engine, template: Template, channel: Channel, locale: str) -> None:
        """Compiles every field; those that are not acceptable are remembered in `faults`."""
        self.channel = channel
        self.locale = locale
        self.layout: Layout = LAYOUTS[channel]
        self.faults: list[tuple[str, Faulty]] = []
        self.fields: list[Field] = []
        self._engine = engine
        self._key = template.key
        self._partials: Mapping[str, str] = {**HOUSE_PARTIALS, **template.partials}
        self._constants: dict[str, Any] = {}
        for field, source in template.channels[channel][locale].items():
            try:
                self._add(field, source)
            except Faulty as fault:
                self.faults.append((field, fault))
        self.scope = Scope({path for field in self.fields for path in paths(field.source.text)})
        self._finishes = [(field.name, field.finish) for field in self.fields]
        self._joined = ""
        if len(self.fields) > 1 and not self.faults:
            self._joined = engine.join([field.compiled for field in self.fields])

    def fill(self, context: dict[str, Any], given: dict[str, Any] | None) -> AnyContent:
        """The content; fields in `given` are taken as they are. Raises ContentError for the first fault."""
        values = None if given else self._at_once(context)
        if values is None:
            values = self._one_by_one(context, given or {})
        if lacking := self.layout.lacks(values):
            raise self._error("", Faulty(lacking))
        return self.layout.content(**values)

    def try_out(self, context: dict[str, Any] | None) -> list[tuple[str, Faulty]]:
        """All faults of this variant: those of compiling and, given a `context`, those it brings to light."""
        faults = list(self.faults)
        values = dict(self._constants)
        for field in self.fields:
            try:
                values[field.name] = "?" if context is None else self._render(field, context)
            except Faulty as fault:
                faults.append((field.name, fault))
        if not faults and (lacking := self.layout.lacks(values)):
            faults.append(("", Faulty(lacking, code=Code.MISSING_FIELD)))
        return faults

    def forget(self) -> None:
        """Free what it holds in the engine; not to be filled again."""
        for field in self.fields:
            self._engine.forget(field.compiled)
        if self._joined:
            self._engine.forget(self._joined)

    def _add(self, field: str, source: str) -> None:
        kind = self.layout.kinds.get(field)
        if kind is None:
            raise Faulty(self.layout.unknown(field), code=Code.UNKNOWN_FIELD)
        finisher = finish(kind, source)
        if "{" in source:
            woven = weave(source, self._partials)
            compiled = self._engine.compile(woven, escape=kind is Kind.HTML)
            self.fields.append(Field(field, finisher, woven, compiled))
        else:
            self._constants[field] = _finished(finisher, source)

    def _at_once(self, context: dict[str, Any]) -> dict[str, Any] | None:
        """All values in one run of the engine; None when that does not succeed."""
        if not self._joined:
            return None
        texts = self._engine.render_joined(self._joined, context)
        if texts is None:
            return None
        values = self._constants.copy()
        try:
            for (name, finish), text in zip(self._finishes, texts):  # noqa: B905 (as many, or there is no join)
                values[name] = finish(text)
        except ValueError:
            return None
        return values

    def _one_by_one(self, context: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        for name, fault in self.faults:
            raise self._error(name, fault)
        values = {**self._constants, **given}
        for field in self.fields:
            if field.name not in given:
                try:
                    values[field.name] = self._render(field, context)
                except Faulty as fault:
                    raise self._error(field.name, fault) from None
        return values

    def _render(self, field: Field, context: dict[str, Any]) -> Any:
        return _finished(field.finish, self._engine.render(field.compiled, context))

    def _error(self, field: str, fault: Faulty) -> ContentError:
        place = f"template `{self._key}`, {self.channel} in {self.locale}"
        if field:
            place += f", `{field}`"
        if fault.partial:
            place += f", partial `{fault.partial}`"
        if fault.line:
            place += f" line {fault.line}"
        return ContentError(
            f"{place}: {fault.detail}",
            pointer=pointer_to(self.channel, self.locale, field, fault),
            line=fault.line,
        )


def _finished(finish: Finish, text: str) -> Any:
    try:
        return finish(text)
    except ValueError as error:
        raise Faulty(str(error)) from None
