"""Lists come in pages with an opaque cursor: `?limit=50&cursor=...` until `next_cursor` is null."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar.params import Parameter

from clarion.api.problems import wrong_parameter

T = TypeVar("T")
K = TypeVar("K", int, str, bytes)

Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before")]
Limit = Annotated[int, Parameter(ge=1, le=200, description="Most items to return")]
PAGE = 50
BOUNDED: dict[type, Any] = {int: Annotated[int, msgspec.Meta(le=2**63 - 1)]}
"""No list counts further."""


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Part of a list. `next_cursor` leads to the next part; null: this was the last."""

    items: list[T]
    next_cursor: str | None = None


def cursor_of(position: int | str | bytes | None) -> str | None:
    """The text of a position; callers must not read anything into it."""
    if position is None:
        return None
    return urlsafe_b64encode(msgspec.msgpack.encode(position)).rstrip(b"=").decode()


def position(text: str | None, start: K) -> K:
    """Where a cursor leads; `start` without one. Refuses what is not a cursor of this list."""
    if text is None:
        return start
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found: K = msgspec.msgpack.decode(raw, type=BOUNDED.get(type(start), type(start)))
    except (binascii.Error, ValueError, UnicodeError):
        raise wrong_parameter(
            "cursor", "This is no cursor of this list: send back `next_cursor` as you got it."
        ) from None
    return found
