"""MiniJinja, set up so that a template can neither reach anything nor use much."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from minijinja import Environment, TemplateError

from clarion.content.filters import FilterError, Reader, filters, range_
from clarion.content.sandbox import Refused, inspect

FUEL = 10_000
"""Instructions of one field: about a thousand turns of a small loop, or 1 ms."""
FULL_FUEL_BYTES = 8_192
"""Above this size of the data there is less fuel for sources with instructions that walk through them."""
MAX_OUTPUT = 262_144
"""Characters of one rendered field."""
_PATH = re.compile(r"[\w.]*\Z")
HTML = ".html"
"""Ends the names of sources that escape every value."""
# fmt: off
WITHHELD_FILTERS = (
    "attr", "batch", "bool", "chain", "filesizeformat", "format", "groupby", "indent", "lines", "list",
    "pluralize", "pprint", "safe", "slice", "split", "string", "striptags", "unique", "wordwrap", "zip",
)
# fmt: on
"""Filters of MiniJinja that grow without bound, cost too much, print unescaped, or that nobody asked for yet."""


class Faulty(Exception):
    """A source that is refused, does not compile, or cannot be rendered with this data. Never shows a value."""

    def __init__(self, detail: str, line: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line


class Engine:
    """Compiled sources by name. Not for several threads at once."""

    def __init__(self) -> None:
        self.reader = Reader()
        self._printed = 0
        self._count = 0
        self._sources: dict[str, str] = {}
        self._scanning: set[str] = set()
        self._environment = Environment(
            filters=filters(self.reader),
            debug=False,
            fuel=FUEL,
            undefined_behavior="strict",
            auto_escape_callback=lambda name: "html" if name.endswith(HTML) else None,
            finalizer=self._emit,
            pycompat=False,
        )
        for name in list(self._environment.globals):
            self._environment.remove_global(name)
        self._environment.add_global("range", range_)
        for name in WITHHELD_FILTERS:
            self._environment.remove_filter(name)

    def compile(self, source: str, *, escape: bool) -> str:
        """The name under which `source` is now ready. Raises Faulty with the line when it is not acceptable."""
        self._count += 1
        name = f"{self._count}{HTML if escape else ''}"
        try:
            scans = inspect(source)
            self._environment.add_template(name, source)
        except Refused as refused:
            raise Faulty(refused.detail, refused.line) from None
        except TemplateError as error:
            raise Faulty(error.detail or error.message, error.line) from None
        self._sources[name] = source
        if scans:
            self._scanning.add(name)
        return name

    def forget(self, name: str) -> None:
        """Drop a compiled source."""
        del self._sources[name]
        self._scanning.discard(name)
        self._environment.remove_template(name)

    def render(self, name: str, context: dict[str, Any]) -> str:
        """The text of the source `name`. Raises Faulty, and nothing else, when there is none."""
        self._printed = 0
        try:
            self._environment.fuel = _fuel(context) if name in self._scanning else FUEL
            text = self._environment.render_template(name, **context)
        except TemplateError as error:
            raise Faulty(self._explain(name, error), error.line) from None
        except FilterError as error:
            raise Faulty(str(error)) from None
        except (Faulty, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 (a panic in Rust is no Exception; whatever it is, it concerns one message)
            raise Faulty(f"rendering broke ({type(error).__name__})") from None
        if len(text) > MAX_OUTPUT:
            raise Faulty(f"the text is longer than {MAX_OUTPUT} characters")
        return text

    def _emit(self, value: Any) -> Any:
        """What `{{ value }}` prints: nothing for null, JSON for lists and objects; never more than MAX_OUTPUT."""
        if value.__class__ is not str:
            if value is None:
                return ""
            if isinstance(value, bool | list | tuple | dict):
                value = msgspec.json.encode(value).decode()
            elif not isinstance(value, str):
                return value
        self._printed += len(value)
        if self._printed > MAX_OUTPUT:
            raise Faulty(f"the text is longer than {MAX_OUTPUT} characters")
        return value

    def _explain(self, name: str, error: TemplateError) -> str:
        """What went wrong in words that name the expression, not the values in it."""
        expression = _expression(self._sources[name], error.range)
        match error.kind:
            case "UndefinedError":
                return (
                    f"`{expression}` has no value; send it with the event or write `{expression}|default('')`"
                )
            case "OutOfFuel":
                return "it takes too many steps: loop over less"
            case "UnknownFilter" | "UnknownTest" | "UnknownFunction" | "UnknownMethod" | "SyntaxError":
                return error.detail or error.message
        return (
            f"`{expression}` cannot be computed from this data"
            if expression
            else f"rendering failed ({error.kind})"
        )


def _fuel(context: dict[str, Any]) -> int:
    size = len(msgspec.json.encode(context, enc_hook=str))
    return FUEL if size <= FULL_FUEL_BYTES else max(FUEL * FULL_FUEL_BYTES // size, 64)


def _expression(source: str, where: tuple[int, int] | None) -> str:
    """The part of `source` that an error points at (in bytes), with the path in front of it."""
    if where is None:
        return ""
    before, part = source.encode()[: where[0]].decode(errors="ignore"), source.encode()[slice(*where)]
    path = _PATH.search(before)
    return ((path.group() if path else "") + part.decode(errors="ignore"))[:100]
