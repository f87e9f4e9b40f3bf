"""What is known about the types of data before there are any: read from a JSON Schema, asked by expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from clarion.rules.match import closest

DEEPEST = 32
"""Levels of a schema that are read; below them anything goes."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Scalar(StrEnum):
    """A type without parts."""

    ANY = "any"
    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    BOOL = "true or false"
    MOMENT = "point in time"
    NULL = "null"


class ListOf(NamedTuple):
    """A list."""

    item: DataType


class MapOf(NamedTuple):
    """An object of which only the values are known."""

    value: DataType


class ObjectOf(NamedTuple):
    """An object with these fields and no other that may be asked for."""

    fields: tuple[tuple[str, DataType], ...]

    def get(self, name: str) -> DataType | None:
        """The type of a field; None: there is none of this name."""
        return dict(self.fields).get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Its fields."""
        return tuple(name for name, _ in self.fields)


class Nullable(NamedTuple):
    """Of this type, or null."""

    type: DataType


DataType = Scalar | ListOf | MapOf | ObjectOf | Nullable

ANYTHING = MapOf(Scalar.ANY)
"""Data without a schema."""

_OF_SCHEMA: Mapping[str, DataType] = {
    "string": Scalar.TEXT,
    "integer": Scalar.WHOLE,
    "number": Scalar.NUMBER,
    "boolean": Scalar.BOOL,
    "null": Scalar.NULL,
}
_OF_VALUE: Mapping[type, DataType] = {
    str: Scalar.TEXT,
    int: Scalar.WHOLE,
    float: Scalar.NUMBER,
    bool: Scalar.BOOL,
    type(None): Scalar.NULL,
}


def type_of_data(schema: Mapping[str, Any] | None) -> DataType:
    """The type of the data of an event, which is an object. What the schema leaves open is `Scalar.ANY`."""
    if schema is None:
        return ANYTHING
    found = _Reader(schema).read({"type": "object", **schema}, 0)
    return found if isinstance(found, ObjectOf | MapOf) else ANYTHING


def type_of_value(value: Any) -> DataType:
    """The type of what an example stands for."""
    if isinstance(value, Mapping):
        return fields_of({name: type_of_value(one) for name, one in value.items()}) if value else ANYTHING
    if isinstance(value, list | tuple):
        return ListOf(Scalar.ANY)
    return _OF_VALUE.get(type(value), Scalar.ANY) if value is not None else Scalar.ANY


def fields_of(types: Mapping[str, DataType]) -> DataType:
    """An object with these fields. Names that cannot stand behind a dot make it one of which nothing is known."""
    if not types or not all(map(_NAME.fullmatch, types)):
        return ANYTHING
    return ObjectOf(tuple(types.items()))


def typed(value: Any, type: DataType) -> Any:
    """Decoded JSON as expressions see it: numbers are no whole numbers, and moments no texts, where the type says so."""
    if isinstance(type, ObjectOf) and isinstance(value, dict):
        types = dict(type.fields)
        return {name: typed(one, types[name]) if name in types else one for name, one in value.items()}
    if isinstance(type, MapOf) and isinstance(value, dict):
        return value if type.value is Scalar.ANY else {k: typed(v, type.value) for k, v in value.items()}
    if isinstance(type, ListOf) and isinstance(value, list):
        return value if type.item is Scalar.ANY else [typed(one, type.item) for one in value]
    if isinstance(type, Nullable):
        return None if value is None else typed(value, type.type)
    if isinstance(value, bool):
        return value
    if type is Scalar.NUMBER and isinstance(value, int):
        return float(value)
    if type is Scalar.WHOLE and isinstance(value, float) and value.is_integer():
        return int(value)
    if type is Scalar.MOMENT and isinstance(value, str):
        return _moment(value)
    return value


def pointer_fault(data: DataType, pointer: str) -> str | None:
    """Why a JSON pointer leads to nothing in data of this type; None: it may lead somewhere."""
    at = data
    for token in pointer.split("/")[1:]:
        at = at.type if isinstance(at, Nullable) else at
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(at, ObjectOf):
            inner = at.get(name)
            if inner is None:
                return f"the schema has no `{name}`{meant(name, at.names)}"
            at = inner
        elif isinstance(at, MapOf):
            at = at.value
        elif isinstance(at, ListOf):
            at = at.item
        elif at is not Scalar.ANY:
            return f"there is nothing inside a {at}"
    return None


def meant(name: str, known: Sequence[str]) -> str:
    """`: did you mean ...?`, or what there is."""
    if near := closest(name, known):
        return f": did you mean `{near}`?"
    return f": there is {', '.join(f'`{one}`' for one in known)}"


def example(schema: Mapping[str, Any] | None, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Data for editors and dry runs: the example somebody gave, and what it leaves out of the required fields."""
    if schema is None:
        return given
    found = _Reader(schema).example({"type": "object", **schema}, 0)
    return {**found, **given} if isinstance(found, dict) else given


def moment(at: datetime) -> Any:
    """A point in time for expressions: inside of objects and lists their engine takes no `datetime`."""
    from google.protobuf.timestamp_pb2 import Timestamp

    found = Timestamp()
    found.FromDatetime(at)
    return found


def _moment(text: str) -> Any:
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return text
    return moment(found) if found.tzinfo is not None else text


