"""Sends answers directly over ASGI, for routes without the framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from clarion.api.problems import MEDIA_TYPE, headers_of, problem
from clarion.errors import ClarionError

HttpScope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

SAFE: list[Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]
"""On every answer: no guessing of types, no copies in caches, no addresses passed on."""
JSON: list[Header] = [(b"content-type", b"application/json"), *SAFE]


async def answer(
    send: Send, status: int, body: bytes, *extra: Header, media_type: bytes = b"application/json"
) -> None:
    """An answer with a body, JSON unless `media_type` says otherwise."""
    headers = [(b"content-type", media_type), *SAFE, (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_problem(send: Send, error: ClarionError, incident: str = "") -> None:
    """An error answer from the catalogue."""
    shown = problem(error, incident)
    body = msgspec.json.encode(shown)
    await answer(send, shown.status, body, *headers_of(error), media_type=MEDIA_TYPE)
