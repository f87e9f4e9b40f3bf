"""One channel of one template version in one locale: compiled once, filled for every message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clarion.content.engine import Engine, Faulty
from clarion.content.fields import FINISH, LAYOUTS, Kind, Layout
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import AnyContent
from clarion.model.setup import Template

Finish = Callable[[str], Any]


class Variant:
    """The fields of a template for a channel and a locale, in the engine."""

    __slots__ = ("_constants", "_engine", "_key", "_sources", "channel", "faults", "layout", "locale")

    def __init__(self, engine: Engine, template: Template, channel: Channel, locale: str) -> None:
        """Compiles every field; those that are not acceptable are remembered in `faults`."""
        self.channel = channel
        self.locale = locale
        self.layout: Layout = LAYOUTS[channel]
        self.faults: list[tuple[str, Faulty]] = []
        self._engine = engine
        self._key = template.key
        self._constants: dict[str, Any] = {}
        self._sources: list[tuple[str, Finish, str]] = []
        for field, source in template.channels[channel][locale].items():
            try:
                self._add(field, source)
            except Faulty as fault:
                self.faults.append((field, fault))

    def fill(self, context: dict[str, Any], given: dict[str, Any]) -> AnyContent:
        """The content; fields in `given` are taken as they are. Raises ContentError for the first fault."""
        values = {**self._constants, **given}
        for field, fault in self.faults:
            raise self._error(field, fault)
        for field, finish, name in self._sources:
            if field not in given:
                try:
                    values[field] = self._render(finish, name, context)
                except Faulty as fault:
                    raise self._error(field, fault) from None
        if lacking := self.layout.lacks(values):
            raise self._error("", Faulty(lacking))
        return self.layout.content(**values)

    def try_out(self, context: dict[str, Any] | None) -> list[tuple[str, Faulty]]:
        """All faults of this variant: those of compiling and, given a `context`, those it brings to light."""
        faults = list(self.faults)
        values = dict(self._constants)
        for field, finish, name in self._sources:
            try:
                values[field] = "?" if context is None else self._render(finish, name, context)
            except Faulty as fault:
                faults.append((field, fault))
        if not faults and (lacking := self.layout.lacks(values)):
            faults.append(("", Faulty(lacking)))
        return faults

    def forget(self) -> None:
        """Free what it holds in the engine; not to be filled again."""
        for _, _, name in self._sources:
            self._engine.forget(name)

    def _add(self, field: str, source: str) -> None:
        kind = self.layout.kinds.get(field)
        if kind is None:
            raise Faulty(self.layout.unknown(field))
        if "{" in source:
            name = self._engine.compile(source, escape=kind is Kind.HTML)
            self._sources.append((field, FINISH[kind], name))
        else:
            self._constants[field] = _finished(FINISH[kind], source)

    def _render(self, finish: Finish, name: str, context: dict[str, Any]) -> Any:
        return _finished(finish, self._engine.render(name, context))

    def _error(self, field: str, fault: Faulty) -> ContentError:
        place = f"template `{self._key}`, {self.channel} in {self.locale}"
        if field:
            place += f", `{field}`"
        if fault.line:
            place += f" line {fault.line}"
        return ContentError(f"{place}: {fault.detail}", pointer=self.pointer(field), line=fault.line)

    def pointer(self, field: str) -> str:
        """JSON pointer to a field in the template's document."""
        path = (self.channel, self.locale, field) if field else (self.channel, self.locale)
        return "#/channels/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)


def _finished(finish: Finish, text: str) -> Any:
    try:
        return finish(text)
    except ValueError as error:
        raise Faulty(str(error)) from None
