"""`/v1/callbacks/{integration}/{token}`: what providers report. The URL names the integration, its signature proves the rest."""

from __future__ import annotations

from clarion.api import request_bodies
from clarion.api.dependencies import ApiParts
from clarion.api.problems import MethodNotAllowed, Nowhere
from clarion.api.responses import HttpScope, Send, answer
from clarion.rules.paths import sent_path
from clarion.services.callbacks import MOST_BYTES


class CallbackRoute:
    """Hands a callback to its service."""

    def __init__(self, parts: ApiParts) -> None:
        self._callbacks = parts.services.callbacks

    async def __call__(
        self, place: str, scope: HttpScope, receive: request_bodies.Receive, send: Send
    ) -> None:
        """Answer as the provider expects it; everything is durable by then. The body is read for a known URL only."""
        integration, _, token = place.partition("/")
        if not token or "/" in token:
            raise Nowhere(sent_path(scope))
        target = self._callbacks.target(integration, token)
        if scope["method"] not in target.callbacks.methods:
            raise MethodNotAllowed(sorted(target.callbacks.methods))
        body = await request_bodies.read(receive, dict(scope["headers"]), MOST_BYTES)
        said = await self._callbacks.take(
            target, scope["method"], scope["query_string"].decode("latin-1"), _headers(scope), body
        )
        await answer(send, said.status, said.body, media_type=said.media_type.encode())


def _headers(scope: HttpScope) -> dict[str, str]:
    """By name in lower case; of a repeated one all values."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
