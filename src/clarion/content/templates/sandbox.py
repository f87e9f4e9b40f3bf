"""What a template may do. MiniJinja runs it in Rust, with fuel; this is what fuel does not bound.

Fuel counts instructions, not bytes or stack: `'x'|indent(10**9)`, a list times a billion, text doubled forty times or an
expression of ten thousand terms would take the process down. So a source is read once before it is compiled and refused
unless it is made of the statements, filters and functions named here, in sane amounts. No Python object is in reach:
methods cannot be called, only the filters and tests of this list. What takes long is ended by `pace`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from clarion.content.templates.errors import Code, SourceRefused
from clarion.content.templates.growth import Growth

MAX_SOURCE = 100_000
"""Characters of one field."""
MAX_OPERATORS = 64
"""Terms of one tag: a longer chain would recurse as deep in the compiler."""
MAX_TOKENS = 256
MAX_FILTERS = 10
"""Of one tag: between two looks at the time (see `pace`) no more of them run."""
MAX_TAGS = 2_000
MAX_BRANCHES = 100
"""`elif` of one field; they nest in the compiler."""
MAX_ARGUMENT = 100
"""Characters of a text that a filter puts into every item of a list."""
MAX_LOOP_TEXT = 8_192
"""Characters of plain text inside loops: with the fuel they bound what a loop can print."""

STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
WEAVING = frozenset({"extends", "include", "block", "endblock"})
"""Statements that are gone, with `super()`, once a source is woven together with its partials."""
_SCOPES = frozenset({"with", "endwith"})
"""Put around woven pieces, so that what one sets, others do not see."""
FUNCTIONS = frozenset({"range"})
# fmt: off
STEADY_FILTERS = frozenset({
    "abs", "count", "d", "default", "float", "int", "length", "round", "times",
})
FILTERS = STEADY_FILTERS | frozenset({
    "ago", "capitalize", "date", "datetime", "dictsort", "e", "escape", "first", "isolate", "items", "join", "last", "link", "list", "lower", "map",
    "max", "min", "money", "number", "ordinal", "percent", "plural", "reject", "rejectattr", "replace", "reverse", "rich",
    "select", "selectattr", "sort", "sum", "time", "title", "tojson", "trim", "truncate", "upper", "urlencode",
})
# fmt: on
# fmt: off
TESTS = frozenset({
    "boolean", "defined", "divisibleby", "endingwith", "eq", "even", "false", "float", "ge", "gt", "in", "integer",
    "iterable", "le", "lower", "lt", "mapping", "ne", "none", "number", "odd", "sequence", "startingwith", "string",
    "true", "undefined", "upper",
})
# fmt: on
_BY_NAME = frozenset({"map", "reject", "rejectattr", "select", "selectattr"})
"""Filters that take names of filters and tests."""
_EXAMPLES = {"filter": "'upper'", "test": "'odd'"}
_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif", "for", "set"})
"""Names that are operators."""
_NO_VARIABLES = _WORDS | STATEMENTS | _SCOPES

_OPEN = re.compile(r"\{[{%#]")
_CLOSE = {"{{": re.compile(r"[-+]?\}\}"), "{%": re.compile(r"[-+]?%\}")}
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>\d[\w]*(?:\.\d[\w]*)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<operator>//|\*\*|[=!<>]=|[-+*/%~<>=|.,:()\[\]])""",
    re.VERBOSE | re.DOTALL,
)


class Tag(NamedTuple):
    """A tag of a source, and the plain text before it; the last one stands for the end and has no opening."""

    text: str
    """The plain text between the tag before and this one."""
    start: int
    end: int
    opening: str
    """`{{`, `{%`, `{#`; empty at the end of the source."""
    tokens: list[str]
    """Empty for comments."""

    def is_statement(self, *names: str) -> bool:
        """Whether this is one of the statements `names`."""
        return self.opening == "{%" and bool(self.tokens) and self.tokens[0] in names


