"""What a template may do. MiniJinja runs it in Rust, with fuel; this is what fuel does not bound.

Fuel counts instructions, not bytes or stack: `'x'|indent(10**9)`, a list times a billion, text doubled forty times or an
expression of ten thousand terms would take the process down. So a source is read once before it is compiled and refused
unless it is made of the statements, filters and functions named here, in sane amounts. No Python object is in reach:
methods cannot be called, only the filters and tests of this list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

MAX_SOURCE = 100_000
"""Characters of one field."""
MAX_OPERATORS = 64
"""Terms of one tag: a longer chain would recurse as deep in the compiler."""
MAX_BRANCHES = 100
"""`elif` of one field; they nest in the compiler."""
MAX_JOINS = 8
"""`~` and `+` in one tag, and in all `set` and `for` tags of one field together: each can at most double a text."""
MAX_LOOP_TEXT = 8_192
"""Characters of plain text inside loops: with the fuel they bound what a loop can print."""

STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
FUNCTIONS = frozenset({"range"})
FILTERS = frozenset(
    {
        *(
            "abs",
            "capitalize",
            "count",
            "d",
            "date",
            "datetime",
            "default",
            "dictsort",
            "e",
            "escape",
            "first",
            "float",
        ),
        *(
            "int",
            "items",
            "join",
            "last",
            "length",
            "lower",
            "map",
            "max",
            "min",
            "money",
            "number",
            "percent",
            "reject",
        ),
        *(
            "rejectattr",
            "replace",
            "reverse",
            "round",
            "select",
            "selectattr",
            "sort",
            "sum",
            "time",
            "times",
            "title",
        ),
        *("tojson", "trim", "truncate", "unique", "upper", "urlencode"),
    }
)
_WORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "elif", "for", "set"})
"""Names that are operators."""

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


class Refused(Exception):
    """The source is not accepted; says why, on which line, and what to write instead."""

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line


def inspect(source: str) -> None:
    """Raises Refused unless `source` keeps to the rules of this module."""
    if len(source) > MAX_SOURCE:
        raise Refused(f"the source has {len(source)} characters, at most {MAX_SOURCE} are allowed", 1)
    loops = joins = branches = loop_text = 0
    for start, text, tokens in _pieces(source):
        line = source.count("\n", 0, start) + 1
        loop_text += len(text) if loops else 0
        if loop_text > MAX_LOOP_TEXT:
            raise Refused(
                f"more than {MAX_LOOP_TEXT} characters of text stand inside loops: shorten the loop", line
            )
        if not tokens:
            continue
        tag_joins = sum(token in ("~", "+") for token in tokens)
        statement = tokens[0] if source.startswith("{%", start) else ""
        if statement:
            _check_statement(tokens, line)
            joins += tag_joins
            branches += statement == "elif"
            loops += (statement == "for") - (statement == "endfor")
        if max(joins, tag_joins) > MAX_JOINS:
            raise Refused(f"text is joined more than {MAX_JOINS} times: write it out in the template", line)
        if branches > MAX_BRANCHES:
            raise Refused(
                f"more than {MAX_BRANCHES} `elif`: prepare the value before you send the event", line
            )
        _check_expression(tokens, line)


def _pieces(source: str) -> Iterator[tuple[int, str, list[str]]]:
    """(position, text before, tokens) of every tag, then the text behind the last one, without tokens."""
    position = 0
    while tag := _OPEN.search(source, position):
        start, text = tag.start(), source[position : tag.start()]
        if tag.group() == "{#":
            end = source.find("#}", tag.end())
            if end < 0:
                raise Refused("the comment `{#` is never closed by `#}`", source.count("\n", 0, start) + 1)
            position = end + 2
            yield start, text, []
            continue
        tokens, position = _tokens(source, tag.end(), tag.group())
        yield start, text, tokens
    yield len(source), source[position:], []


def _tokens(source: str, position: int, opening: str) -> tuple[list[str], int]:
    """The tokens of one tag and where the text goes on."""
    line = source.count("\n", 0, position) + 1
    if source[position : position + 1] in ("-", "+"):
        position += 1
    tokens: list[str] = []
    depth = 0
    while True:
        closing = _CLOSE[opening].match(source, position) if depth == 0 else None
        if closing:
            return tokens, closing.end()
        token = _TOKEN.match(source, position)
        if token is None:
            if position >= len(source):
                raise Refused(f"the tag `{opening}` is never closed", line)
            raise Refused(f"unexpected `{source[position]}` inside `{opening}`", line)
        position = token.end()
        if token.lastgroup == "space":
            continue
        word = token.group()
        depth += (word in "([") - (word in ")]")
        tokens.append(word)


def _check_statement(tokens: list[str], line: int) -> None:
    statement = tokens[0]
    if statement not in STATEMENTS:
        raise Refused(f"`{statement}` is not available; there are {', '.join(sorted(STATEMENTS))}", line)
    if statement == "for" and "recursive" in tokens:
        raise Refused("recursive loops are not available", line)
    if statement == "set" and "=" not in tokens:
        raise Refused("`set` needs a value: `{% set name = ... %}`", line)


def _check_expression(tokens: list[str], line: int) -> None:
    if sum(map(_is_operator, tokens)) > MAX_OPERATORS:
        raise Refused(f"one tag may hold at most {MAX_OPERATORS} operators: split it with `set`", line)
    for at, word in enumerate(tokens):
        before = tokens[:at]
        if word in ("*", "**"):
            raise Refused(
                f"`{word}` is not available because it repeats text and lists: write `a|times(b)`", line
            )
        if before[-1:] == ["|"] and word not in FILTERS:
            near = get_close_matches(word, FILTERS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(FILTERS))}"
            raise Refused(f"there is no filter `{word}`; {hint}", line)
        if word == "(" and not _may_precede_bracket(before):
            raise Refused(f"`{before[-1]}` cannot be called: use filters, `value|filter(...)`", line)


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


def _is_operator(token: str) -> bool:
    return token in _WORDS or not (token[0].isalnum() or token[0] in "_\"'")
