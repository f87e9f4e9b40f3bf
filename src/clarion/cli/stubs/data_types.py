"""What a JSON Schema says about data, as types that every language has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, Union

DEEPEST = 16


class PlainType(NamedTuple):
    """`string`, `integer`, `number`, `boolean`, `null` or `any`."""

    name: str


class LiteralType(NamedTuple):
    """One of these texts, numbers or truth values."""

    values: tuple[Any, ...]


class ListType(NamedTuple):
    """A list."""

    item: DataStub


class MapType(NamedTuple):
    """An object with any names."""

    value: DataStub


class UnionType(NamedTuple):
    """One of several types."""

    options: tuple[DataStub, ...]


class ObjectType(NamedTuple):
    """An object that is declared by its name."""

    name: str


DataStub: TypeAlias = Union["PlainType", "LiteralType", "ListType", "MapType", "UnionType", "ObjectType"]
ANY = PlainType("any")


class StubField(NamedTuple):
    """One field of an object."""

    name: str
    type: DataStub
    required: bool
    about: str


class StubObject(NamedTuple):
    """An object with fields."""

    name: str
    fields: tuple[StubField, ...]
    about: str


class StubTrigger(NamedTuple):
    """What starting one workflow takes."""

    workflow: str
    about: str
    """What people call it, or empty."""
    data: DataStub
    objects: tuple[StubObject, ...]
    """What `data` is made of; each stands behind those it uses."""
    optional: bool
    """The workflow starts without data."""


def triggers(documents: Mapping[str, Any]) -> Iterator[StubTrigger]:
    """One for each workflow of a configuration, by key. Its data satisfies its own schema and those of its templates."""
    templates = documents.get("templates", {})
    for key, workflow in sorted(documents.get("workflows", {}).items()):
        schemas = [workflow, *(templates.get(one, {}) for one in sorted(set(_templates_of(workflow))))]
        schema = _together(one["data_schema"] for one in schemas if one.get("data_schema"))
        reader = _StubReader(schema)
        data = reader.read(schema, f"{pascal(key)}Data", 0) if schema else MapType(ANY)
        yield StubTrigger(
            workflow=key,
            about=workflow.get("name") or "",
            data=data,
            objects=tuple(reader.objects.values()),
            optional=not schema.get("required"),
        )


def pascal(text: str) -> str:
    """`order-shipped` -> `OrderShipped`: the name of a type."""
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text) if part)
    return name if name[:1].isalpha() else f"T{name}"


def _templates_of(node: Any) -> Iterator[str]:
    """Every template that steps name, also inside branches."""
    if isinstance(node, Mapping):
        if isinstance(node.get("template"), str):
            yield node["template"]
        for name in ("steps", "cases"):
            yield from _templates_of(node.get(name, []))
    elif isinstance(node, list):
        for one in node:
            yield from _templates_of(one)


def _together(schemas: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One schema for data that satisfies them all, as far as fields go. The first one names the type of a field."""
    whole: dict[str, Any] = {}
    for schema in schemas:
        for name in ("$defs", "properties"):
            if found := {**schema.get(name, {}), **whole.get(name, {})}:
                whole[name] = found
        if required := {*whole.get("required", ()), *schema.get("required", ())}:
            whole["required"] = sorted(required)
        whole |= {name: value for name, value in schema.items() if name not in whole}
    return whole


class _StubReader:
    """Reads one schema, and collects the objects in it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._references: dict[str, DataStub] = {}
        self.objects: dict[str, StubObject] = {}

    def read(self, node: Any, name: str, depth: int) -> DataStub:
        """The type of a part; an object in it is called `name`."""
        if not isinstance(node, Mapping) or depth > DEEPEST:
            return ANY
        if "$ref" in node:
            return self._behind(node["$ref"], name, depth)
        if "const" in node:
            return _literals([node["const"]])
        if "enum" in node:
            return _literals(node["enum"])
        for word in ("anyOf", "oneOf"):
            if word in node:
                return _either(
                    self.read(one, f"{name}{n or ''}", depth + 1) for n, one in enumerate(node[word])
                )
        kinds = node.get("type", "object" if "properties" in node else None)
        if isinstance(kinds, list):
            return _either(self._of(kind, node, name, depth) for kind in kinds)
        return self._of(kinds, node, name, depth)

    def _of(self, kind: Any, node: Mapping[str, Any], name: str, depth: int) -> DataStub:
        if kind == "array":
            return ListType(self.read(node.get("items"), f"{name}Item", depth + 1))
        if kind == "object":
            return self._object(node, name, depth)
        return PlainType(kind) if kind in ("string", "integer", "number", "boolean", "null") else ANY

    def _object(self, node: Mapping[str, Any], name: str, depth: int) -> DataStub:
        if not node.get("properties"):
            return MapType(self.read(node.get("additionalProperties"), f"{name}Value", depth + 1))
        required = node.get("required", ())
        fields = tuple(
            StubField(
                field,
                self.read(inner, name + pascal(field), depth + 1),
                field in required,
                str(inner.get("description", "")) if isinstance(inner, Mapping) else "",
            )
            for field, inner in node["properties"].items()
        )
        while name in self.objects and self.objects[name].fields != fields:
            name += "_"
        self.objects[name] = StubObject(name, fields, str(node.get("description", "")))
        return ObjectType(name)

    def _behind(self, reference: Any, name: str, depth: int) -> DataStub:
        """What a reference leads to, read once; inside itself it is its name."""
        where = str(reference)
        if where not in self._references:
            node: Any = self._document
            for step in where.removeprefix("#").split("/")[1:]:
                inner = step.replace("~1", "/").replace("~0", "~")
                node = node.get(inner) if isinstance(node, Mapping) else None
            is_object = isinstance(node, Mapping) and bool(node.get("properties"))
            self._references[where] = ObjectType(name) if is_object else ANY
            self._references[where] = self.read(node, name, depth + 1)
        return self._references[where]


def _literals(values: Any) -> DataStub:
    """Those values; a type that covers them where a language has no literals for them."""
    if all(isinstance(one, str | int | bool) or one is None for one in values):
        return LiteralType(tuple(values))
    return ANY


def _either(options: Iterable[DataStub]) -> DataStub:
    found = tuple(dict.fromkeys(options))
    return ANY if ANY in found else found[0] if len(found) == 1 else UnionType(found)
