"""Puts the docstrings of values into the OpenAPI document."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec

OURS = ("clarion.model.", "clarion.api.")
"""Where the values of the edge are defined; others may bear the same names."""


def describe(schemas: dict[str, Any]) -> None:
    """Give every schema, and every field of it, the words that stand in the source."""
    known = {kind.__name__: kind for kind in _structs(msgspec.Struct)}
    for name, schema in schemas.items():
        kind = known.get(name)
        if kind is None or "properties" not in schema:
            continue
        schema["description"] = inspect.getdoc(kind) or ""
        if kind.__struct_config__.forbid_unknown_fields:
            schema["additionalProperties"] = False
        names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
        for attribute, words in _fields(kind).items():
            field = names.get(attribute, attribute)
            shown = schema["properties"].get(field)
            if shown is not None and "$ref" not in shown:
                shown["description"] = words
            elif shown is not None:
                schema["properties"][field] = {"allOf": [shown], "description": words}


def _structs(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    children: list[type[msgspec.Struct]] = kind.__subclasses__()
    for child in children:
        if child.__module__.startswith(OURS):
            yield child
        yield from _structs(child)


def _fields(kind: type) -> dict[str, str]:
    """Attribute docstrings, inherited ones included."""
    words: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith(OURS):
            words |= said_in(owner.__module__).get(owner.__name__, {})
    return words


@cache
def said_in(module: str) -> dict[str, dict[str, str]]:
    """Class to field to what stands below it, of one module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        owner.name: {
            field.target.id: inspect.cleandoc(said.value.value)
            for field, said in pairwise(owner.body)
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(said, ast.Expr)
            and isinstance(said.value, ast.Constant)
            and isinstance(said.value.value, str)
        }
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
    }