def inspect(source: str) -> None:
    """Raises Refused when `source` breaks a rule."""
    if len(source) > MAX_SOURCE:
        raise SourceRefused(
            f"the source has {len(source)} characters, at most {MAX_SOURCE} are allowed", 0, Code.LIMIT
        )
    loops = branches = loop_text = 0
    growth = Growth()
    for number, tag in enumerate(tags(source)):
        at, tokens = tag.start, tag.tokens
        loop_text += len(tag.text) if loops else 0
        if loop_text > MAX_LOOP_TEXT:
            raise SourceRefused(
                f"more than {MAX_LOOP_TEXT} characters of text stand inside loops: shorten the loop",
                at,
                Code.LIMIT,
            )
        if number > MAX_TAGS:
            raise SourceRefused(
                f"more than {MAX_TAGS} tags: use a loop, or split the template", at, Code.LIMIT
            )
        if not tokens:
            continue
        if tag.opening == "{%":
            _check_statement(tokens, at)
            branches += tokens[0] == "elif"
            loops += (tokens[0] == "for") - (tokens[0] == "endfor")
        if branches > MAX_BRANCHES:
            raise SourceRefused(
                f"more than {MAX_BRANCHES} `elif`: prepare the value before you send the event",
                at,
                Code.LIMIT,
            )
        _check_expression(tokens, at)
        _check_by_name(tokens, at)
        growth.pass_(tokens, at)


def tags(source: str) -> Iterator[Tag]:
    """The tags of `source`, in order, and its end. Raises Refused where one is never closed."""
    position = 0
    while found := _OPEN.search(source, position):
        start, opening = found.span()[0], found.group()
        text = source[position:start]
        if opening == "{#":
            position = source.find("#}", found.end()) + 2
            if position < 2:
                raise SourceRefused("the comment `{#` is never closed by `#}`", start)
            tokens: list[str] = []
        else:
            tokens, position = _tokens(source, found.end(), opening)
            if opening == "{%" and not tokens:
                raise SourceRefused("the tag `{%` is empty", start)
        yield Tag(text, start, position, opening, tokens)
    yield Tag(source[position:], len(source), len(source), "", [])


def paths(source: str) -> set[tuple[str, str]]:
    """Every name that may stand for a variable, and the name behind its first dot (empty: all of it is used).

    Some of them may be set by the source itself.
    """
    found: set[tuple[str, str]] = set()
    for tag in tags(source):
        before = ""
        for word, *rest in zip(tag.tokens, [*tag.tokens[1:], ""], [*tag.tokens[2:], "", ""], strict=False):
            if word[0].isidentifier() and before not in (".", "|") and word not in _NO_VARIABLES:
                found.add((word, rest[1] if rest[0] == "." else ""))
            before = word
    return found


def _tokens(source: str, position: int, opening: str) -> tuple[list[str], int]:
    """The tokens of one tag and where the text goes on."""
    start = position - len(opening)
    if source[position : position + 1] in ("-", "+"):
        position += 1
    tokens: list[str] = []
    depth = 0
    while depth or not (closing := _CLOSE[opening].match(source, position)):
        token = _TOKEN.match(source, position)
        if token is None:
            if position >= len(source):
                raise SourceRefused(f"the tag `{opening}` is never closed", start)
            raise SourceRefused(f"unexpected `{source[position]}` inside `{opening}`", start)
        position = token.end()
        if token.lastgroup != "space":
            depth += (token.group() in "([") - (token.group() in ")]")
            tokens.append(token.group())
        if len(tokens) > MAX_TOKENS:
            raise SourceRefused("the tag is too long: split it with `set`", start, Code.LIMIT)
    return tokens, closing.end()


def _check_statement(tokens: list[str], at: int) -> None:
    statement = tokens[0]
    if statement not in STATEMENTS and not (statement in _SCOPES and len(tokens) == 1):
        there = ", ".join(sorted(STATEMENTS | WEAVING))
        raise SourceRefused(f"`{statement}` is not available; there are {there}", at, Code.UNKNOWN_STATEMENT)
    if statement == "for" and "recursive" in tokens:
        raise SourceRefused("recursive loops are not supported", at)
    if statement == "set" and "=" not in tokens:
        raise SourceRefused("`set` needs a value: `{% set name = ... %}`", at)


def _check_expression(tokens: list[str], at: int) -> None:
    if sum(map(_is_operator, tokens)) > MAX_OPERATORS:
        raise SourceRefused(
            f"one tag may hold at most {MAX_OPERATORS} operators: split it with `set`", at, Code.LIMIT
        )
    if tokens.count("|") > MAX_FILTERS:
        raise SourceRefused(
            f"one tag may hold at most {MAX_FILTERS} filters: split it with `set`", at, Code.LIMIT
        )
    for number, word in enumerate(tokens):
        before = tokens[:number]
        if word in ("*", "**"):
            raise SourceRefused(
                f"`{word}` is not available, because it would repeat texts and lists: write `a|times(b)`", at
            )
        if before[-1:] == ["|"] and word not in FILTERS:
            raise SourceRefused(
                f"there is no filter `{word}`; {nearest(word, FILTERS)}", at, Code.UNKNOWN_FILTER
            )
        if before and (before[-1] == "is" or before[-2:] == ["is", "not"]) and word not in (TESTS | {"not"}):
            raise SourceRefused(f"there is no test `{word}`; {nearest(word, TESTS)}", at, Code.UNKNOWN_TEST)
        if word == "(" and not _may_precede_bracket(before):
            raise _not_callable(before, at)


