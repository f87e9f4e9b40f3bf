"""Reads the JSON of services: their answers, what they call us with, and single fields of it, whatever it really holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from clarion.adapters.http import HttpReply
from clarion.errors import CallbackUnreadable
from clarion.model.ids import Instant

LAST_SECOND = 4_000_000_000

T = TypeVar("T")


def answer_of(reply: HttpReply) -> dict[str, Any]:
    """The answer as a JSON object; empty when it is none."""
    return answer_as(reply, dict[str, Any])


def answer_as(reply: HttpReply, kind: type[T]) -> T:
    """The answer as a value of a type that may be empty; empty when it is none."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return kind()


def object_of(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises CallbackUnreadable."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CallbackUnreadable("the body is not a JSON object") from None


def list_of(body: bytes) -> list[Any]:
    """The body as a JSON array. Raises CallbackUnreadable."""
    try:
        return msgspec.json.decode(body, type=list[Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CallbackUnreadable("the body is not a JSON array") from None


def text_in(document: Mapping[str, Any], name: str) -> str:
    """A text of the object; empty when it is none."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def object_in(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object inside; empty when there is none."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def second(value: object) -> Instant | None:
    """A time in seconds since 1970; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LAST_SECOND:
        return None
    return Instant(int(value * 1000))


def moment(text: str) -> Instant | None:
    """A time in ISO 8601 (RFC 3339); None when it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return second(at.timestamp()) if at.tzinfo is not None else None
