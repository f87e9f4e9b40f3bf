"""The tree of a checked expression, read from its serialized form (`cel.expr.CheckedExpr`).

The engine has no other way to show it. The format is a published one and only grows:
https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_VARINT, _FIXED64, _BYTES = 0, 1, 2
_ANY_VALUE = 2
_EXPRESSION, _SOURCE = 4, 5
_POSITIONS = 4
_CONSTANTS = {2: "bool", 3: "int", 4: "uint", 5: "double", 6: "string"}


class ExpressionNode(NamedTuple):
    """One part of an expression."""

    kind: str
    """`constant`, `name`, `field`, `has`, `call`, `list`, or `other`."""
    place: int
    """Where it stands: characters before it."""
    value: Any = None
    """Of a constant; the name of a variable, a field or a function."""
    parts: tuple[ExpressionNode, ...] = ()
    """What it is made of; the object of a method comes first."""


def read(serialized: bytes) -> ExpressionNode:
    """The tree of `cel.Expression.serialize()`."""
    checked = _fields(_fields(serialized)[_ANY_VALUE][-1])
    places: dict[int, int] = {}
    for source in checked.get(_SOURCE, ()):
        for entry in _fields(source).get(_POSITIONS, ()):
            pair = _fields(entry)
            places[_number(pair, 1)] = _number(pair, 2)
    return _node(checked[_EXPRESSION][-1], places)


def _node(raw: bytes, places: Mapping[int, int]) -> ExpressionNode:
    found = _fields(raw)
    place = places.get(_number(found, 2), 0)
    if 3 in found:
        return ExpressionNode("constant", place, _constant(_fields(found[3][-1])))
    if 4 in found:
        return ExpressionNode("name", place, _text(_fields(found[4][-1]), 1))
    if 5 in found:
        select = _fields(found[5][-1])
        kind = "has" if _number(select, 3) else "field"
        return ExpressionNode(kind, place, _text(select, 2), (_node(select[1][-1], places),))
    if 6 in found:
        call = _fields(found[6][-1])
        parts = tuple(_node(one, places) for one in (*call.get(1, ()), *call.get(3, ())))
        return ExpressionNode("call", place, _text(call, 2), parts)
    if 7 in found:
        items = _fields(found[7][-1]).get(1, ())
        return ExpressionNode("list", place, None, tuple(_node(one, places) for one in items))
    return ExpressionNode("other", place)


def _constant(found: Mapping[int, list[Any]]) -> Any:
    for number, kind in _CONSTANTS.items():
        if number in found:
            value = found[number][-1]
            if kind == "bool":
                return bool(value)
            if kind == "string":
                return value.decode()
            if kind == "double":
                return struct.unpack("<d", value)[0]
            return value - 2**64 if kind == "int" and value >= 2**63 else value
    return None


def _number(found: Mapping[int, list[Any]], field: int) -> int:
    return int(found[field][-1]) if field in found else 0


def _text(found: Mapping[int, list[Any]], field: int) -> str:
    return str(found[field][-1].decode()) if field in found else ""


def _fields(raw: bytes) -> dict[int, list[Any]]:
    """The values of each field of a message of Protocol Buffers, by number."""
    found: dict[int, list[Any]] = {}
    for number, value in _values(raw):
        found.setdefault(number, []).append(value)
    return found


def _values(raw: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(raw, at)
            yield number, value
            continue
        size = 8 if wire == _FIXED64 else 4
        if wire == _BYTES:
            size, at = _varint(raw, at)
        yield number, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
