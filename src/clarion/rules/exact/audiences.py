"""Whether a condition chooses a user, and when that may be different without any change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clarion.model.audience import And, AttributeType, Comparison, Condition, Operator, Or, comparisons
from clarion.model.ids import Instant

_IS: Mapping[AttributeType, Callable[[Any], bool]] = {
    AttributeType.STRING: lambda value: isinstance(value, str),
    AttributeType.NUMBER: lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    AttributeType.BOOLEAN: lambda value: isinstance(value, bool),
    AttributeType.TIME: lambda value: isinstance(value, int) and not isinstance(value, bool),
    AttributeType.STRINGS: lambda value: isinstance(value, list | tuple | frozenset | set),
}
_HOLDS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.PRESENT: lambda value, wanted: True,
    Operator.EQUAL: lambda value, wanted: bool(value == wanted),
    Operator.LESS: lambda value, wanted: bool(value < wanted),
    Operator.AT_MOST: lambda value, wanted: bool(value <= wanted),
    Operator.ONE_OF: lambda value, wanted: value in wanted,
    Operator.STARTS: lambda value, wanted: bool(value.startswith(wanted)),
    Operator.ENDS: lambda value, wanted: bool(value.endswith(wanted)),
    Operator.CONTAINS: lambda value, wanted: wanted in value,
    Operator.HOLDS: lambda value, wanted: wanted in value,
}


def chooses(where: Condition, facts: Mapping[str, Any], now: Instant) -> bool:
    """`facts`: what a user has, by name of `model.audience.UserField` or of an open attribute."""
    if isinstance(where, And):
        return all(chooses(part, facts, now) for part in where.parts)
    if isinstance(where, Or):
        return any(chooses(part, facts, now) for part in where.parts)
    value = facts.get(where.field)
    if not _IS[where.type](value):
        return where.operator is Operator.PRESENT and where.negated
    return _HOLDS[where.operator](value, compared_with(where, now)) is not where.negated


def compared_with(one: Comparison, now: Instant) -> Any:
    """The value of a comparison at a time."""
    return now + one.value if one.from_now else one.value  # type: ignore[operator]


def next_look(where: Condition, facts: Mapping[str, Any], now: Instant) -> Instant | None:
    """When time alone may change the answer next: the first millisecond behind a comparison with `now` turning."""
    times = [
        (facts[one.field], one.value)
        for one in comparisons(where)
        if one.from_now and _IS[one.type](facts.get(one.field))
    ]
    turns = [Instant(value - distance + 1) for value, distance in times]
    return min((at for at in turns if at > now), default=None)
