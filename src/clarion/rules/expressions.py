"""Expressions in CEL, the one language for conditions and for filling fields.

Pure: no function reads a clock, a file or the network. Every evaluation ends, because the engine limits iterations and
nesting, and regular expressions take linear time (RE2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

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
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\[\s*(?:'[^']*'|\"[^\"]*\")\s*\])*")
_PART = re.compile(r"\w+")
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


class Expression:
    """A checked expression."""

    __slots__ = ("_program", "source")

    def __init__(self, source: str, program: Any) -> None:
        self.source = source
        self._program = program

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


@lru_cache(maxsize=16)
def _environment(names: tuple[str, ...]) -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(names, cel.Type.DYN))


def _not_compiled(said: str, names: Collection[str]) -> ExpressionError:
    """The first error, or the first that has a name which was probably meant: one often causes others."""
    found = [_compile_error(place[1], place[2], place[3], names) for place in _PLACE.finditer(said)]
    if not found:
        return ExpressionError(_STATUS.sub("", said).splitlines()[0])
    return next((one for one, meant in found if meant), found[0][0])


def _compile_error(line: str, column: str, said: str, names: Collection[str]) -> tuple[ExpressionError, bool]:
    """The error, and whether it knows what was meant."""
    detail, place, near = _STATUS.sub("", said).removeprefix("Syntax error: "), max(0, int(column)), ""
    if (unknown := _UNDECLARED.search(said)) is not None:
        place -= len(unknown[1].rpartition(".")[0])  # it was the last dot that was named
        name = unknown[1].partition(".")[0]
        near = closest(name, [*names, *FUNCTIONS])
        meant = f"did you mean `{near}`? " if near else ""
        there = ", ".join(f"`{one}`" for one in names)
        detail = f"nothing is called `{name}`: {meant}There are {there}; a text stands in quotes"
    return ExpressionError(detail, max(0, int(line)), place), bool(near)


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
                meant = f"did you mean `{near}`?" if near else f"`has({chain[0]})` asks whether it is there"
                return ExpressionError(f"there is no field `{name}`: {meant}", line, column)
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
