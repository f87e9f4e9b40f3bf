"""`/v1/suppressions`: addresses that must not be used again. Only their keyed hashes are kept."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post

from clarion.api import request_bodies
from clarion.api.auth import Identity
from clarion.api.bulk import BulkView, answered
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import refuse
from clarion.errors import ClarionError, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.suppression import Suppression
from clarion.model.user import Value
from clarion.ports.vault import contact_hash
from clarion.rules import validation
from clarion.rules.time_format import rfc3339


class AddressBody(Value, frozen=True, kw_only=True):
    """An address on a channel."""

    channel: Channel
    address: str


class SuppressionBody(AddressBody, frozen=True, kw_only=True):
    """An address that must not be used."""

    reason: Annotated[str, msgspec.Meta(max_length=100)] = "by_caller"
    """Why, in your words: `unsubscribed_by_phone`, `legal`, ..."""


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """A suppression. The address itself is not kept."""

    id: str
    """A keyed hash of the address: the same as the id of a contact with this address."""
    channel: Channel
    reason: str
    created_at: str


@get("/", opt=READ)
async def list_suppressions(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SuppressionView]:
    """All suppressions, newest first."""
    before = _place(cursor.after(b"")) if cursor else None
    found = await parts.ledger.suppressions.page(caller.tenant, before, limit)
    following = cursor.to(_position(found[-1])) if len(found) == limit else None
    return Page(items=[view(one) for one in found], next_cursor=following)


@get("/{suppression_id:str}", opt=READ | one("suppression", "suppression_id"))
async def get_suppression(suppression_id: str, caller: Caller, parts: Parts) -> SuppressionView:
    """One suppression."""
    return view(await _found(parts, caller, suppression_id))


@post("/", opt=SEND)
async def add_suppression(data: SuppressionBody, caller: Caller, parts: Parts) -> SuppressionView:
    """Suppress an address, for every user who has it. No attempt that starts after this call uses it."""
    row = _suppression(parts, caller, data)
    await parts.services.suppressions.add([row])
    return view(row)


@post("/bulk", opt={**SEND, "ndjson": SuppressionBody}, status_code=200)
async def add_suppressions(request: Request[Any, Any, Any], caller: Caller, parts: Parts) -> BulkView:
    """Suppress many addresses: NDJSON, one a line. A wrong line does not stop the others."""
    lines = [line for line in (await request.body()).split(b"\n") if line and not line.isspace()]
    if len(lines) > parts.limits.batch:
        raise refuse("batch_too_large", f"One call takes at most {parts.limits.batch:,} addresses.")
    rows: dict[int, Suppression] = {}
    errors: dict[int, ClarionError] = {}
    for index, line in enumerate(lines):
        try:
            request_bodies.check_depth(line, parts.limits.depth)
            rows[index] = _suppression(parts, caller, request_bodies.decode(_BODY, line))
        except ClarionError as wrong:
            errors[index] = wrong
    await parts.services.suppressions.add([*rows.values()])
    return answered(len(lines), errors, {index: row.hash.hex() for index, row in rows.items()})


@post("/search", opt=READ, status_code=200)
async def search_suppressions(data: AddressBody, caller: Caller, parts: Parts) -> Page[SuppressionView]:
    """Whether an address is suppressed, in any spelling. The address is not part of a URL."""
    validation.check_address(data.channel, data.address, "#/address")
    hashed = contact_hash(parts.vault, caller.tenant, data.channel, data.address)
    found = await parts.ledger.suppressions.find(caller.tenant, hashed)
    return Page(items=[view(found)] if found is not None else [])


@delete("/{suppression_id:str}", opt=SEND | one("suppression", "suppression_id"))
async def remove_suppression(suppression_id: str, caller: Caller, parts: Parts) -> None:
    """Allow an address again. Do this only with its owner's consent."""
    found = await _found(parts, caller, suppression_id)
    if not await parts.services.suppressions.remove(found):
        raise _missing(suppression_id)


def view(one: Suppression) -> SuppressionView:
    """A suppression as callers see it."""
    return SuppressionView(
        id=one.hash.hex(), channel=one.channel, reason=one.reason, created_at=rfc3339(one.at)
    )


def _suppression(parts: ApiParts, caller: Identity, body: SuppressionBody) -> Suppression:
    return parts.services.suppressions.of(caller.tenant, body.channel, body.address, body.reason)


async def _found(parts: ApiParts, caller: Identity, suppression_id: str) -> Suppression:
    try:
        hashed = bytes.fromhex(suppression_id)
    except ValueError:
        raise _missing(suppression_id) from None
    found = await parts.ledger.suppressions.find(caller.tenant, hashed)
    if found is None:
        raise _missing(suppression_id)
    return found


def _missing(suppression_id: str) -> NotFound:
    return NotFound(
        f"There is no suppression {suppression_id!r}: take the id from the list, from the user's contacts, or find "
        "it by its address with POST /v1/suppressions/search."
    )


def _position(one: Suppression) -> bytes:
    return one.at.to_bytes(8, "big") + one.hash


def _place(position: bytes) -> tuple[Instant, bytes]:
    return Instant(int.from_bytes(position[:8], "big", signed=True)), position[8:]


_BODY = msgspec.json.Decoder(SuppressionBody)

router = Router(
    "/v1/suppressions",
    route_handlers=[
        list_suppressions,
        get_suppression,
        add_suppression,
        add_suppressions,
        search_suppressions,
        remove_suppression,
    ],
    tags=["Users"],
)
