"""An HTTP request and its reply, as values, and whoever makes requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to be sent."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = {}
    body: bytes = b""
    from_user: bool = False
    """The URL came from a user although the provider's own do not: treated as with `urls="user"`."""

    def __repr__(self) -> str:
        """Without what may be secret: user name, path, query, headers and body."""
        return f"Call({self.method} {self.url.partition('://')[0]}://{self.host}, {len(self.body)} bytes)"

    @property
    def host(self) -> str:
        """Whom it calls: host and port, in lower case; empty when the URL names none."""
        place = re.split(r"[/?#\\]", self.url.partition("://")[2], maxsplit=1)[0]
        return place.rpartition("@")[2].lower()


class HttpReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """Bounded: what lies behind the limit is cut off."""
    cut: bool = False
    """The body is not whole: it was longer than the limit, or broke off."""

    @property
    def retry_after_s(self) -> float | None:
        """Seconds to wait, from `Retry-After` (delta or date is resolved by the sender)."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdecimal() else None


class HttpFailure(msgspec.Struct, frozen=True, kw_only=True):
    """No answer. `detail` names the server at most, never the path: there may be a secret in it."""

    kind: Literal["refused", "unsent", "unanswered"]
    """`refused`: not allowed or not a URL, now and later. `unsent`: it never left. `unanswered`: it may have arrived."""
    detail: str


class HttpCaller(Protocol):
    """Makes requests, and reaches no address that the operator did not allow."""

    async def __call__(self, call: HttpRequest, *, until_s: float, limit: int) -> HttpReply | HttpFailure:
        """What was answered until `until_s` on the monotonic clock, at most `limit` bytes of it. Raises nothing. A redirect
        is an answer like any other."""


async def nobody_calls(call: HttpRequest, *, until_s: float, limit: int) -> HttpReply | HttpFailure:
    """Implements `HttpCaller` where there is no network."""
    return HttpFailure(kind="refused", detail="nobody can be called here")
