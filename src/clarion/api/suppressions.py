"""`/v1/suppressions`: addresses that must not be used again. Only their keyed hashes are kept."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, delete, get, post

from clarion.api.access import READ, SEND, Parts, Who
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import wrong_parameter
from clarion.errors import NotFound
from clarion.model.channel import Channel
from clarion.model.user import Value
from clarion.ports.ledger import Suppression
from clarion.ports.vault import contact_hash
from clarion.rules import people
from clarion.rules.instants import rfc3339


class SuppressionBody(Value, frozen=True, kw_only=True):
    """An address that must not be used."""

    channel: Channel
    address: str
    reason: Annotated[str, msgspec.Meta(max_length=100)] = "by_caller"
    """Why, in your words: `unsubscribed_by_phone`, `legal`, ..."""


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """A suppression. The address itself is not kept."""

    id: str
    """The address's keyed hash; the same as the id of the contact that has it."""
    channel: Channel
    reason: str
    at: str


@get("/", opt=READ)
async def list_suppressions(
    caller: Who, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SuppressionView]:
    """All suppressions."""
    found = await parts.ledger.suppressions.page(caller.tenant, cursor.after(b""), limit)
    return Page(
        items=[view(one) for one in found],
        next_cursor=cursor.to(found[-1].hash) if len(found) == limit else None,
    )


@post("/", opt=SEND)
async def add_suppression(data: SuppressionBody, caller: Who, parts: Parts) -> SuppressionView:
    """Suppress an address: no attempt that starts after this uses it, whoever has it."""
    people.check_address(data.channel, data.address, "#/address")
    row = Suppression(
        tenant=caller.tenant,
        channel=data.channel,
        hash=contact_hash(parts.vault, caller.tenant, data.channel, data.address),
        reason=data.reason,
        at=parts.clock.now(),
    )
    await parts.ledger.suppressions.add([row])
    return view(row)


@delete("/{channel:str}/{suppression_id:str}", opt=SEND)
async def remove_suppression(channel: str, suppression_id: str, caller: Who, parts: Parts) -> None:
    """Allow an address again: only with its owner's consent."""
    try:
        on, hashed = Channel(channel), bytes.fromhex(suppression_id)
    except ValueError:
        raise wrong_parameter(
            "suppression_id", "take channel and id from the list of suppressions or of the user's contacts."
        ) from None
    if not await parts.ledger.suppressions.remove(caller.tenant, on, hashed):
        raise NotFound(f"There is no suppression {suppression_id} on {channel}.")


def view(one: Suppression) -> SuppressionView:
    """A suppression as callers see it."""
    return SuppressionView(id=one.hash.hex(), channel=one.channel, reason=one.reason, at=rfc3339(one.at))


router = Router(
    "/v1/suppressions",
    route_handlers=[list_suppressions, add_suppression, remove_suppression],
    tags=["Users"],
)
