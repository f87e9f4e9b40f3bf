"""`/v1/dead-letters`: messages that failed for good, and sending them again."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from litestar import Router, get, post
from litestar.params import Parameter

from clarion.api.access import READ, SEND, Parts, Who, listed_id
from clarion.api.conditions import one
from clarion.api.messages import (
    ByUser,
    MessageDetail,
    MessageView,
    Since,
    Until,
    VersionChoice,
    detail_of,
    narrowed,
    page_of,
    the_message,
)
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf
from clarion.api.times import Moment, instant_of, instant_or_none
from clarion.errors import InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.status import FAILED_FOR_GOOD, Reason, Status
from clarion.model.user import Value
from clarion.ports.ledger import MessageFilter

MOST_RETRIED = 10_000
FailedStatus = Literal["bounced", "rejected", "undelivered", "failed", "dead_lettered"]
ByFailure = Annotated[
    str | None,
    Parameter(description="Only in one of these statuses, with commas between them"),
    AnyOf(get_args(FailedStatus)),
]


class DeadLetterFilter(Value, frozen=True, kw_only=True):
    """Which dead letters; `{}` means all of them."""

    user_id: str | None = None
    workflow: str | None = None
    channel: Channel | None = None
    status: FailedStatus | None = None
    reason: Reason | None = None
    since: Moment | None = None
    until: Moment | None = None


class DeadLetterRetry(Value, frozen=True, kw_only=True):
    """Either `ids` or `filter`."""

    ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)] | None = None
    filter: DeadLetterFilter | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRIED)] = 1_000
    """At most this many in one call; repeat while `retried` reaches it."""
    template_version: VersionChoice = "live"


class DeadLettersRetried(msgspec.Struct, frozen=True, kw_only=True):
    """How many were put back with fresh attempts."""

    retried: int


@get("/", opt=READ)
async def list_dead_letters(
    caller: Who,
    parts: Parts,
    user_id: ByUser = None,
    workflow: str | None = None,
    channel: Channel | None = None,
    status: ByFailure = None,
    reason: Reason | None = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[MessageView]:
    """Everything that failed for good, newest first: also what no attempt was made for, like `template_error`."""
    where = MessageFilter(
        workflow=workflow,
        channel=channel,
        statuses=frozenset(map(Status, status.split(","))) if status else FAILED_FOR_GOOD,
        reason=reason,
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    of_user = await narrowed(parts, caller, where, user_id)
    return Page(items=[]) if of_user is None else await page_of(parts, caller, of_user, cursor, limit)


@get("/{message_id:str}", opt=READ)
async def get_dead_letter(message_id: str, caller: Who, parts: Parts) -> MessageDetail:
    """One dead letter with every attempt that failed."""
    message = await the_message(parts, caller, message_id)
    if message.status not in FAILED_FOR_GOOD:
        raise NotFound(f"The message {message_id} is no dead letter: it is {message.status}.")
    return await detail_of(parts, caller, message)


@post("/retry", opt=SEND, status_code=200)
async def retry_dead_letters(data: DeadLetterRetry, caller: Who, parts: Parts) -> DeadLettersRetried:
    """Put dead letters back with fresh attempts, one by one or all that match."""
    if (data.ids is None) == (data.filter is None):
        raise InvalidInput('Send either `ids` or `filter` (`{"filter": {}}` means all of them).', pointer="#")
    ids = None if data.ids is None else [listed_id(text, index) for index, text in enumerate(data.ids)]
    chosen = data.filter or DeadLetterFilter()
    where = MessageFilter(
        workflow=chosen.workflow,
        channel=chosen.channel,
        statuses=_statuses(chosen.status),
        reason=chosen.reason,
        since=instant_or_none(chosen.since),
        before=instant_or_none(chosen.until),
    )
    of_user = await narrowed(parts, caller, where, chosen.user_id)
    if of_user is None:
        return DeadLettersRetried(retried=0)
    done = await parts.retries.retry(caller.tenant, of_user, ids, data.limit, data.template_version)
    return DeadLettersRetried(retried=done)


def _statuses(status: FailedStatus | None) -> frozenset[Status]:
    return FAILED_FOR_GOOD if status is None else frozenset({Status(status)})


router = Router(
    "/v1/dead-letters",
    route_handlers=[list_dead_letters, get_dead_letter, retry_dead_letters],
    opt=one("message", "message_id"),
    tags=["Messages"],
)