class _Reader:
    """Reads one schema, whose references point into itself."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def read(self, node: Any, depth: int) -> DataType:
        """The type a subschema describes."""
        if not isinstance(node, Mapping) or depth > DEEPEST:
            return Scalar.ANY
        if "$ref" in node:
            return self.read(self._behind(node["$ref"]), depth + 1) if set(node) <= _BESIDE else Scalar.ANY
        if choices := node.get("anyOf") or node.get("oneOf"):
            return _union([self.read({**_outer(node), **one}, depth + 1) for one in _mappings(choices)])
        if "allOf" in node:
            return self._all_of(node, depth)
        if "const" in node or "enum" in node:
            values = [node["const"]] if "const" in node else node["enum"]
            return _union([type_of_value(one) if one is not None else Scalar.NULL for one in values])
        kinds = node.get("type")
        if isinstance(kinds, list):
            return _union([self.read({**node, "type": one}, depth + 1) for one in kinds])
        if kinds == "object":
            return self._object(node, depth)
        if kinds == "array":
            return ListOf(
                self.read(node.get("items"), depth + 1) if "prefixItems" not in node else Scalar.ANY
            )
        if kinds == "string" and node.get("format") == "date-time":
            return Scalar.MOMENT
        return _OF_SCHEMA.get(kinds, Scalar.ANY) if isinstance(kinds, str) else Scalar.ANY

    def _object(self, node: Mapping[str, Any], depth: int) -> DataType:
        properties = node.get("properties")
        if isinstance(properties, Mapping) and properties and "patternProperties" not in node:
            return fields_of({name: self.read(one, depth + 1) for name, one in properties.items()})
        others = node.get("additionalProperties")
        if isinstance(others, Mapping) and "patternProperties" not in node and not properties:
            return MapOf(self.read(others, depth + 1))
        return ANYTHING

    def _all_of(self, node: Mapping[str, Any], depth: int) -> DataType:
        """The fields of all parts that are objects; anything else is left open."""
        outer = _outer(node)
        parts = [self.read({**outer, **one}, depth + 1) for one in _mappings(node["allOf"])]
        if isinstance(node.get("properties"), Mapping):
            parts.append(self.read({k: v for k, v in node.items() if k != "allOf"}, depth + 1))
        fields = [part for part in parts if isinstance(part, ObjectOf)]
        if not fields or len(fields) < len(parts):
            return ANYTHING if outer.get("type") == "object" else Scalar.ANY
        return ObjectOf(tuple({name: one for part in fields for name, one in part.fields}.items()))

    def _behind(self, reference: Any) -> Any:
        node: Any = self._document
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        for token in reference[2:].split("/"):
            name = token.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or name not in node:
                return None
            node = node[name]
        return node

    def example(self, node: Any, depth: int) -> Any:
        """A value of a subschema."""
        if not isinstance(node, Mapping) or depth > DEEPEST:
            return None
        for name in ("default", "const"):
            if name in node:
                return node[name]
        for name in ("examples", "enum"):
            if isinstance(node.get(name), list) and node[name]:
                return node[name][0]
        if "$ref" in node:
            return self.example(self._behind(node["$ref"]), depth + 1)
        for choice in _mappings(node.get("anyOf") or node.get("oneOf") or ()):
            return self.example({**_outer(node), **choice}, depth + 1)
        kinds = node.get("type")
        kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
        if kind == "object" or "properties" in node or "allOf" in node:
            return dict(self._members(node, depth))
        if kind == "array":
            return [self.example(node.get("items"), depth + 1)] * max(1, node.get("minItems", 1))
        return _example(node, kind)

    def _members(self, node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
        for part in _mappings(node.get("allOf") or ()):
            found = self.example(part, depth + 1)
            if isinstance(found, dict):
                yield from found.items()
        for name, one in (node.get("properties") or {}).items():
            yield name, self.example(one, depth + 1)


_BESIDE = frozenset({"$ref", "$defs", "title", "description", "default", "examples", "type"})
"""What may stand beside a reference and says nothing about the type. (`type` is that of the data as a whole.)"""


def _outer(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a choice or a part takes over from around it."""
    return {"type": node["type"]} if "type" in node else {}


def _mappings(found: Any) -> list[Mapping[str, Any]]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _union(types: Sequence[DataType]) -> DataType:
    """The one type of several; with null beside it, or `Scalar.ANY` where they differ."""
    others = list(dict.fromkeys(one for one in types if one is not Scalar.NULL))
    if len(others) != 1:
        return Scalar.NULL if types and not others else Scalar.ANY
    (only,) = others
    if len(set(types)) == 1 or isinstance(only, Nullable) or only is Scalar.ANY:
        return only
    return Nullable(only)


def _example(node: Mapping[str, Any], kind: Any) -> Any:
    if kind == "string":
        known = {"date-time": "2030-01-31T09:30:00Z", "date": "2030-01-31", "email": "ada@example.com"}
        known |= {"uri": "https://example.com", "uuid": "00000000-0000-4000-8000-000000000000"}
        text = known.get(node.get("format", ""), "text")
        return text.ljust(node.get("minLength", 0), "x")[: node.get("maxLength", len(text) + 10_000)]
    if kind in ("integer", "number"):
        least = node.get("minimum", node.get("exclusiveMinimum", 0))
        value = least + 1 if "exclusiveMinimum" in node else max(least, 1)
        most = node.get("maximum", value)
        return min(value, most) if kind == "integer" else float(min(value, most))
    return {"boolean": True}.get(kind) if isinstance(kind, str) else None
