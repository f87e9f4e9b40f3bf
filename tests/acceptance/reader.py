"""Everything the system shows, read through the API as any operator could."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlencode

from bench.wire import Api
from tests.acceptance.history import ACTIVE, Seen, SeenInbox, SeenMessage

PAGE = 200


async def pages(api: Api, path: str, **where: Any) -> AsyncIterator[dict[str, Any]]:
    """Every item of a paged list."""
    cursor: str | None = None
    while True:
        query = urlencode({"limit": PAGE, **where, **({"cursor": cursor} if cursor else {})})
        page = await api.get(f"{path}?{query}")
        for item in page["items"]:
            yield item
        cursor = page.get("next_cursor")
        if not cursor:
            return


async def drained(api: Api, within: float = 60) -> None:
    """Wait until no message is on its way any more."""
    until = time.perf_counter() + within
    while True:
        left = [m async for status in _each(ACTIVE) async for m in pages(api, "/v1/messages", status=status)]
        if not left and not await waiting(api):
            return
        if time.perf_counter() > until:
            raise TimeoutError(f"{len(left)} messages are not done after {within} s, for one {left[:1]}")
        await asyncio.sleep(0.1)


async def _each(values: Iterable[str]) -> AsyncIterator[str]:
    for value in values:
        yield value


async def waiting(api: Api) -> int:
    """Accepted events that are not planned yet."""
    raise NotImplementedError


async def everything(api: Api, users: Iterable[str]) -> Seen:
    """All messages and captures, and the inboxes of `users`."""
    seen = Seen()
    async for m in pages(api, "/v1/messages"):
        seen.messages.append(
            SeenMessage(
                id=m["id"],
                event_id=m["event_id"],
                user=m["user_id"],
                channel=m["channel"],
                status=m["status"],
                reason=m.get("reason"),
                attempts=m.get("attempt", 0),
            )
        )
    async for captured in pages(api, "/v1/captures"):
        seen.captures[captured["message_id"]] += 1
    for user in users:
        counts = await api.get(f"/v1/users/{user}/inbox/counts")
        items = [item["id"] async for item in pages(api, f"/v1/users/{user}/inbox")]
        seen.inboxes[user] = SeenInbox(items=items, unread=counts["unread"], total=counts["total"])
    return seen
