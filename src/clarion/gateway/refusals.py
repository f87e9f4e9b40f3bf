"""Refusing a connection before it is one."""

from __future__ import annotations

import msgspec

from clarion.gateway.asgi import Event, Send
from clarion.gateway.closes import Close

RETRY_AFTER_S = 5


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457, with the close code a WebSocket would have got."""

    code: str
    title: str
    status: int
    detail: str
    close_code: int


def response(close: Close, prefix: str = "") -> tuple[Event, Event]:
    """The two ASGI events of the HTTP answer; `prefix` is `websocket.` for a refused handshake."""
    body = msgspec.json.encode(
        Problem(
            code=close.reason,
            title="The connection was refused",
            status=close.status,
            detail=close.advice,
            close_code=close.code,
        )
    )
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    if close.reconnect:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    start: Event = {"type": f"{prefix}http.response.start", "status": close.status, "headers": headers}
    return start, {"type": f"{prefix}http.response.body", "body": body, "more_body": False}


async def refuse(send: Send, close: Close, prefix: str = "") -> None:
    """Answer with the status of `close`."""
    for event in response(close, prefix):
        await send(event)
