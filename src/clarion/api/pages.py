"""Lists come in pages with an opaque cursor: `?limit=50&cursor=...` until `next_cursor` is null."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from litestar import Request
from litestar.params import Dependency, Parameter

from clarion.api.auth import Identity
from clarion.api.problems import wrong_parameter

T = TypeVar("T")
V = TypeVar("V")
K = TypeVar("K", int, str, bytes)

PAGE = 50
MOST_A_PAGE = 200
BOUNDED: dict[type, Any] = {int: Annotated[int, msgspec.Meta(le=2**63 - 1)]}
"""No list counts further."""
NO_FILTER = frozenset({"cursor", "limit", "fields", "total", "wait_s"})
"""Parameters that change neither what a list holds nor its order."""


class At:
    """Where in a list a page begins. It fits the tenant, list, filter and order it came from, and no other."""

    def __init__(self, text: str | None = None, bound: bytes = b"") -> None:
        """`text`: as a caller sent it. `bound`: what it must fit."""
        self._text = text
        self._bound = bound

    def __bool__(self) -> bool:
        """Whether this is not the first page."""
        return self._text is not None

    def bound_to(self, asked: str) -> At:
        """The same place in a list that also depends on what the body of the request asks for."""
        return At(self._text, blake2b(self._bound + asked.encode(), digest_size=6).digest())

    def after(self, start: K) -> K:
        """The position to go on behind; `start` on the first page. Refuses what is no cursor of this list."""
        if self._text is None:
            return start
        kind: Any = BOUNDED.get(type(start), type(start))
        try:
            raw = urlsafe_b64decode(self._text + "=" * (-len(self._text) % 4))
            found: tuple[K, bytes] = msgspec.msgpack.decode(raw, type=tuple[kind, bytes])
        except (binascii.Error, ValueError, UnicodeError):
            raise wrong_parameter(
                "cursor", "This is no cursor of this list: send back `next_cursor` as you got it."
            ) from None
        if found[1] != self._bound:
            raise wrong_parameter(
                "cursor",
                "This cursor belongs to another tenant, list or filter: send it with the key and parameters it came from.",
            )
        return found[0]

    def to(self, position: int | str | bytes | None) -> str | None:
        """The text of a position further on in the same list; callers must not read anything into it."""
        if position is None:
            return None
        return urlsafe_b64encode(msgspec.msgpack.encode((position, self._bound))).rstrip(b"=").decode()


START = At()
Cursor = Annotated[At, Dependency(skip_validation=True)]
Limit = Annotated[int, Parameter(ge=1, le=MOST_A_PAGE, description="Most items to return")]


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Part of a list. `next_cursor` leads to the next part; null: this was the last."""

    items: list[T]
    next_cursor: str | None = None


def provide_cursor(
    request: Request[Any, Any, Any],
    after: Annotated[
        str | None, Parameter(query="cursor", description="`next_cursor` of the page before")
    ] = None,
) -> At:
    """The cursor of this request, bound to whose data it walks, its path and filter."""
    caller: Identity = request.auth
    query = sorted(one for one in request.query_params.multi_items() if one[0] not in NO_FILTER)
    filtered = msgspec.msgpack.encode((caller.tenant, caller.user_id, request.scope["path"], query))
    return At(after, blake2b(filtered, digest_size=6).digest())


def page_of_documents(documents: Mapping[str, T], view: Callable[[T], V], cursor: At, limit: int) -> Page[V]:
    """A page of documents that are at hand as a whole, in order of their keys."""
    start = cursor.after("")
    keys = sorted(key for key in documents if key > start)
    following = cursor.to(keys[limit - 1]) if len(keys) > limit else None
    return Page(items=[view(documents[key]) for key in keys[:limit]], next_cursor=following)


def page_of_all(items: Sequence[T], key: Callable[[T], str], cursor: At, limit: int) -> Page[T]:
    """A page of a list that is at hand as a whole, in its own order."""
    last = cursor.after("")
    places = [index for index, one in enumerate(items) if key(one) == last] if cursor else [-1]
    if not places:
        raise wrong_parameter("cursor", "What this cursor points to was deleted: begin again without it.")
    end = places[0] + 1 + limit
    following = cursor.to(key(items[end - 1])) if end < len(items) else None
    return Page(items=list(items[places[0] + 1 : end]), next_cursor=following)
