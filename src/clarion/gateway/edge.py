"""The gateway as the composition root and the server see it."""

from __future__ import annotations

from collections.abc import Mapping

from clarion.gateway.asgi import Event, Receive, Scope, Send
from clarion.gateway.authentication import DeviceAuthenticator
from clarion.gateway.dependencies import GatewayParts
from clarion.gateway.handshake_errors import HandshakeProblem, answer
from clarion.gateway.hub import Hub
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
        door = DeviceAuthenticator(parts.users, parts.tokens, parts.origins)
        self._websockets = WebSockets(door, self._hub)
        self._streams = EventStreams(door, self._hub)

    def start(self) -> None:
        """Begin to follow the fan-out, on the running loop."""
        self._hub.start()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Refuse newcomers, tell everybody connected to reconnect, wait until they are gone or time is up."""
        await self._hub.close(timeout_s)

    def health(self) -> Mapping[str, str]:
        """Part to `ok`, or what keeps it from working."""
        return self._hub.health()

    def stats(self) -> Mapping[str, float]:
        """`connections` and `users` now; `frames`, `recovered`, `full` and `closed_<reason>` so far."""
        return self._hub.stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] == WS_PATH:
            await self._websockets.serve(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == SSE_PATH and _is_for_a_stream(scope):
            await self._streams.serve(scope, receive, send)
        elif scope["type"] == "http":
            for event in _misdirected(scope):
                await send(event)
        else:
            await send({"type": "websocket.close", "code": 1008})


def _is_for_a_stream(scope: Scope) -> bool:
    """Whether it opens one, or a page asks beforehand whether it may."""
    if scope["method"] == "OPTIONS":
        return any(name == b"origin" for name, _ in scope["headers"])
    return bool(scope["method"] == "GET")


def _misdirected(scope: Scope) -> tuple[Event, Event]:
    """What to answer a request that opens no inbox."""
    if scope["path"] == SSE_PATH:
        wrong = HandshakeProblem(
            code="method_not_allowed",
            title="The method is not allowed here",
            status=405,
            detail="Use GET. To mark items, use POST /v1/users/{user_id}/inbox/mark.",
        )
        return answer(wrong, (b"allow", b"GET"))
    if scope["path"] == WS_PATH:
        plain = HandshakeProblem(
            code="upgrade_required",
            title="This is a WebSocket",
            status=426,
            detail=f"Open it as a WebSocket (ws:// or wss://), or follow the inbox with GET {SSE_PATH}.",
        )
        return answer(plain, (b"upgrade", b"websocket"), (b"connection", b"upgrade"))
    return answer(
        HandshakeProblem(
            code="not_found",
            title="Not found",
            status=404,
            detail=f"There is no route {scope['path']}.",
        )
    )


def create(parts: GatewayParts) -> Gateway:
    """The gateway of `parts`; nothing runs before `start`."""
    return Gateway(parts)
