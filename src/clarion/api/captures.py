"""`/v1/captures`: messages that were captured instead of sent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from litestar import Router, get

from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, Caller, Parts
from clarion.api.messages import ByChannel, ByUser, Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import several
from clarion.api.times import instant_of
from clarion.errors import SealBroken
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.inbox import Captured, CaptureFilter
from clarion.model.user import User
from clarion.rules.time_format import rfc3339


class CaptureView(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider would have received."""

    message_id: str
    user_id: str
    channel: Channel
    integration: str
    created_at: str
    to: Any
    content: dict[str, Any]


class _Kept(msgspec.Struct):
    content: dict[str, Any]
    to: Any = None


@get("/", opt=READ)
async def list_captures(
    caller: Caller,
    parts: Parts,
    user_id: ByUser = None,
    channel: ByChannel = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[CaptureView]:
    """Captured messages, newest first, with address and content."""
    where = CaptureFilter(
        channels=frozenset(map(Channel, several(channel))),
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    if user_id is not None:
        found = await parts.ledger.users.find(caller.tenant, [user_id])
        if user_id not in found:
            return Page(items=[])
        where = msgspec.structs.replace(where, user=found[user_id].no)
    kept = await parts.ledger.captures.page(caller.tenant, where, cursor.after(0) or None, limit)
    return Page(
        items=await opened(parts, kept), next_cursor=cursor.to(kept[-1].seq) if len(kept) == limit else None
    )


async def opened(parts: ApiParts, kept: Sequence[Captured]) -> list[CaptureView]:
    """Captures in the clear; those of deleted users are gone for good, and what is damaged is left out."""
    users = await parts.ledger.users.get(list({one.user for one in kept}))
    found = []
    for one in kept:
        with suppress(SealBroken, msgspec.DecodeError):
            if one.user in users:
                found.append(view(one, users[one.user], parts))
    return found


def view(one: Captured, user: User, parts: ApiParts) -> CaptureView:
    """A capture, opened."""
    inside = _KEPT.decode(parts.vault.open(user.key, one.sealed))
    return CaptureView(
        message_id=id_text(one.message_id),
        user_id=user.id,
        channel=one.channel,
        integration=one.integration,
        created_at=rfc3339(one.at),
        to=inside.to,
        content=inside.content,
    )


_KEPT = msgspec.json.Decoder(_Kept)

router = Router("/v1/captures", route_handlers=[list_captures], tags=["Messages"])
