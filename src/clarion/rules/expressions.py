"""Expressions in CEL, the one language for conditions and for filling fields.

Pure: no function reads a clock, a file or the network. Every evaluation ends, because the engine limits iterations and
nesting, and regular expressions take linear time (RE2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from clarion.rules.data_types import DataType, ObjectOf, meant
from clarion.rules.expression_tree import ExpressionNode, read
from clarion.rules.match import closest

LONGEST = 2_048
"""Characters of an expression."""

FUNCTIONS = (
    *("all", "exists", "exists_one", "filter", "has", "map"),
    *("bool", "bytes", "double", "duration", "int", "string", "timestamp", "type", "uint", "dyn"),
    *("contains", "endsWith", "matches", "size", "startsWith"),
    *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"),
    *("getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
)
_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']+)'")
_MISSING = re.compile(r'Key not found in map : "(.*)"')
_OVERLOAD = re.compile(r"No matching overloads? found : (.*)")
_NO_FIELD = re.compile(r"undefined field '([^']+)' not found in struct 'of\.([^']+)'")
_NO_MATCH = re.compile(r"found no matching overload for '([^']+)' applied to '(.*)'")
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\[\s*(?:'[^']*'|\"[^\"]*\")\s*\])*")
_PART = re.compile(r"\w+")
_KEYED = re.compile(
    r"""(?<=[\w\])])(?<!\bin)\[\s*(?P<quote>['"])(?P<name>[A-Za-z_]\w*)(?P=quote)\s*\]"""
    r"""|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
)
"""A field asked for in brackets; texts are passed over."""
_WORDS = {
    "bool": "true or false",
    "double": "number",
    "dyn": "any data",
    "google.protobuf.Duration": "duration",
    "google.protobuf.Timestamp": "point in time",
    "int": "whole number",
    "null_type": "null",
    "string": "text",
    "timestamp": "point in time",
    "wrapper(bool)": "true, false or null",
    "wrapper(double)": "number or null",
    "wrapper(int)": "whole number or null",
    "wrapper(string)": "text or null",
}
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")


class ExpressionError(Exception):
    """An expression is wrong, or has no value for these data. `line` and `column` count from 1; 0: it is nowhere."""

    def __init__(self, detail: str, line: int = 0, column: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line
        self.column = column

    def __str__(self) -> str:
        """With the place, for a person."""
        if not self.line:
            return self.detail
        at = f"column {self.column}" if self.line == 1 else f"line {self.line}, column {self.column}"
        return f"{at}: {self.detail}"


Types = tuple[tuple[str, DataType], ...]
"""What is known about the variables of an expression, by name."""


class Expression:
    """A checked expression."""

    __slots__ = ("_program", "source")

    def __init__(self, source: str, program: Any) -> None:
        self.source = source
        self._program = program

    @property
    def tree(self) -> ExpressionNode:
        """What it is made of, macros expanded."""
        return read(self._program.serialize())

    @property
    def may_be_condition(self) -> bool:
        """Whether its value may be true or false, as far as that can be told without data."""
        from cel_expr_python import cel

        return self._program.return_type() in (cel.Type.BOOL, cel.Type.DYN)

    def value(self, variables: Mapping[str, Any]) -> Any:
        """As JSON would have it. Raises ExpressionError when there is none."""
        from cel_expr_python import cel

        try:
            found = self._program.eval(data=variables)
        except RuntimeError as wrong:
            raise _evaluation_failed(str(wrong), self.source, variables) from None
        if found.type() == cel.Type.ERROR:
            raise _evaluation_failed(str(found.value()), self.source, variables)
        return _plain(found.plain_value())


@lru_cache(maxsize=1_024)
def compiled(source: str, names: tuple[str, ...]) -> Expression:
    """The expression over variables of these names. Raises ExpressionError saying where it is wrong."""
    if len(source) > LONGEST:
        raise ExpressionError(f"an expression has at most {LONGEST} characters")
    try:
        return Expression(source, _environment(names).compile(source))
    except RuntimeError as wrong:
        raise _not_compiled(str(wrong), names) from None


def checked(source: str, types: Types) -> Expression:
    """The expression, where the types of what it asks for go together. Raises ExpressionError saying where they do not.

    It is for publishing only: its values are asked of `compiled`, whose variables may be anything.
    """
    names = tuple(name for name, _ in types)
    compiled(source, names)  # What is wrong without types is said without them.
    environment, structs = _typed_environment(types)
    try:
        return Expression(source, environment.compile(_KEYED.sub(_dotted, source)))
    except RuntimeError as wrong:
        raise _not_compiled(str(wrong), names, source, structs) from None


def _dotted(keyed: re.Match[str]) -> str:
    """`['name']` as `.name`, which is the same to whoever evaluates it and has a type; as long as it was."""
    return keyed[0] if keyed["name"] is None else f".{keyed['name']}".ljust(len(keyed[0]))


@lru_cache(maxsize=16)
def _environment(names: tuple[str, ...]) -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


@lru_cache(maxsize=64)
def _typed_environment(types: Types) -> tuple[Any, Mapping[str, ObjectOf]]:
    """What checks expressions over these, and the objects that its errors name."""
    from cel_expr_python import cel

    from clarion.rules.type_descriptors import Descriptors

    descriptors = Descriptors()
    variables = {name: cel.Type(descriptors.signature(its)) for name, its in types}
    return cel.NewEnv(descriptors.pool(), variables=variables), descriptors.structs


def _not_compiled(
    said: str,
    names: Collection[str],
    source: str = "",
    structs: Mapping[str, ObjectOf] = MappingProxyType({}),
) -> ExpressionError:
    """The first error, or the first that has a name which was probably meant: one often causes others."""
    found = [
        _compile_error(place[1], place[2], place[3], names, source, structs)
        for place in _PLACE.finditer(said)
    ]
    if not found:
        return ExpressionError(_STATUS.sub("", said).splitlines()[0])
    return next((one for one, near in found if near), found[0][0])


def _compile_error(
    line: str, column: str, said: str, names: Collection[str], source: str, structs: Mapping[str, ObjectOf]
) -> tuple[ExpressionError, bool]:
    """The error, and whether it knows what was meant."""
    detail, place, near = _STATUS.sub("", said).removeprefix("Syntax error: "), max(0, int(column)), ""
    if (unknown := _UNDECLARED.search(said)) is not None:
        place -= len(unknown[1].rpartition(".")[0])  # it was the last dot that was named
        name = unknown[1].partition(".")[0]
        near = closest(name, [*names, *FUNCTIONS])
        hint = f"did you mean `{near}`? " if near else ""
        there = ", ".join(f"`{one}`" for one in names)
        detail = f"nothing is called `{name}`: {hint}There are {there}; a text stands in quotes"
    elif (lacking := _NO_FIELD.search(said)) is not None:
        fields = structs[lacking[2]].names
        near = closest(lacking[1], fields)
        detail = f"there is no field `{lacking[1]}`{meant(lacking[1], fields)}"
        place = _place_of_field(source, max(0, int(line)), place, lacking[1])
    elif (mixed := _NO_MATCH.search(said)) is not None:
        detail = _mixed(mixed[1], mixed[2])
    return ExpressionError(detail, max(0, int(line)), place), bool(near)


def _place_of_field(source: str, line: int, column: int, name: str) -> int:
    """The column of a field's name, of which the checker says where its dot or bracket is."""
    lines = source.splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    found = re.compile(rf"""[.\['"]\s*{re.escape(name)}\b""").search(text, max(0, column - 1))
    return found.end() - len(name) + 1 if found else column


def _mixed(operator: str, applied: str) -> str:
    """What does not go together, in the words of schemas."""
    words = [_word(one) for one in _arguments(applied)]
    name = operator.strip("_").replace("_", "")
    if operator == "_[_]" and words[0] == "object":
        return "a field that has a type is asked for by its name, as in `data.total`"
    detail = f"`{name}` does not go with {' and '.join(words)}"
    if set(words) == {"number", "whole number"}:
        detail += ": write a number with a point, as in `100.0`, or `double(...)` around the whole number"
    return detail


def _word(type_name: str) -> str:
    """What a schema calls a type of the engine."""
    if type_name.startswith("list("):
        return "list"
    return "object" if type_name.startswith(("of.", "map(")) else _WORDS.get(type_name, type_name)


def _arguments(applied: str) -> list[str]:
    """`(double, list(int))` -> `double`, `list(int)`."""
    found, depth = [""], 0
    for sign in applied.removeprefix("(").removesuffix(")"):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            found.append("")
        else:
            found[-1] += sign
    return [one.strip() for one in found]


def _evaluation_failed(said: str, source: str, variables: Mapping[str, Any]) -> ExpressionError:
    detail = _STATUS.sub("", said)
    if (missing := _MISSING.search(said)) is not None:
        return _no_such_field(missing[1], source, variables)
    if (overload := _OVERLOAD.search(said)) is not None:
        detail = f"these types do not go together: {overload[1]}"
    elif "Applying SELECT" in said:
        detail = "a field is asked of something that has no fields"
    elif "budget exceeded" in said:
        detail = "it takes too many steps"
    return ExpressionError(detail)


def _no_such_field(name: str, source: str, variables: Mapping[str, Any]) -> ExpressionError:
    """With the nearest field of what it was asked of, where the expression says that."""
    for chain in _CHAIN.finditer(source):
        holder: Any = variables
        for part in _PART.finditer(chain[0]):
            if not isinstance(holder, Mapping):
                break
            if part[0] == name and name not in holder:
                line, column = counted(source, chain.start() + part.start())
                near = closest(name, [key for key in holder if isinstance(key, str)])
                hint = f"did you mean `{near}`?" if near else f"`has({chain[0]})` asks whether it is there"
                return ExpressionError(f"there is no field `{name}`: {hint}", line, column)
            holder = holder.get(part[0])
    return ExpressionError(f"there is no field `{name}`")


def counted(source: str, place: int) -> tuple[int, int]:
    """Line and column of a place in a text."""
    before = source[:place]
    return before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ExpressionError("its value is neither a text, a number, a list nor a map")
