"""`/v1/dead-letters/events`: accepted events that could not be planned, and planning them again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, delete, get, post

from clarion.api.conditions import RECORD
from clarion.api.guards import ADMIN, FOR_GOOD, READ, SEND, Caller, Parts
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.errors import InvalidInput, NotFound
from clarion.model.channel import Lane
from clarion.model.event import SetAside
from clarion.model.ids import id_text
from clarion.model.status import Reason
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339

MOST_RETRIED = 1_000


class SetAsideEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted event that could not be planned, so it has no messages."""

    id: str
    event_id: str
    workflow: str | None
    lane: Lane
    reason: Reason
    """`unreadable` or `internal_error`."""
    detail: str
    """The kind of the error. The log has the details."""
    created_at: str


class EventsRetry(Value, frozen=True, kw_only=True):
    """Either `ids` or `all`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_RETRIED)] | None = None
    all: bool = False
    """The newest 1,000; repeat while `retried` reaches that."""


class EventsRetried(msgspec.Struct, frozen=True, kw_only=True):
    """How many were put back into their lanes."""

    retried: int


@get("/", opt=READ)
async def list_set_aside_events(
    caller: Caller, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[SetAsideEvent]:
    """Events that could not be planned after several attempts, newest first."""
    found = await parts.ledger.set_aside.page(caller.tenant, cursor.after(0) or None, limit)
    return Page(
        items=[_view(one) for one in found],
        next_cursor=cursor.to(found[-1].seq) if len(found) == limit else None,
    )


@get("/{event:str}", opt=READ | RECORD)
async def get_set_aside_event(event: str, caller: Caller, parts: Parts) -> SetAsideEvent:
    """One event that could not be planned."""
    number = _number(event)
    for one in await parts.ledger.set_aside.page(caller.tenant, number + 1, 1):
        if one.seq == number:
            return _view(one)
    raise _missing(event)


@post("/retry", opt=SEND | FOR_GOOD, status_code=200)
async def retry_set_aside_events(data: EventsRetry, caller: Caller, parts: Parts) -> EventsRetried:
    """Plan these events again, after the events that wait in their lanes. Messages that were already sent are not sent again."""
    if (data.ids is None) == (not data.all):
        raise InvalidInput('Send either `ids` or `{"all": true}`.', pointer="#")
    if data.ids is None:
        numbers = [one.seq for one in await parts.ledger.set_aside.page(caller.tenant, None, MOST_RETRIED)]
    else:
        numbers = [_number(text) for text in data.ids]
    return EventsRetried(retried=await parts.services.set_aside_events.plan_again(caller.tenant, numbers))


@delete("/{event:str}", opt=ADMIN)
async def delete_set_aside_event(event: str, caller: Caller, parts: Parts) -> None:
    """Discard the event: nothing is sent, and it leaves the list."""
    if not await parts.services.set_aside_events.discard(caller.tenant, _number(event)):
        raise _missing(event)


def _view(one: SetAside) -> SetAsideEvent:
    return SetAsideEvent(
        id=str(one.seq),
        event_id=id_text(one.event_id),
        workflow=one.workflow or None,
        lane=one.lane,
        reason=one.reason,
        detail=one.detail,
        created_at=rfc3339(one.at),
    )


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _missing(text)
    return int(text)


def _missing(text: str) -> NotFound:
    return NotFound(f"There is no event {text!r} that could not be planned: it was retried or discarded.")


router = Router(
    "/v1/dead-letters/events",
    route_handlers=[
        list_set_aside_events,
        get_set_aside_event,
        retry_set_aside_events,
        delete_set_aside_event,
    ],
    tags=["Events"],
)
