"""Turns a condition over users, written in CEL, into a value that every store can answer.

What a user lacks has no value in CEL, and a condition that needs it chooses nobody, negated or not. Negations are moved
to the comparisons, so that a store needs no third truth value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from clarion.model.audience import (
    And,
    AttributeType,
    Comparison,
    Condition,
    Operator,
    Or,
    SearchableField,
    UserField,
)
from clarion.model.setup import Tenant
from clarion.rules.exact.open_attributes import LARGEST
from clarion.rules.expression_tree import ExpressionNode
from clarion.rules.expressions import ExpressionError, compiled, counted
from clarion.rules.match import closest, nearest
from clarion.rules.time_format import instant_of

VARIABLES = ("user", "now")
FIELDS = {
    "id": (UserField.ID, AttributeType.STRING),
    "locale": (UserField.LOCALE, AttributeType.STRING),
    "timezone": (UserField.TIMEZONE, AttributeType.STRING),
    "channels": (UserField.CHANNELS, AttributeType.STRINGS),
    "topics": (UserField.TOPICS, AttributeType.STRINGS),
    "created_at": (UserField.CREATED_AT, AttributeType.TIME),
    "last_seen_at": (UserField.LAST_SEEN_AT, AttributeType.TIME),
    "granted": (UserField.GRANTED, AttributeType.STRINGS),
    "withdrawn": (UserField.WITHDRAWN, AttributeType.STRINGS),
}
"""What `user` has besides `attributes`."""
OPENED_BY = {
    UserField.LOCALE: SearchableField.LOCALE,
    UserField.TIMEZONE: SearchableField.TIMEZONE,
    UserField.GRANTED: SearchableField.CONSENTS,
    UserField.WITHDRAWN: SearchableField.CONSENTS,
}
"""Fields that are stored encrypted unless the tenant says otherwise."""

_ORDERS = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
"""Each with the one that says the same when both sides change places."""
_METHODS = {"startsWith": Operator.STARTS, "endsWith": Operator.ENDS, "contains": Operator.CONTAINS}
_SHOWN = {
    AttributeType.STRING: "a text",
    AttributeType.NUMBER: "a number",
    AttributeType.BOOLEAN: "true or false",
    AttributeType.TIME: "a time",
    AttributeType.STRINGS: "a list of texts",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"h": 3_600_000.0, "m": 60_000.0, "s": 1_000.0, "ms": 1.0}
_MOST_PARTS = 100
"""Comparisons of one condition."""


def condition(source: str, tenant: Tenant) -> Condition:
    """What the expression asks for. Raises ExpressionError with the place."""
    checked = compiled(source, VARIABLES)
    return _Compiler(source, tenant).of(checked.tree)


class _Target(NamedTuple):
    """A field that a node names."""

    field: str
    type: AttributeType
    name: str
    """As it stands in the expression."""


class _Moment(NamedTuple):
    """A sum of times and durations: `fields` (each with its sign), now, and milliseconds."""

    fields: tuple[tuple[_Target, int], ...] = ()
    now: int = 0
    ms: int = 0
    instants: int = 0
    """Instants minus instants: 1 for a time, 0 for a duration."""

    def plus(self, other: _Moment, sign: int) -> _Moment:
        """Both together."""
        fields = tuple((target, its * sign) for target, its in other.fields)
        return _Moment(
            (*self.fields, *fields),
            self.now + sign * other.now,
            self.ms + sign * other.ms,
            self.instants + sign * other.instants,
        )


class _Compiler:
    def __init__(self, source: str, tenant: Tenant) -> None:
        self._source = source
        self._tenant = tenant
        self._size = 0

    def of(self, node: ExpressionNode, *, wanted: bool = True) -> Condition:
        """What is true when `node` is (`wanted`) or is false."""
        if node.kind == "constant" and isinstance(node.value, bool):
            return And(()) if node.value is wanted else Or(())
        if node.kind == "has":
            return self._has(node, wanted=wanted)
        if node.kind == "field":
            return self._flag(node, wanted=wanted)
        if node.kind != "call":
            self._refuse(node)
        if node.value == "!_":
            return self.of(node.parts[0], wanted=not wanted)
        if node.value in ("_&&_", "_||_"):
            parts = tuple(self.of(part, wanted=wanted) for part in node.parts)
            return And(parts) if (node.value == "_&&_") is wanted else Or(parts)
        if node.value in ("_==_", "_!=_"):
            return self._equal(node, negated=(node.value == "_!=_") is wanted)
        if node.value in _ORDERS:
            return self._ordered(node, negated=not wanted)
        if node.value == "@in":
            return self._in(node, negated=not wanted)
        if node.value in _METHODS and len(node.parts) == 2:
            return self._text(node, negated=not wanted)
        self._refuse(node)

    # -- kinds of comparisons ---------------------------------------------------------------------------------

    def _has(self, node: ExpressionNode, *, wanted: bool) -> Condition:
        target = self._target(node)
        if target is None:
            self._refuse(node)
        return self._counted(
            Comparison(field=target.field, type=target.type, operator=Operator.PRESENT, negated=not wanted)
        )

    def _flag(self, node: ExpressionNode, *, wanted: bool) -> Condition:
        target = self._target(node)
        if target is None or target.type is not AttributeType.BOOLEAN:
            self._refuse(node, "is no condition: compare it with something")
        return self._comparison(target, Operator.EQUAL, wanted, negated=False)

    def _equal(self, node: ExpressionNode, *, negated: bool) -> Condition:
        left, right = node.parts
        if self._is_time(left) or self._is_time(right):
            return self._times(node, Operator.EQUAL, negated=negated)
        target = self._target(left)
        if target is None:
            target, right = self._target(right), left
        if target is None:
            self._refuse(node)
        if target.type is AttributeType.STRINGS:
            self._refuse(node, f"compares a list: ask for one of its texts, as in `'x' in {target.name}`")
        return self._comparison(target, Operator.EQUAL, self._literal(right, target), negated=negated)

    def _ordered(self, node: ExpressionNode, *, negated: bool) -> Condition:
        left, right = node.parts
        function: str = node.value
        if self._is_time(left) or self._is_time(right):
            operator = Operator.LESS if function in ("_<_", "_>=_") else Operator.AT_MOST
            return self._times(node, operator, negated=negated is (function in ("_<_", "_<=_")))
        target = self._target(left)
        if target is None:
            target, right, function = self._target(right), left, _ORDERS[function]
        if target is None:
            self._refuse(node)
        if target.type is not AttributeType.NUMBER:
            self._refuse(
                node, f"orders {_SHOWN[target.type]}: only numbers and times are more or less than others"
            )
        operator = Operator.LESS if function in ("_<_", "_>=_") else Operator.AT_MOST
        negated = negated is (function in ("_<_", "_<=_"))
        return self._comparison(target, operator, self._literal(right, target), negated=negated)

    def _in(self, node: ExpressionNode, *, negated: bool) -> Condition:
        one, several = node.parts
        if several.kind == "list":
            target = self._target(one)
            if target is None or target.type not in (AttributeType.STRING, AttributeType.NUMBER):
                self._refuse(node, "looks for something in a list: name a text or a number of the user")
            values = tuple(self._literal(part, target) for part in several.parts)
            return self._comparison(target, Operator.ONE_OF, values, negated=negated)
        target = self._target(several)
        if target is None or target.type is not AttributeType.STRINGS:
            self._refuse(node, "needs a list behind `in`")
        if one.kind != "constant" or not isinstance(one.value, str):
            self._refuse(one, f"is not a text: `{target.name}` holds texts")
        return self._comparison(target, Operator.HOLDS, one.value, negated=negated)

    def _text(self, node: ExpressionNode, *, negated: bool) -> Condition:
        target = self._target(node.parts[0])
        if target is None or target.type is not AttributeType.STRING:
            self._refuse(node, f"asks for part of a text: `{node.value}` needs a text of the user before it")
        text = self._literal(node.parts[1], target)
        if not text:
            self._refuse(node.parts[1], "is empty: every text has it")
        return self._comparison(target, _METHODS[node.value], text, negated=negated)

    def _times(self, node: ExpressionNode, operator: Operator, *, negated: bool) -> Condition:
        """`left op right` as `field op time` or `field op now + time`."""
        left, right = (self._moment(part) for part in node.parts)
        if left.instants != right.instants:
            self._refuse(node, "compares a time with a duration: `now - user.created_at` is a duration")
        both = left.plus(right, -1)
        if len(both.fields) != 1 or both.now not in (0, -both.fields[0][1]):
            self._refuse(node, "compares times: name one time of the user, with `now` or a timestamp(...)")
        ((target, sign),) = both.fields
        if sign < 0 and operator is not Operator.EQUAL:  # -field < x is field > -x
            operator = Operator.AT_MOST if operator is Operator.LESS else Operator.LESS
            negated = not negated
        found = Comparison(
            field=target.field,
            type=target.type,
            operator=operator,
            value=-sign * both.ms,
            from_now=both.now != 0,
            negated=negated,
        )
        return self._counted(found)

    # -- parts of comparisons ---------------------------------------------------------------------------------

    def _comparison(
        self,
        target: _Target,
        operator: Operator,
        value: bool | float | str | tuple[float | str, ...],
        *,
        negated: bool,
    ) -> Comparison:
        return self._counted(
            Comparison(field=target.field, type=target.type, operator=operator, value=value, negated=negated)
        )

    def _counted(self, found: Comparison) -> Comparison:
        self._size += 1
        if self._size > _MOST_PARTS:
            raise ExpressionError(f"a condition compares at most {_MOST_PARTS} times")
        return found

    def _target(self, node: ExpressionNode) -> _Target | None:
        """The field of a user that a node names; None: it names none."""
        path = _path(node)
        if len(path) < 2 or path[0] != "user":
            return None
        shown = ".".join(path)
        if len(path) == 2 and path[1] in FIELDS:
            field, type_ = FIELDS[path[1]]
            opened = OPENED_BY.get(field)
            if opened is not None and opened not in self._tenant.searchable:
                self._refuse(
                    node, f"is stored encrypted: add `{opened}` to `searchable` of the tenant to ask for it"
                )
            return _Target(field, type_, shown)
        if len(path) == 3 and path[1] == "attributes":
            return self._attribute(node, path[2], shown)
        names = [*FIELDS, "attributes.NAME"]
        near = closest(path[1], [*FIELDS, "attributes"])
        meant = f"did you mean `user.{near}`? " if near else ""
        self._refuse(node, f"is nothing of a user: {meant}There are {', '.join(names)}")

    def _attribute(self, node: ExpressionNode, name: str, shown: str) -> _Target:
        known = self._tenant.attributes.get(name)
        if known is None:
            self._refuse(
                node,
                "is no attribute whose type is known: "
                f"{nearest(name, self._tenant.attributes)} Name its type in `attributes` of the tenant",
            )
        if not known.searchable:
            self._refuse(
                node,
                f"is stored encrypted: make the attribute `{name}` of the tenant `searchable` to ask for it",
            )
        return _Target(name, known.type, shown)

    def _literal(self, node: ExpressionNode, target: _Target) -> bool | float | str:
        """The value of a constant, if it is of the type of what it is compared with."""
        value: Any = node.value if node.kind == "constant" else None
        if _IS[target.type](value):
            return _number(value) if target.type is AttributeType.NUMBER else value
        self._refuse(node, f"is not {_SHOWN[target.type]}: `{target.name}` is")

    def _is_time(self, node: ExpressionNode) -> bool:
        if node.kind == "call" and node.value in ("_-_", "_+_"):
            return any(map(self._is_time, node.parts))
        if node.kind == "call":
            return node.value in ("timestamp", "duration")
        if node.kind == "name":
            return bool(node.value == "now")
        target = self._target(node)
        return target is not None and target.type is AttributeType.TIME

    def _moment(self, node: ExpressionNode) -> _Moment:
        if node.kind == "name" and node.value == "now":
            return _Moment(now=1, instants=1)
        if node.kind == "call" and node.value in ("_-_", "_+_") and len(node.parts) == 2:
            left, right = map(self._moment, node.parts)
            return left.plus(right, 1 if node.value == "_+_" else -1)
        if node.kind == "call" and node.value in ("timestamp", "duration"):
            text = node.parts[0].value if node.parts and node.parts[0].kind == "constant" else None
            if not isinstance(text, str):
                self._refuse(
                    node, "needs a text, such as timestamp('2026-05-04T09:00:00Z') or duration('24h')"
                )
            return self._instant(node, text) if node.value == "timestamp" else self._duration(node, text)
        target = self._target(node)
        if target is None or target.type is not AttributeType.TIME:
            self._refuse(node, "is no time")
        return _Moment(fields=((target, 1),), instants=1)

    def _instant(self, node: ExpressionNode, text: str) -> _Moment:
        try:
            return _Moment(ms=instant_of(text), instants=1)
        except ValueError:
            self._refuse(node, "is no time: write it as 2026-05-04T09:00:00Z")

    def _duration(self, node: ExpressionNode, text: str) -> _Moment:
        sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
        if not rest or _DURATION.sub("", rest):
            self._refuse(node, "is no duration: write hours, minutes and seconds, such as 24h or 1h30m")
        ms = sum(float(count) * _UNITS[unit] for count, unit in _DURATION.findall(rest))
        if ms != round(ms):
            self._refuse(node, "is more exact than milliseconds")
        return _Moment(ms=sign * round(ms))

    def _refuse(
        self, node: ExpressionNode, why: str = "cannot be answered for many users at once"
    ) -> NoReturn:
        line, column = counted(self._source, _start(node))
        raise ExpressionError(f"{_shown(node)} {why}", line, column)


def _number(value: float) -> float:
    """As open attributes have it: whole numbers without a point."""
    return int(value) if abs(value) <= LARGEST and value == int(value) else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS: Mapping[AttributeType, Callable[[object], bool]] = {
    AttributeType.STRING: lambda value: isinstance(value, str) and "\0" not in value,
    AttributeType.NUMBER: _is_number,
    AttributeType.BOOLEAN: lambda value: isinstance(value, bool),
    AttributeType.TIME: lambda value: False,
    AttributeType.STRINGS: lambda value: False,
}


def _path(node: ExpressionNode) -> tuple[str, ...]:
    """`user.attributes.plan` as its names; empty: it is something else."""
    if node.kind == "name":
        return (node.value,)
    if node.kind in ("field", "has") and (before := _path(node.parts[0])):
        return (*before, node.value)
    if node.kind == "call" and node.value == "_[_]" and isinstance(name := node.parts[1].value, str):
        return (*before, name) if (before := _path(node.parts[0])) else ()
    return ()


def _start(node: ExpressionNode) -> int:
    """The first character of a node."""
    return min((node.place, *map(_start, node.parts)))


def _shown(node: ExpressionNode) -> str:
    if path := _path(node):
        return f"`{'.'.join(path)}`"
    if node.kind == "constant":
        return repr(node.value) if isinstance(node.value, str) else str(node.value).lower()
    return f"`{node.value}`" if node.kind == "call" and str(node.value).isalpha() else "This"
