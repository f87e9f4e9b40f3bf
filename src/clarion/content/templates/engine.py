"""MiniJinja, configured so that a template can access nothing else and use limited resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from typing import Any

import minijinja
import msgspec
from minijinja import Environment, TemplateError

from clarion.content.html.plaintext import plain
from clarion.content.html.sanitizer import cleaned
from clarion.content.localise.render_target import FilterError, RenderTarget
from clarion.content.templates.errors import Code, SourceRefused, TemplateFaulty
from clarion.content.templates.escape_context import FURTHER, PLAIN, guards
from clarion.content.templates.filters import filters, further, range_
from clarion.content.templates.inheritance import ResolvedSource
from clarion.content.templates.sandbox import inspect, tags
from clarion.content.templates.time_budget import LOOK, BudgetExceeded, TimeBudget, looks

FUEL = 20_000
"""Instructions of one field: about two thousand turns of a small loop, or 2 ms. Some versions of the engine also count
what is written and what filters read, one for some 25 to 60 bytes: a field of the greatest length needs up to 10,000."""
MAX_OUTPUT = 262_144
"""Characters of one rendered field."""
TOO_LONG = "it takes too many steps: loop over less"
SHORT = 128
"""Texts up to this length are not even counted towards MAX_OUTPUT: fuel bounds how many there can be."""
MANY_CALLS = 1_000
"""Of our own filters in one rendering: from then on their time counts, whatever calls them."""
LOOK_EVERY = 16
SEPARATOR = "\0"
"""Between the texts of fields rendered at once. Data that hold one only make the fields be rendered one by one."""
MARK = "passed"
"""A filter that notes which tag is reached. Not for authors."""
HTML_MARK = "\1"
"""Begins what `rich` makes, so that nothing made of it is the same. As a control character it is never sent."""
_PATH = re.compile(r"[\w.]*\Z")
HTML = ".html"
"""Ends the names of sources that escape every value."""
# fmt: off
WITHHELD_FILTERS = (
    "attr", "batch", "bool", "chain", "filesizeformat", "format", "groupby", "indent", "lines",
    "pluralize", "pprint", "safe", "slice", "split", "string", "striptags", "unique", "wordwrap", "zip",
)
# fmt: on
"""Filters of MiniJinja that grow without bound, cost too much, print unescaped, or that nobody asked for yet."""


class CompiledSource(msgspec.Struct, frozen=True, kw_only=True):
    """One source in the engine."""

    resolved: ResolvedSource
    escape: bool
    unpaced: ResolvedSource
    """Before looks at the time were put in."""


_TOO_LONG_SOMEWHERE = TemplateFaulty(TOO_LONG, None, Code.LIMIT)


class Overdue(TemplateFaulty):
    """A rendering took too long, in the source `name`."""

    def __init__(self, name: str, fault: TemplateFaulty) -> None:
        super().__init__(fault.detail, fault.line, fault.code, fault.partial)
        self.name = name


class Engine:
    """Compiled sources by name. Not for several threads at once."""

    def __init__(self) -> None:
        self.reader = RenderTarget()
        self._printed = 0
        self._calls = 0
        self._count = 0
        self._passed = 0
        self._fuel = FUEL
        self._sources: dict[str, CompiledSource] = {}
        self._joined: dict[str, int] = {}
        self._html: set[str] = set()
        """What `rich` made for the current text, letter for letter: nothing else is printed unescaped."""
        self._pace = TimeBudget()
        own = filters(self.reader)
        self._environment = Environment(
            filters={
                **{name: self._counted(made) for name, made in own.items()},
                **{name: self._counted(_text_again(own[name])) for name in ("list", "ordinal", "plural")},
                FURTHER: further,
                LOOK: self._pace.look,
                MARK: self._pass,
                PLAIN: _as_text,
                "e": _escape,
                "escape": _escape,
                "rich": self._rich,
            },
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

    def compile(self, source: ResolvedSource, *, escape: bool) -> str:
        """The name under which `source` is now ready. Raises Faulty with the line when it is not acceptable."""
        name = self._name(HTML if escape else "")
        try:
            inspect(source.text)
            if escape:
                source = source.splice((at, at, text) for at, text in guards(source.text))
            unpaced = source
            source = source.splice(looks(name, source.text))
            self._environment.add_template(name, source.text)
        except SourceRefused as refused:
            raise source.fault(refused.detail, refused.at, refused.code) from None
        except TemplateError as error:
            detail = error.detail or error.message
            raise source.fault(detail, _offset(source.text, error), _code(error)) from None
        self._sources[name] = CompiledSource(resolved=source, escape=escape, unpaced=unpaced)
        return name

    def join(self, names: Sequence[str]) -> str:
        """One name under which the sources `names` are rendered at once, their texts apart by SEPARATOR."""
        joined = self._name("")
        sources = [self._sources[name] for name in names]
        self._environment.add_template(joined, SEPARATOR.join(map(_enclosed, sources)))
        self._joined[joined] = len(sources)
        return joined

    def undeclared(self, name: str) -> Set[str]:
        """The variables that the source `name` uses and does not set itself."""
        return self._environment.undeclared_variables_in_template(name) - self._environment.globals.keys()

    def forget(self, name: str) -> None:
        """Drop a compiled source, or a join."""
        self._sources.pop(name, None)
        self._joined.pop(name, None)
        self._environment.remove_template(name)

    def render(self, name: str, context: dict[str, Any]) -> str:
        """The text of the source `name`. Raises Faulty, and nothing else, when there is none."""
        source = self._sources[name]
        try:
            return self._render(name, context, FUEL)
        except TemplateError as error:
            resolved = source.resolved
            detail = _explain(resolved.text, error)
            raise resolved.fault(detail, _offset(resolved.text, error), _code(error)) from None
        except FilterError as error:
            raise source.resolved.fault(
                str(error), self._last_passed(source, context), Code.RENDERING
            ) from None

    def render_joined(self, name: str, context: dict[str, Any]) -> list[str] | None:
        """The texts of a join; None when one of them fails, is too long, or prints a SEPARATOR: render each alone.

        Raises Overdue when it takes too long.
        """
        count = self._joined[name]
        try:
            texts = self._render(name, context, FUEL * count).split(SEPARATOR)
        except Overdue:
            raise
        except (TemplateError, FilterError, TemplateFaulty):
            return None
        return texts if len(texts) == count else None

    def is_paced(self, name: str) -> bool:
        """Whether the source `name` may take long, so that `start` must be called before it is rendered."""
        return self._sources[name].resolved is not self._sources[name].unpaced

    def start(self) -> None:
        """A message begins: from here its time counts."""
        self._pace.start()

    def _render(self, name: str, context: dict[str, Any], fuel: int) -> str:
        self._printed = self._calls = 0
        self._html.clear()
        if fuel != self._fuel:
            self._environment.fuel = self._fuel = fuel
        try:
            text = self._environment.render_template(name, **context)
        except (TemplateError, FilterError, TemplateFaulty, KeyboardInterrupt, SystemExit):
            raise
        except BudgetExceeded as late:
            source = self._sources.get(late.name)  # a source may call `look` itself, with any name
            fault = source.unpaced.fault(TOO_LONG, late.at, Code.LIMIT) if source else _TOO_LONG_SOMEWHERE
            raise Overdue(late.name, fault) from None
        except BaseException as error:  # noqa: BLE001 (a panic in Rust is no Exception; whatever it is, it concerns one message)
            raise TemplateFaulty(f"rendering broke ({type(error).__name__})") from None
        if len(text) > MAX_OUTPUT:
            raise TemplateFaulty(f"the text is longer than {MAX_OUTPUT} characters", None, Code.LIMIT)
        return text

    def _name(self, ending: str) -> str:
        self._count += 1
        return f"{self._count}{ending}"

    def _last_passed(self, source: CompiledSource, context: dict[str, Any]) -> int | None:
        """Where the tag starts in which a filter of ours failed: the engine does not tell, so it runs with marks."""
        text = source.resolved.text
        marks = [
            (tag.start, tag.start, f"{{{{ {tag.start}|{MARK} }}}}")
            for tag in tags(text)
            if "|" in tag.tokens and (tag.opening == "{{" or tag.is_statement("if", "for", "set"))
        ]
        name = self._name("")
        self._passed = -1
        try:
            self._environment.add_template(name, source.resolved.splice(marks).text)
            self._render(name, context, FUEL + 4 * len(marks))
        except (TemplateError, FilterError, TemplateFaulty):
            pass
        finally:
            self._environment.remove_template(name)
        return self._passed if self._passed >= 0 else None

    def _counted(self, filter: Callable[..., Any]) -> Callable[..., Any]:
        """`filter`, ended when it is called for too long: `map` calls it for every item, and is one step."""

        def counted(*given: Any, **forms: Any) -> Any:
            self._count_call()
            return filter(*given, **forms)

        return counted

    def _count_call(self) -> None:
        self._calls += 1
        if self._calls >= MANY_CALLS:
            if self._calls == MANY_CALLS:
                self._pace.start()
            elif self._calls % LOOK_EVERY == 0:
                self._pace.look()

    @minijinja.pass_state  # type: ignore[arg-type]
    def _rich(self, state: Any, value: Any) -> str:
        """`value` as HTML where HTML is written; elsewhere as plain text."""
        self._count_call()
        html = cleaned(value)
        if state.auto_escape != "html":
            return plain(html)
        if html:
            html = HTML_MARK + html
            self._html.add(html)
        return html

    def _pass(self, at: Any) -> str:
        self._passed = at if isinstance(at, int) else -1
        return ""

    def _emit(self, value: Any) -> Any:
        """What `{{ value }}` prints: nothing for null, JSON for lists and objects; never more than MAX_OUTPUT."""
        kind = value.__class__
        if kind is str:
            if self._html and value in self._html:
                value = minijinja.safe(value[len(HTML_MARK) :])
            elif len(value) <= SHORT:
                return value
        elif kind is int or kind is float:
            return value
        elif value is None:
            return ""
        elif isinstance(value, bool | list | tuple | dict):
            value = msgspec.json.encode(value).decode()
        elif not isinstance(value, str):
            return value
        self._printed += len(value)
        if self._printed > MAX_OUTPUT:
            raise TemplateFaulty(f"the text is longer than {MAX_OUTPUT} characters", None, Code.LIMIT)
        return value


def _enclosed(source: CompiledSource) -> str:
    """In an escape mode of its own, and in a scope when it sets anything."""
    text = source.resolved.text
    if any(tag.is_statement("set") for tag in tags(text)):
        text = "{% with %}" + text + "{% endwith %}"
    return "{% autoescape 'html' %}" + text + "{% endautoescape %}" if source.escape else text


def _as_text(value: Any) -> Any:
    """Text, although `rich` made it."""
    return str.__str__(value).removeprefix(HTML_MARK) if isinstance(value, str) else value


def _text_again(filter: Callable[..., Any]) -> Callable[..., Any]:
    """`filter`, when it may give back what it was given."""
    return lambda *given, **forms: _as_text(filter(*given, **forms))


@minijinja.pass_state
def _escape(state: Any, value: Any) -> str:
    """`value` as text for HTML. Where HTML is written every text is escaped once, when it is printed."""
    text = str(_as_text(value))
    return (
        text.removeprefix(HTML_MARK) if state.auto_escape == "html" else str.__str__(minijinja.escape(text))
    )


def _explain(source: str, error: TemplateError) -> str:
    """What went wrong in words that name the expression, not the values in it."""
    expression = _expression(source, error.range)
    match error.kind:
        case "UndefinedError":
            return f"`{expression}` has no value; send it with the event or write `{expression}|default('')`"
        case "OutOfFuel":
            return TOO_LONG
        case "UnknownFilter" | "UnknownTest" | "UnknownFunction" | "UnknownMethod" | "SyntaxError":
            return error.detail or error.message
    return (
        f"`{expression}` cannot be computed from this data"
        if expression
        else f"rendering failed ({error.kind})"
    )


def _code(error: TemplateError) -> Code:
    match error.kind:
        case "SyntaxError":
            return Code.SYNTAX
        case "UnknownFilter":
            return Code.UNKNOWN_FILTER
        case "UnknownTest":
            return Code.UNKNOWN_TEST
        case "UnknownFunction" | "UnknownMethod":
            return Code.UNKNOWN_FUNCTION
        case "UndefinedError":
            return Code.UNKNOWN_VARIABLE
        case "OutOfFuel":
            return Code.LIMIT
    return Code.RENDERING


def _offset(source: str, error: TemplateError) -> int | None:
    """Where in `source` it went wrong."""
    if error.range is not None:
        return len(source.encode()[: error.range[0]].decode(errors="ignore"))
    if error.line is None:
        return None
    return sum(len(line) for line in source.splitlines(keepends=True)[: error.line - 1])


def _expression(source: str, where: tuple[int, int] | None) -> str:
    """The part of `source` that an error points at (in bytes), with the path in front of it."""
    if where is None:
        return ""
    before, part = source.encode()[: where[0]].decode(errors="ignore"), source.encode()[slice(*where)]
    path = _PATH.search(before)
    return ((path.group() if path else "") + part.decode(errors="ignore"))[:100]
