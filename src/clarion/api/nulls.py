"""Translates between `null` in the API and empty texts in stored documents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from clarion.model.user import Value


def shown(document: Value) -> dict[str, Any]:
    """The fields of a stored document as answers have them."""
    fields = msgspec.structs.asdict(document)
    return {**fields, **{name: fields[name] or None for name in _texts(type(document))}}


def stored(kind: type[Value], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request as a document of `kind` keeps them."""
    return {**fields, **{name: fields[name] or "" for name in _texts(kind) if name in fields}}


@cache
def _texts(kind: type[Value]) -> Sequence[str]:
    """The fields that hold an empty text when nothing was said."""
    return [field.name for field in msgspec.structs.fields(kind) if field.default == ""]
