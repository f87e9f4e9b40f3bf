"""One HTTP request, as far as the pages need it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LONGEST_BODY = 256 * 1024


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""

    def form(self) -> Mapping[str, list[str]]:
        """The fields of a posted form."""
        return parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def cookie(self, name: str) -> str:
        """The value of a cookie, or nothing."""
        for pair in self.headers.get("cookie", "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value
        return ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    status: int = 200
    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = {}

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """The same answer, saying more."""
        return msgspec.structs.replace(self, headers={**self.headers, **headers})


def head(scope: Scope) -> PageRequest:
    """The request without its body."""
    headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return PageRequest(
        method="GET" if scope["method"] == "HEAD" else scope["method"],
        path=scope["path"],
        headers=headers,
        query={name: values[-1] for name, values in query.items()},
    )


async def whole(request: PageRequest, receive: Receive) -> PageRequest | None:
    """The request with its body; None when that is larger than these pages ever send."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LONGEST_BODY:
            return None
        if not message.get("more_body"):
            return msgspec.structs.replace(request, body=bytes(body))


async def answer(send: Send, response: Response, *, head: bool = False) -> None:
    """Send `response`; for HEAD without its body."""
    headers = {
        "content-type": response.type,
        "content-length": str(len(response.body)),
        **response.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": b"" if head else response.body})
