"""The gateway as the composition root and the server see it."""

from __future__ import annotations

from collections.abc import Mapping

from clarion.gateway.asgi import Receive, Scope, Send
from clarion.gateway.door import Door
from clarion.gateway.hub import Hub
from clarion.gateway.parts import GatewayParts
from clarion.gateway.sse import EventStreams
from clarion.gateway.ws import WebSockets

WS_PATH = "/v1/inbox/ws"
SSE_PATH = "/v1/inbox/sse"


class Gateway:
    """An ASGI application for `WS_PATH` and `SSE_PATH`. Call `start` before the first connection, `close` before
    the server itself stops: servers cut what is open without a code that says "come back".
    """

    def __init__(self, parts: GatewayParts) -> None:
        self._hub = Hub(parts)
        door = Door(parts.users, parts.tokens, parts.allowed_origins)
        self._websockets = WebSockets(door, self._hub)
        self._streams = EventStreams(door, self._hub)

    def start(self) -> None:
        """Begin to follow the fan-out, on the running loop."""
        self._hub.start()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Refuse newcomers, tell everybody connected to reconnect, wait until they are gone or time is up."""
        await self._hub.close(timeout_s)

    def stats(self) -> Mapping[str, float]:
        """`connections` and `users` now; `frames`, `recovered`, `full` and `closed_<reason>` so far."""
        return self._hub.stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] == WS_PATH:
            await self._websockets.serve(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == SSE_PATH and scope["method"] == "GET":
            await self._streams.serve(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(send, *_misdirected(scope))
        else:
            await send({"type": "websocket.close", "code": 1008})


def _misdirected(scope: Scope) -> tuple[int, list[tuple[bytes, bytes]]]:
    if scope["path"] == SSE_PATH:
        return 405, [(b"allow", b"GET")]
    if scope["path"] == WS_PATH:
        return 426, [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    return 404, []


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, (b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


def create(parts: GatewayParts) -> Gateway:
    """The gateway of `parts`; nothing runs before `start`."""
    return Gateway(parts)
