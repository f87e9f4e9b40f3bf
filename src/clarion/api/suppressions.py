"""`/v1/suppressions`: addresses that must not be used again. Only their keyed hashes are kept."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.params import Parameter

from clarion.api import request_bodies, suppression_rows
from clarion.api.auth import Identity
from clarion.api.bulk import BulkView, answered
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, SEND, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.problems import refuse
from clarion.api.times import Moment, instant_of, instant_or_none, text_or_none
from clarion.errors import ClarionError, InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.suppression import Suppression, SuppressionFilter
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339

HASH_BYTES = 16


class AddressBody(Value, frozen=True, kw_only=True):
    """An address on a channel."""

    channel: Channel
    address: str


class SuppressionBody(AddressBody, frozen=True, kw_only=True):
    """An address that must not be used."""

    reason: Annotated[str, msgspec.Meta(max_length=100)] = "by_caller"
    """Why, in your words: `unsubscribed_by_phone`, `legal`, ..."""
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "api"
    """Where you have it from, in your words: `crm`, `robinson_list`, ..."""
    expires_at: Moment | None = None
    """Until when; null: for good."""


class SuppressionLine(SuppressionBody, frozen=True, kw_only=True):
    """An address that must not be used, or the `id` of one that was exported from this installation."""

    address: str | None = None  # type: ignore[assignment]
    id: str | None = None
    """In place of `address`."""


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """A suppression. The address itself is not kept."""

    id: str
    """A keyed hash of the address: the same as the id of a contact with this address."""
    channel: Channel
    reason: str
    source: str | None
    """`provider`, `reply`, or the word of whoever added it. Null: Clarion itself."""
    expires_at: str | None
    """Null: for good. It is lifted within a minute after this time."""
    created_at: str


@get("/", opt=READ)
async def list_suppressions(
    caller: Caller,
    parts: Parts,
    channel: Annotated[Channel | None, Parameter(description="Only on this channel")] = None,
    reason: Annotated[str | None, Parameter(description="Only for this reason")] = None,
    source: Annotated[str | None, Parameter(description="Only from this source")] = None,
    since: Annotated[str | None, Parameter(description="Added at or after this time")] = None,
    until: Annotated[str | None, Parameter(description="Added before this time")] = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[SuppressionView]:
    """All suppressions, newest first."""
    where = SuppressionFilter(
        channel=channel,
        reason=reason,
        source=source,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    before = _place(cursor.after(b"")) if cursor else None
    found = await parts.ledger.suppressions.page(caller.tenant, where, before, limit)
    following = cursor.to(_position(found[-1])) if len(found) == limit else None
    return Page(items=[view(one) for one in found], next_cursor=following)


@get("/{suppression_id:str}", opt=READ | one("suppression", "suppression_id"))
async def get_suppression(suppression_id: str, caller: Caller, parts: Parts) -> SuppressionView:
    """One suppression."""
    return view(await _found(parts, caller, suppression_id))


@post("/", opt=SEND)
async def add_suppression(data: SuppressionBody, caller: Caller, parts: Parts) -> SuppressionView:
    """Suppress an address, for every user who has it. No attempt that starts after this call uses it. An address that is suppressed
    already keeps its suppression, unless that ends earlier."""
    row = _suppression(parts, caller, data)
    await parts.services.suppressions.add([row])
    return view(await parts.ledger.suppressions.find(caller.tenant, row.hash) or row)


@post("/bulk", opt={**SEND, "ndjson": SuppressionLine}, status_code=200)
async def add_suppressions(request: Request[Any, Any, Any], caller: Caller, parts: Parts) -> BulkView:
    """Suppress many addresses: NDJSON, one a line, or CSV (`Content-Type: text/csv`) whose first line names the columns `channel`,
    `address` (or `id`), `reason`, `source`, `expires_at`. A wrong line does not stop the others."""
    body = await request.body()
    lines = suppression_rows.read(body) if suppression_rows.is_csv(request.headers) else _lines(body)
    if len(lines) > parts.limits.batch:
        raise refuse("batch_too_large", f"One call takes at most {parts.limits.batch:,} addresses.")
    rows: dict[int, Suppression] = {}
    errors: dict[int, ClarionError] = {}
    for index, line in enumerate(lines):
        try:
            request_bodies.check_depth(line, parts.limits.depth)
            rows[index] = _suppression(parts, caller, request_bodies.decode(_LINE, line))
        except ClarionError as wrong:
            errors[index] = wrong
    await parts.services.suppressions.add([*rows.values()])
    return answered(len(lines), errors, {index: row.hash.hex() for index, row in rows.items()})


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line and not line.isspace()]


@post("/search", opt=READ, status_code=200)
async def search_suppressions(data: AddressBody, caller: Caller, parts: Parts) -> Page[SuppressionView]:
    """Whether an address is suppressed, in any spelling. The address is not part of a URL."""
    hashed = parts.services.suppressions.hash_of(caller.tenant, data.channel, data.address)
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
        id=one.hash.hex(),
        channel=one.channel,
        reason=one.reason,
        source=one.source or None,
        expires_at=text_or_none(one.expires_at),
        created_at=rfc3339(one.at),
    )


def _suppression(parts: ApiParts, caller: Identity, body: SuppressionBody | SuppressionLine) -> Suppression:
    now, expires_at = parts.clock.now(), instant_or_none(body.expires_at)
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("`expires_at` is over already.", pointer="#/expires_at")
    return Suppression(
        tenant=caller.tenant,
        channel=body.channel,
        hash=_hash(parts, caller, body),
        reason=body.reason,
        source=body.source,
        at=now,
        expires_at=expires_at,
    )


def _hash(parts: ApiParts, caller: Identity, body: SuppressionBody | SuppressionLine) -> bytes:
    named = body.id if isinstance(body, SuppressionLine) else None
    if (body.address is None) == (named is None):
        raise InvalidInput("name one of `address` and `id`.", pointer="#")
    if body.address is not None:
        return parts.services.suppressions.hash_of(caller.tenant, body.channel, body.address)
    try:
        hashed = bytes.fromhex(named or "")
    except ValueError:
        hashed = b""
    if len(hashed) != HASH_BYTES:
        raise InvalidInput("an id is the 32 digits that the list shows.", pointer="#/id")
    return hashed


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


_LINE = msgspec.json.Decoder(SuppressionLine)

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
