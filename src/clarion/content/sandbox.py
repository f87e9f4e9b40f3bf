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
MAX_TOKENS = 256
MAX_TAGS = 2_000
MAX_BRANCHES = 100
"""`elif` of one field; they nest in the compiler."""
MAX_JOINS = 8
"""`~` and `+` in one tag, and in all `set` and `for` tags of one field together: each can at most double a text."""
MAX_LOOP_TEXT = 8_192
"""Characters of plain text inside loops: with the fuel they bound what a loop can print."""

STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
FUNCTIONS = frozenset({"range"})
# fmt: off
CHEAP_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "date", "datetime", "default", "e", "escape", "first", "float", "int",
    "items", "last", "length", "lower", "money", "number", "percent", "round", "time", "times", "title", "trim",
    "truncate", "upper", "urlencode",
})
FILTERS = CHEAP_FILTERS | frozenset({
    "dictsort", "join", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "select",
    "selectattr", "sort", "sum", "tojson",
})
# fmt: on
_COMPARISONS = frozenset({"in", "is", "==", "!=", "<", ">", "<=", ">="})
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


def inspect(source: str) -> bool:
    """Whether `source` holds operations whose cost grows with the data. Raises Refused when it breaks a rule."""
    if len(source) > MAX_SOURCE:
        raise Refused(f"the source has {len(source)} characters, at most {MAX_SOURCE} are allowed", 1)
    loops = joins = branches = loop_text = 0
    scans = False
    for number, (line, text, opening, tokens) in enumerate(_pieces(source)):
        loop_text += len(text) if loops else 0
        if loop_text > MAX_LOOP_TEXT:
            raise Refused(
                f"more than {MAX_LOOP_TEXT} characters of text stand inside loops: shorten the loop", line
            )
        if number > MAX_TAGS:
            raise Refused(f"more than {MAX_TAGS} tags: use a loop, or split the template", line)
        if not tokens:
            continue
        tag_joins = sum(token in ("~", "+") for token in tokens)
        if opening == "{%":
            _check_statement(tokens, line)
            joins += tag_joins
            branches += tokens[0] == "elif"
            loops += (tokens[0] == "for") - (tokens[0] == "endfor")
        if max(joins, tag_joins) > MAX_JOINS:
            raise Refused(f"text is joined more than {MAX_JOINS} times: write it out in the template", line)
        if branches > MAX_BRANCHES:
            raise Refused(
                f"more than {MAX_BRANCHES} `elif`: prepare the value before you send the event", line
            )
        _check_expression(tokens, line)
        scans = scans or _scans(tokens)
    return scans


def _pieces(source: str) -> Iterator[tuple[int, str, str, list[str]]]:
    """Line, text before, opening and tokens of every tag; comments and the end of the source have no tokens."""
    position, line = 0, 1
    while tag := _OPEN.search(source, position):
        text, opening = source[position : tag.start()], tag.group()
        line += text.count("\n")
        if opening == "{#":
            position = source.find("#}", tag.end()) + 2
            if position < 2:
                raise Refused("the comment `{#` is never closed by `#}`", line)
            tokens: list[str] = []
        else:
            tokens, position = _tokens(source, tag.end(), opening, line)
        yield line, text, opening, tokens
        line += source.count("\n", tag.start(), position)
    yield line, source[position:], "", []


def _tokens(source: str, position: int, opening: str, line: int) -> tuple[list[str], int]:
    """The tokens of one tag and where the text goes on."""
    if source[position : position + 1] in ("-", "+"):
        position += 1
    tokens: list[str] = []
    depth = 0
    while depth or not (closing := _CLOSE[opening].match(source, position)):
        token = _TOKEN.match(source, position)
        if token is None:
            if position >= len(source):
                raise Refused(f"the tag `{opening}` is never closed", line)
            raise Refused(f"unexpected `{source[position]}` inside `{opening}`", line)
        position = token.end()
        if token.lastgroup != "space":
            depth += (token.group() in "([") - (token.group() in ")]")
            tokens.append(token.group())
        if len(tokens) > MAX_TOKENS:
            raise Refused("the tag is too long: split it with `set`", line)
    return tokens, closing.end()


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


def _scans(tokens: list[str]) -> bool:
    """Whether one step of this tag may walk through whole lists or objects."""
    rest = tokens[tokens.index("in") + 1 :] if tokens[0] == "for" and "in" in tokens else tokens
    pairs = zip(["", *rest], rest, strict=False)
    return any(
        word in _COMPARISONS or (before == "|" and word not in CHEAP_FILTERS) for before, word in pairs
    )


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
