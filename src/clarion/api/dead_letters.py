"""`/v1/dead-letters`: messages that failed for good, and retrying them."""

from __future__ import annotations

from typing import Annotated, get_args

from litestar import Response, Router, get, post
from litestar.params import Parameter

from clarion.api.bulk import BulkView
from clarion.api.conditions import one
from clarion.api.guards import READ, SEND, Caller, Parts
from clarion.api.messages import (
    ByChannel,
    ByReason,
    ByUser,
    ByWorkflow,
    MessageDetail,
    MessageView,
    Since,
    Until,
    detail_of,
    narrowed,
    page_of,
    the_message,
    workflows_of,
)
from clarion.api.operations import STARTED
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.parameters import AnyOf, several
from clarion.api.selections import FailedStatus, MessagesRetry, retried
from clarion.api.times import instant_of
from clarion.errors import NotFound
from clarion.model.channel import Channel
from clarion.model.message import MessageFilter
from clarion.model.status import FAILED_FOR_GOOD, Reason, Status

ByFailure = Annotated[
    str | None,
    Parameter(description="Only in one of these statuses, with commas between them"),
    AnyOf(get_args(FailedStatus)),
]


@get("/", opt=READ)
async def list_dead_letters(
    caller: Caller,
    parts: Parts,
    user_id: ByUser = None,
    workflow: ByWorkflow = None,
    channel: ByChannel = None,
    status: ByFailure = None,
    reason: ByReason = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[MessageView]:
    """Messages that failed permanently, newest first, also those that were never attempted (such as `template_error`)."""
    where = MessageFilter(
        workflows=await workflows_of(parts, caller, workflow),
        channels=frozenset(map(Channel, several(channel))),
        statuses=frozenset(map(Status, several(status))) or FAILED_FOR_GOOD,
        reasons=frozenset(map(Reason, several(reason))),
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    of_user = await narrowed(parts, caller, where, user_id)
    return Page(items=[]) if of_user is None else await page_of(parts, caller, of_user, cursor, limit)


@get("/{message_id:str}", opt=READ)
async def get_dead_letter(message_id: str, caller: Caller, parts: Parts) -> MessageDetail:
    """One dead letter with every attempt that failed."""
    message = await the_message(parts, caller, message_id)
    if message.status not in FAILED_FOR_GOOD:
        raise NotFound(f"The message {message_id} is no dead letter: it is {message.status}.")
    return await detail_of(parts, caller, message)


@post("/retry", opt=SEND, status_code=200, responses=STARTED)
async def retry_dead_letters(data: MessagesRetry, caller: Caller, parts: Parts) -> Response[BulkView]:
    """Retry dead letters with fresh attempts: single messages (`ids`) at once, or all that match a `filter` as an operation."""
    return await retried(parts, caller, data)


router = Router(
    "/v1/dead-letters",
    route_handlers=[list_dead_letters, get_dead_letter, retry_dead_letters],
    opt=one("message", "message_id"),
    tags=["Messages"],
)
