"""Answers for a part that this process has no role for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from clarion.api.problems import MEDIA_TYPE, problem, refuse
from clarion.model.worker import Role

Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

REJECTION = "websocket.http.response"


def elsewhere(role: Role) -> Asgi:
    """An application that says of every request that another process answers it."""
    refused = problem(
        refuse(
            "misdirected_request",
            f"This process does not have the role `{role}`. Send the request to one that does; "
            "`clarion cluster` lists them.",
        )
    )
    body = msgspec.json.encode(refused)
    headers = [(b"content-type", MEDIA_TYPE), (b"content-length", b"%d" % len(body))]

    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        prefix = ""
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
            if REJECTION not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
                return
            prefix = "websocket."
        await send({"type": f"{prefix}http.response.start", "status": refused.status, "headers": headers})
        await send({"type": f"{prefix}http.response.body", "body": body})

    return answer
