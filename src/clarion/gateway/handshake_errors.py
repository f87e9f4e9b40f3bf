"""Refuses a connection before it is open."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from clarion.gateway.asgi import Event, Send
from clarion.gateway.close_codes import CloseCode

RETRY_AFTER_S = 5

Header = tuple[bytes, bytes]


class HandshakeProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457; with the close code a WebSocket would have got, where there is one."""

    code: str
    title: str
    status: int
    detail: str
    close_code: int = 0


def answer(problem: HandshakeProblem, *headers: Header, prefix: str = "") -> tuple[Event, Event]:
    """The two ASGI events of the HTTP answer; `prefix` is `websocket.` for a refused handshake."""
    body = msgspec.json.encode(problem)
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    start: Event = {
        "type": f"{prefix}http.response.start",
        "status": problem.status,
        "headers": [*own, *headers],
    }
    return start, {"type": f"{prefix}http.response.body", "body": body, "more_body": False}


def response(close: CloseCode, prefix: str = "") -> tuple[Event, Event]:
    """The answer where the connection would be closed with `close`."""
    problem = HandshakeProblem(
        code=close.reason,
        title="The connection was refused",
        status=close.status,
        detail=close.advice,
        close_code=close.code,
    )
    again: list[Header] = [(b"retry-after", b"%d" % RETRY_AFTER_S)] if close.reconnect else []
    return answer(problem, *again, prefix=prefix)


async def refuse(send: Send, close: CloseCode, prefix: str = "", also: Sequence[Header] = ()) -> None:
    """Answer with the status of `close`."""
    start, body = response(close, prefix)
    start["headers"] += also
    await send(start)
    await send(body)
