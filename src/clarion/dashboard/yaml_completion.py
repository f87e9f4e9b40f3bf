"""What may stand at a place of a YAML document, by its JSON Schema: names of fields, and values of enumerations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MOST = 30
Schema = Mapping[str, Any]
_LINE = re.compile(
    r"(?P<indent> *)(?P<dashes>(?:- +)*-?)(?:(?P<name>[\w.-]+)(?P<colon>:(?: +|$))?)?(?P<rest>.*)"
)
_OF_TYPES = re.compile(r"`(\w+)`(?=(?:, `\w+`)*: )")
"""Descriptions begin with the types that a field belongs to: "`wait`, `digest`: ..."."""


class Completion(NamedTuple):
    """One thing that may stand there."""

    text: str
    """In place of what was typed of it."""
    about: str = ""


class Completions(NamedTuple):
    """Everything that may stand there."""

    typed: int
    """How many characters before the cursor it replaces."""
    items: tuple[Completion, ...] = ()


class _Line(NamedTuple):
    """One line as far as it says where it belongs."""

    indent: int
    """Of the name, behind the dashes."""
    dashes: tuple[int, ...]
    """Where its dashes are."""
    name: str
    is_field: bool
    value: str


def completions(
    schema: Schema, names: Mapping[str, Sequence[str]], text: str, line: int, column: int
) -> Completions:
    """What may stand at the cursor (both counted from 0). `names`: what a field of such a name refers to."""
    lines = text.split("\n")[: line + 1]
    read = [_read(one) for one in lines[:-1]]
    here = _read(lines[-1][:column])
    path = _path(read, here)
    objects = [*_at(schema, schema, path)]
    if lines[-1].lstrip().startswith("#"):
        return Completions(0)
    if not here.is_field:
        inside = _siblings(text.split("\n"), line, here.indent)
        found = [*_fields(schema, objects, inside, here.name + here.value), *_items(schema, objects, here)]
        return Completions(len(here.name + here.value), tuple(dict.fromkeys(found))[:MOST])
    typed = here.value.rpartition("[")[2].rpartition(",")[2].lstrip() if "[" in here.value else here.value
    known = [Completion(name) for name in names.get(here.name, ())]
    values = [*_values(schema, _at(schema, schema, (*path, here.name))), *known]
    fitting = tuple(dict.fromkeys(one for one in values if one.text.startswith(typed) and one.text != typed))
    return Completions(len(typed), fitting[:MOST])


def _read(line: str) -> _Line:
    found = _LINE.fullmatch(line)
    if found is None or line.lstrip().startswith("#"):
        return _Line(len(line), (), "", False, "")
    start = found.end("dashes") if found["name"] is None else found.start("name")
    first = len(found["indent"])
    dashes = tuple(first + at for at, sign in enumerate(found["dashes"]) if sign == "-")
    return _Line(start, dashes, found["name"] or "", found["colon"] is not None, found["rest"].strip("\"'"))


def _path(lines: Sequence[_Line], here: _Line) -> tuple[str, ...]:
    """The fields that the cursor is inside of, `-` for an item of a list."""
    steps: list[str] = ["-" for _ in here.dashes][::-1]
    least = here.dashes[0] if here.dashes else here.indent
    in_list = bool(here.dashes)
    for one in reversed(lines):
        if not one.name and not one.dashes:
            continue
        inside = one.indent < least or (in_list and one.indent == least and one.is_field and not one.dashes)
        if one.is_field and inside and not one.value.strip():
            steps.append(one.name)
            least, in_list = one.indent, False
        for dash in reversed(one.dashes):
            if dash < least and not in_list:
                steps.append("-")
                least, in_list = dash, True
    return tuple(reversed(steps))


def _siblings(lines: Sequence[str], line: int, indent: int) -> dict[str, str]:
    """The fields that stand beside the cursor, with their values."""
    found: dict[str, str] = {}
    above = [] if _read(lines[line]).dashes else [_read(one) for one in reversed(lines[:line])]
    for one in above:
        if one.is_field and one.indent == indent:
            found[one.name] = one.value.strip()
        if (one.name or one.dashes) and min((one.indent, *one.dashes)) < indent:
            break
    for one in (_read(one) for one in lines[line + 1 :]):
        if (one.name or one.dashes) and min((one.indent, *one.dashes)) < indent:
            break
        if one.is_field and one.indent == indent:
            found[one.name] = one.value.strip()
    return found


def _resolved(root: Schema, schema: Schema) -> Iterator[Schema]:
    """A schema without references and alternatives."""
    if "$ref" in schema:
        yield from _resolved(root, root["$defs"][schema["$ref"].rpartition("/")[2]])
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _resolved(root, one)
    if {"properties", "items", "enum", "const", "type", "additionalProperties"} & schema.keys():
        yield schema


def _at(root: Schema, schema: Schema, path: Sequence[str]) -> Iterator[Schema]:
    """The schemas of what is at a path."""
    for one in _resolved(root, schema):
        if not path:
            yield one
            continue
        if path[0] == "-":
            inner = one.get("items")
        else:
            inner = one.get("properties", {}).get(path[0], one.get("additionalProperties"))
        if isinstance(inner, dict):
            yield from _at(root, inner, path[1:])


def _fields(
    root: Schema, objects: Sequence[Schema], inside: Mapping[str, str], typed: str
) -> Iterator[Completion]:
    told: set[str] = set()
    for schema in objects:
        kind = inside.get("type") or schema.get("properties", {}).get("type", {}).get("default", "")
        for name, field in schema.get("properties", {}).items():
            about = str(field.get("description", ""))
            types = _OF_TYPES.findall(about)
            if name in inside or name in told or not name.startswith(typed) or (types and kind not in types):
                continue
            told.add(name)
            yield Completion(f"{name}: ", about)


def _items(root: Schema, objects: Sequence[Schema], here: _Line) -> Iterator[Completion]:
    """Values of a list that are written one a line."""
    if here.dashes:
        yield from (one for one in _values(root, objects) if one.text.startswith(here.name))


def _values(root: Schema, schemas: Iterator[Schema] | Sequence[Schema]) -> Iterator[Completion]:
    for schema in schemas:
        yield from (Completion(str(one), "") for one in schema.get("enum", ()))
        if "const" in schema:
            yield Completion(str(schema["const"]))
        if schema.get("type") == "boolean":
            yield from (Completion("true"), Completion("false"))
        if isinstance(items := schema.get("items"), dict):
            yield from _values(root, [*_resolved(root, items)])
