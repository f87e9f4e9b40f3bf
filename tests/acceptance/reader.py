"""Everything the system shows, read through the API as any operator could."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlencode

from bench.wire import Api
from tests.acceptance.history import ACTIVE, History, Seen, SeenInbox, SeenMessage
from tests.acceptance.setup_data import USERS

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


async def settled(api: Api, history: History, within: float = 180, users: Iterable[str] = USERS) -> Seen:
    """What the system shows, and the inboxes of these users, once every accepted event is planned and every message has ended.

    When that does not happen in time the checker is left to say what is missing.
    """
    expected = sum(len(s.users) * len(s.channels) for s in history.accepted)
    until = time.perf_counter() + within
    while True:
        messages = [_message(m) async for m in pages(api, "/v1/messages")]
        done = len(messages) >= expected and not any(m.status in ACTIVE for m in messages)
        if done or time.perf_counter() > until:
            return await _around(api, messages, users)
        await asyncio.sleep(0.5)


def _message(m: dict[str, Any]) -> SeenMessage:
    return SeenMessage(
        id=m["id"],
        event_id=m["event_id"],
        user=m["user_id"],
        channel=m["channel"],
        status=m["status"],
        reason=m["reason"],
        attempts=m["attempt"],
    )


async def _around(api: Api, messages: list[SeenMessage], users: Iterable[str]) -> Seen:
    seen = Seen(messages=messages)
    async for captured in pages(api, "/v1/captures"):
        seen.captures[captured["message_id"]] += 1
    for user in users:
        counts = await api.get(f"/v1/users/{user}/inbox/counts")
        items = [item["id"] async for item in pages(api, f"/v1/users/{user}/inbox")]
        seen.inboxes[user] = SeenInbox(items=items, unread=counts["unread"], total=counts["total"])
    return seen
