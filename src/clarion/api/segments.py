"""`/v1/segments`: groups of users by condition, which stay up to date by themselves."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post, put

from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, Caller, Parts, names_of
from clarion.api.pages import PAGE, START, Cursor, Limit, Page, page_of_documents
from clarion.api.stored_documents import found, named, patched, shown
from clarion.api.times import text_or_none
from clarion.errors import InvalidInput
from clarion.model.audience import LONGEST_WHERE, Condition, Segment
from clarion.model.ids import UserNo
from clarion.model.user import Value
from clarion.rules.audience import condition
from clarion.rules.expressions import ExpressionError

MOST_SHOWN = 50

Where = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_WHERE)]


class SegmentDocument(Segment, frozen=True, kw_only=True, omit_defaults=False):
    """A segment. Its key is in the path."""

    key: str = ""
    name: str | None = None  # type: ignore[assignment]


class SegmentStatusView(msgspec.Struct, frozen=True, kw_only=True):
    """Its members, and how far users were gone through since its condition changed."""

    members: int
    running: bool
    """Until all users were gone through, members are missing, and events to the segment wait."""
    done: int
    """Users gone through since it began."""
    total: int
    """Users there were then."""
    refreshed_at: str | None
    """When all were gone through last; null: never."""


class SegmentPreviewBody(Value, frozen=True, kw_only=True):
    """What to try."""

    where: Where | None = None
    """A condition to try before it is stored; null: that of the segment. With it, the segment need not exist."""
    limit: Annotated[int, msgspec.Meta(ge=0, le=MOST_SHOWN)] = 10
    """Most users to show."""


class SegmentPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a condition chooses now."""

    count: int
    user_ids: list[str]
    """The newest of them."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a segment."""

    user_id: str


@get("/", opt=READ)
async def list_segments(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SegmentDocument]:
    """All segments by key."""
    stored = parts.ledger.setup.segments.all(caller.tenant)
    return page_of_documents(stored, lambda segment: shown(SegmentDocument, segment), cursor, limit)


@get("/{key:str}", opt=READ)
async def get_segment(key: str, caller: Caller, parts: Parts) -> SegmentDocument:
    """One segment."""
    return shown(SegmentDocument, _found(key, caller, parts))


@put("/{key:str}", opt=ADMIN)
async def put_segment(key: str, data: SegmentDocument, caller: Caller, parts: Parts) -> SegmentDocument:
    """Create or replace a segment. Its members are those for whom `where` is true."""
    return await _store(named(Segment, data, key), None, caller, parts)


@patch("/{key:str}", opt=ADMIN)
async def patch_segment(key: str, data: dict[str, Any], caller: Caller, parts: Parts) -> SegmentDocument:
    """Change some fields (JSON merge patch): null restores the default, and fields that are not named stay."""
    live = _found(key, caller, parts)
    return await _store(named(Segment, patched(shown(SegmentDocument, live), data), key), live, caller, parts)


@delete("/{key:str}", opt=ADMIN)
async def delete_segment(key: str, caller: Caller, parts: Parts) -> None:
    """Delete a segment. The users stay; events that are on their way to it reach nobody more."""
    await parts.services.segments.delete(caller.tenant, key)


@get("/{key:str}/status", opt=READ)
async def get_segment_status(key: str, caller: Caller, parts: Parts) -> SegmentStatusView:
    """How many members it has, and whether all users were gone through."""
    _found(key, caller, parts)
    status = (await parts.services.segments.statuses(caller.tenant, [key]))[key]
    refresh = status.refresh
    return SegmentStatusView(
        members=status.members,
        running=refresh is None or refresh.running,
        done=0 if refresh is None else refresh.done,
        total=0 if refresh is None else refresh.total,
        refreshed_at=None if refresh is None else text_or_none(refresh.refreshed_at),
    )


@post("/{key:str}/preview", opt=READ, status_code=200)
async def preview_segment(
    key: str, caller: Caller, parts: Parts, data: SegmentPreviewBody | None = None
) -> SegmentPreview:
    """How many users a condition chooses now, and some of them. Nothing is stored."""
    asked = data or SegmentPreviewBody()
    where = asked.where or _found(key, caller, parts).where
    wanted = checked(where, caller, parts)
    service = parts.services.segments
    users = await service.search(caller.tenant, wanted, None, asked.limit)
    return SegmentPreview(
        count=await service.count(caller.tenant, wanted), user_ids=[user.id for user in users]
    )


@get("/{key:str}/members", opt=READ)
async def list_members(
    key: str, caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[Member]:
    """The members, in the order they were created in."""
    _found(key, caller, parts)
    numbers = await parts.services.segments.members(caller.tenant, key, UserNo(cursor.after(0)), limit)
    names = await names_of(parts, set(numbers))
    return Page(
        items=[Member(user_id=names[no]) for no in numbers if no in names],
        next_cursor=cursor.to(numbers[-1]) if len(numbers) == limit else None,
    )


def checked(where: str, caller: Identity, parts: ApiParts) -> Condition:
    """The condition of a request. Refuses what cannot be answered, with the place."""
    try:
        return condition(where, parts.ledger.setup.tenants.all()[caller.tenant])
    except ExpressionError as wrong:
        raise InvalidInput(f"{wrong}.", pointer="#/where") from None


def _found(key: str, caller: Identity, parts: ApiParts) -> Segment:
    return found(parts.ledger.setup.segments, caller.tenant, key, "segment")


async def _store(
    sent: Segment, made_from: Segment | None, caller: Identity, parts: ApiParts
) -> SegmentDocument:
    checked(sent.where, caller, parts)
    return shown(SegmentDocument, await parts.services.segments.put(caller.tenant, sent, made_from))


router = Router(
    "/v1/segments",
    route_handlers=[
        list_segments,
        get_segment,
        put_segment,
        patch_segment,
        delete_segment,
        get_segment_status,
        preview_segment,
        list_members,
    ],
    opt=one("segment"),
    tags=["Segments"],
)
