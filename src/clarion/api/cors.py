"""CORS: lets web pages of allowed origins read the routes that accept user tokens."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute

from clarion.api.responses import Header, HttpScope, Send
from clarion.rules.origins import Origins
from clarion.rules.paths import Segments

SENT = b"authorization, content-type, idempotency-key, if-match, if-none-match, traceparent"
"""Headers that a page may send."""
READ = b"etag, idempotency-replayed, retry-after, location"
"""And those it may read."""
REMEMBERED_S = 600


class Cors:
    """Asked for every request that names an origin."""

    def __init__(self, router: Litestar, origins: Origins) -> None:
        self._origins = origins
        self._open = [
            (tuple(part if isinstance(part, str) else "*" for part in route.path_components), route)
            for route in router.routes
            if isinstance(route, HTTPRoute) and _methods(route)
        ]

    def headers(self, segments: Segments, scope: HttpScope, headers: Mapping[bytes, bytes]) -> list[Header]:
        """What lets the page of this request read its answer; nothing where it may not."""
        origin = headers[b"origin"].decode("latin-1")
        if not self._origins.allows(origin, headers.get(b"host", b"").decode("latin-1")):
            return []
        asked = headers.get(b"access-control-request-method", scope["method"].encode()).decode("latin-1")
        for path, route in self._open:
            if _fits(path, segments) and asked in (methods := _methods(route)):
                return [
                    (b"access-control-allow-origin", headers[b"origin"]),
                    (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
                    (b"access-control-allow-headers", SENT),
                    (b"access-control-expose-headers", READ),
                    (b"access-control-max-age", b"%d" % REMEMBERED_S),
                    (b"vary", b"origin"),
                ]
        return []


def is_preflight(scope: HttpScope, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks beforehand, without a credential."""
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


def with_headers(send: Send, more: list[Header]) -> Send:
    """Adds `more` to the answer, whatever it will be."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return sending


def _methods(route: HTTPRoute) -> set[str]:
    """Those that a user's own token opens."""
    return {method for one in route.route_handlers if one.opt.get("own") for method in one.http_methods}


def _fits(path: Segments, segments: Segments) -> bool:
    return len(path) == len(segments) and all(
        part in ("*", given) for part, given in zip(path, segments, strict=True)
    )
