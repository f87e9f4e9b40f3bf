"""`/v1/dead-letters`: messages whose every allowed attempt failed, and sending them again."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get, post

from clarion.api.access import READ, SEND, Parts, Who
from clarion.api.messages import (
    ByUser,
    MessageDetail,
    MessageView,
    Since,
    Until,
    detail_of,
    narrowed,
    page_of,
    the_message,
)
from clarion.api.pages import PAGE, Cursor, Limit, Page
from clarion.api.times import Moment, instant_of, instant_or_none
from clarion.errors import InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, parse_id
from clarion.model.status import Reason, Status
from clarion.model.user import Value
from clarion.ports.ledger import MessageFilter

MOST_REDRIVEN = 10_000


class DeadLetterFilter(Value, frozen=True, kw_only=True):
    """Which dead letters; `{}` means all of them."""

    user_id: str | None = None
    workflow: str | None = None
    channel: Channel | None = None
    reason: Reason | None = None
    since: Moment | None = None
    until: Moment | None = None


class RedriveBody(Value, frozen=True, kw_only=True):
    """Either `ids` or `filter`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] | None = None
    filter: DeadLetterFilter | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_REDRIVEN)] = 1_000
    """At most this many in one call; repeat while `redriven` reaches it."""


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many were put back with fresh attempts."""

    redriven: int


@get("/", opt=READ)
async def list_dead_letters(
    caller: Who,
    parts: Parts,
    user: ByUser = None,
    workflow: str | None = None,
    channel: Channel | None = None,
    reason: Reason | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Page[MessageView]:
    """Dead letters, newest first."""
    where = MessageFilter(
        workflow=workflow,
        channel=channel,
        status=Status.DEAD_LETTERED,
        reason=reason,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    of_user = await narrowed(parts, caller, where, user)
    return Page(items=[]) if of_user is None else await page_of(parts, caller, of_user, cursor, limit)


@get("/{message_id:str}", opt=READ)
async def get_dead_letter(message_id: str, caller: Who, parts: Parts) -> MessageDetail:
    """One dead letter with every attempt that failed."""
    message = await the_message(parts, caller, message_id)
    if message.status is not Status.DEAD_LETTERED:
        raise NotFound(f"The message {message_id} is no dead letter: it is {message.status}.")
    return await detail_of(parts, caller, message)


@post("/redrive", opt=SEND, status_code=200)
async def redrive(data: RedriveBody, caller: Who, parts: Parts) -> Redriven:
    """Put dead letters back with fresh attempts, one by one or all that match."""
    if (data.ids is None) == (data.filter is None):
        raise InvalidInput('Send either `ids` or `filter` (`{"filter": {}}` means all of them).', pointer="#")
    ids = None if data.ids is None else [_id(text, index) for index, text in enumerate(data.ids)]
    chosen = data.filter or DeadLetterFilter()
    where = MessageFilter(
        workflow=chosen.workflow,
        channel=chosen.channel,
        status=Status.DEAD_LETTERED,
        reason=chosen.reason,
        since=instant_or_none(chosen.since),
        before=instant_or_none(chosen.until),
    )
    of_user = await narrowed(parts, caller, where, chosen.user_id)
    if of_user is None:
        return Redriven(redriven=0)
    done = await parts.ledger.records.requeue(caller.tenant, of_user, ids, parts.clock.now(), data.limit)
    return Redriven(redriven=done)


def _id(text: str, index: int) -> MessageId:
    try:
        return MessageId(parse_id(text))
    except ValueError:
        raise InvalidInput("a message id is a UUID.", pointer=f"#/ids/{index}") from None


router = Router(
    "/v1/dead-letters", route_handlers=[list_dead_letters, get_dead_letter, redrive], tags=["Messages"]
)