def _check_by_name(tokens: list[str], at: int) -> None:
    """What runs for every item of a list is one step, however long the list: so it is written out, and small."""
    for number, word in enumerate(tokens):
        if tokens[number - 1 : number] != ["|"] or word not in _BY_NAME:
            continue
        given = _arguments(tokens[number + 1 :])
        name = given[1:2] if word.endswith("attr") else given[:1]
        if word == "map" and name and name[0][:2] != ["attribute", "="]:
            _check_name(word, name[0], "filter", FILTERS, Code.UNKNOWN_FILTER, at)
        elif word != "map" and name:
            _check_name(word, name[0], "test", TESTS, Code.UNKNOWN_TEST, at)
        if word == "map" or (name and name[0][0][1:-1] == "in"):
            _check_small(word, given, at)


def _check_name(
    word: str, argument: list[str], kind: str, names: Collection[str], code: Code, at: int
) -> None:
    if len(argument) != 1 or argument[0][0] not in "\"'":
        raise SourceRefused(
            f"`{word}` needs the name of a {kind} in quotes, like `{word}({_EXAMPLES[kind]})`", at, code
        )
    if (name := argument[0][1:-1]) not in names:
        raise SourceRefused(f"there is no {kind} `{name}`; {nearest(name, names)}", at, code)


def _check_small(word: str, given: list[list[str]], at: int) -> None:
    texts = [argument[2 * (argument[1:2] == ["="]) :] for argument in given if argument[0] != "attribute"]
    for token in (token for text in texts for token in text):
        if token[0].isidentifier() and not is_literal(token):
            raise SourceRefused(
                f"the arguments of `{word}` must be written out here: use a loop for `{token}`",
                at,
                Code.LIMIT,
            )
        if len(token) > MAX_ARGUMENT:
            raise SourceRefused(
                f"a text given to `{word}` may have at most {MAX_ARGUMENT} characters", at, Code.LIMIT
            )


def _arguments(tokens: list[str]) -> list[list[str]]:
    """The tokens of every argument in the brackets that `tokens` begin with."""
    given: list[list[str]] = []
    depth = 0
    for word in tokens:
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if not depth:
            break
        if word in ("(", ",") and depth == 1:
            given.append([])
        else:
            given[-1].append(word)
    return [argument for argument in given if argument]


def _not_callable(before: list[str], at: int) -> SourceRefused:
    """What to write instead of a call of something that cannot be called."""
    name, alone = before[-1], before[-2:-1] != ["."]
    if name in FILTERS:
        return SourceRefused(f"`{name}` is a filter: write `value|{name}(...)`", at, Code.UNKNOWN_FUNCTION)
    if alone and name.isidentifier() and get_close_matches(name, FUNCTIONS, n=1):
        return SourceRefused(
            f"there is no function `{name}`; {nearest(name, FUNCTIONS)}", at, Code.UNKNOWN_FUNCTION
        )
    return SourceRefused(
        f"`{name}` cannot be called: use filters, `value|filter(...)`", at, Code.UNKNOWN_FUNCTION
    )


def nearest(word: str, names: Collection[str]) -> str:
    """A hint for who wrote `word` where one of `names` is expected."""
    near = get_close_matches(word, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(names))}"


def _may_precede_bracket(before: list[str]) -> bool:
    """Whether the bracket groups, or calls a filter, a test or a function: never a method."""
    match before:
        case [*_, "|" | "is", _] | [*_, "is", "not", _]:
            return True
        case [*rest, name] if name in FUNCTIONS:
            return rest[-1:] != ["."]
        case [*_, name]:
            return _is_operator(name) and name not in (")", "]")
    return True


def is_literal(token: str) -> bool:
    """Whether a token is a number, a text, or a name for one value."""
    return (token != "" and token[0] in "\"'0123456789") or token in ("true", "false", "none")


def _is_operator(token: str) -> bool:
    return token in _WORDS or not (token[0].isalnum() or token[0] in "_\"'")
