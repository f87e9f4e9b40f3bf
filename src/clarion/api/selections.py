"""`POST /v1/messages/retry`, `/cancel` and `/withdraw`: several messages, by `ids` at once, by `filter` as an operation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, post

from clarion.api.auth import Identity
from clarion.api.bulk import BulkView, answered
from clarion.api.dependencies import ApiParts
from clarion.api.guards import SEND, Caller, Parts, listed_id, the_user
from clarion.api.messages import VersionChoice, nothing_to_withdraw
from clarion.api.operations import STARTED, started
from clarion.api.times import Moment, instant_or_none
from clarion.errors import ClarionError, Conflict, InvalidInput, NotFound
from clarion.model.channel import Channel
from clarion.model.ids import EventId, MessageId, id_text, parse_id
from clarion.model.message import MessageFilter
from clarion.model.operation import OperationKind
from clarion.model.status import RETRYABLE_BY_HAND, Reason, Status
from clarion.model.user import Value
from clarion.services.withdrawals import TakenBack

MOST = 1_000
FailedStatus = Literal["bounced", "rejected", "undelivered", "failed", "dead_lettered"]
WaitingStatus = Literal["queued", "deferred"]
SentStatus = Literal["queued", "deferred", "sending", "sent", "delivered"]
Ids = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class _Filter(Value, frozen=True, kw_only=True):
    user_id: str | None = None
    event_id: str | None = None
    workflow: str | None = None
    channel: Channel | None = None
    reason: Reason | None = None
    since: Moment | None = None
    """Created at or after."""
    until: Moment | None = None
    """Created before."""


class FailedFilter(_Filter, frozen=True, kw_only=True):
    """Which of the messages that failed for good; `{}` means all of them."""

    status: FailedStatus | None = None


class WaitingFilter(_Filter, frozen=True, kw_only=True):
    """Which of the messages that have not started to be sent; `{}` means all of them."""

    status: WaitingStatus | None = None


class SentFilter(_Filter, frozen=True, kw_only=True):
    """Which of the messages that wait, are being sent, or are out; `{}` means all of them."""

    status: SentStatus | None = None


class MessagesRetry(Value, frozen=True, kw_only=True):
    """Either `ids` or `filter`."""

    ids: Ids | None = None
    filter: FailedFilter | None = None
    template_version: VersionChoice = "live"


class MessagesCancel(Value, frozen=True, kw_only=True):
    """Either `ids` or `filter`."""

    ids: Ids | None = None
    filter: WaitingFilter | None = None


class MessagesWithdraw(Value, frozen=True, kw_only=True):
    """Either `ids` or `filter`."""

    ids: Ids | None = None
    filter: SentFilter | None = None


@post("/retry", opt=SEND, status_code=200, responses=STARTED)
async def retry_messages(data: MessagesRetry, caller: Caller, parts: Parts) -> Response[BulkView]:
    """Send messages that failed again with fresh attempts: these `ids` at once, or as an operation all that match."""
    return await retried(parts, caller, data)


@post("/cancel", opt=SEND, status_code=200, responses=STARTED)
async def cancel_messages(data: MessagesCancel, caller: Caller, parts: Parts) -> Response[BulkView]:
    """Stop messages that have not started to be sent: these `ids` at once, or as an operation all that match."""
    if data.filter is not None and data.ids is None:
        return await _on_all(parts, caller, OperationKind.CANCEL_MESSAGES, data.filter)
    ids = _ids(data.ids, data.filter)
    errors = await asyncio.gather(*(_canceled(parts, caller, one) for one in ids))
    return _answer(ids, {place: wrong for place, wrong in enumerate(errors) if wrong is not None})


@post("/withdraw", opt=SEND, status_code=200, responses=STARTED)
async def withdraw_messages(data: MessagesWithdraw, caller: Caller, parts: Parts) -> Response[BulkView]:
    """Take messages back: these `ids` at once, or as an operation all that match. What is not sent is canceled; what is
    out is withdrawn where its channel can do that, soon after: `withdrawal` of each message says what came of it."""
    if data.filter is not None and data.ids is None:
        return await _on_all(parts, caller, OperationKind.WITHDRAW_MESSAGES, data.filter)
    ids = _ids(data.ids, data.filter)
    errors = await asyncio.gather(*(_withdrawn(parts, caller, one) for one in ids))
    return _answer(ids, {place: wrong for place, wrong in enumerate(errors) if wrong is not None})


async def retried(parts: ApiParts, caller: Identity, data: MessagesRetry) -> Response[BulkView]:
    """The answer to a retry of several messages."""
    version = data.template_version
    if data.filter is not None and data.ids is None:
        if isinstance(version, int):
            await parts.services.retries.versions(caller.tenant, None, version)  # refuses it, and says why
        planned = version == "planned"
        return await _on_all(parts, caller, OperationKind.RETRY_MESSAGES, data.filter, planned=planned)
    ids = _ids(data.ids, data.filter)
    done = await parts.services.retries.retry(caller.tenant, MessageFilter(), ids, len(ids), version)
    left = [(place, one) for place, one in enumerate(ids) if one not in done]
    return _answer(ids, {place: await _why_not(parts, caller, one) for place, one in left})


async def _canceled(parts: ApiParts, caller: Identity, message_id: MessageId) -> ClarionError | None:
    """Why it was not."""
    message = await parts.ledger.records.get(caller.tenant, message_id)
    if message is None:
        return _missing(message_id)
    status = await parts.services.cancellations.message(message)
    if status is Status.CANCELED:
        return None
    return Conflict(f"The message is {status}: only what has not started to be sent can be canceled.")


async def _withdrawn(parts: ApiParts, caller: Identity, message_id: MessageId) -> ClarionError | None:
    """Why it is not."""
    message = await parts.ledger.records.get(caller.tenant, message_id)
    if message is None:
        return _missing(message_id)
    (taken,) = await parts.services.withdrawals.withdraw([message])
    return nothing_to_withdraw(message) if taken is TakenBack.NOTHING else None


async def _why_not(parts: ApiParts, caller: Identity, message_id: MessageId) -> ClarionError:
    message = await parts.ledger.records.get(caller.tenant, message_id)
    if message is None:
        return _missing(message_id)
    able = ", ".join(sorted(RETRYABLE_BY_HAND))
    return Conflict(f"The message is {message.status}: only {able} can be retried.")


def _missing(message_id: MessageId) -> NotFound:
    return NotFound(f"There is no message {id_text(message_id)}.")


def _ids(ids: Sequence[str] | None, filter: _Filter | None) -> list[MessageId]:
    if ids is None or filter is not None:
        raise InvalidInput('Send either `ids` or `filter` (`{"filter": {}}` means all of them).', pointer="#")
    return [listed_id(text, index) for index, text in enumerate(ids)]


def _answer(ids: Sequence[MessageId], errors: dict[int, ClarionError]) -> Response[BulkView]:
    return Response(answered(len(ids), errors), status_code=200)


async def _on_all(
    parts: ApiParts,
    caller: Identity,
    kind: OperationKind,
    chosen: FailedFilter | WaitingFilter | SentFilter,
    *,
    planned: bool = False,
) -> Response[BulkView]:
    """An operation on all that match."""
    where = await _where(parts, caller, chosen)
    return await started(
        parts, await parts.services.operations.start(caller.tenant, kind, where, planned=planned)
    )


async def _where(
    parts: ApiParts, caller: Identity, chosen: FailedFilter | WaitingFilter | SentFilter
) -> MessageFilter:
    user, status = chosen.user_id, chosen.status
    return MessageFilter(
        user=None if user is None else (await the_user(parts, caller, user, "#/filter/user_id")).no,
        event_id=None if chosen.event_id is None else _event(chosen.event_id),
        workflows=frozenset() if chosen.workflow is None else frozenset({chosen.workflow}),
        channels=frozenset() if chosen.channel is None else frozenset({chosen.channel}),
        statuses=frozenset() if status is None else frozenset({Status(status)}),
        reasons=frozenset() if chosen.reason is None else frozenset({chosen.reason}),
        since=instant_or_none(chosen.since),
        before=instant_or_none(chosen.until),
    )


def _event(text: str) -> EventId:
    try:
        return EventId(parse_id(text))
    except ValueError:
        raise InvalidInput(
            "an event id is a UUID, as the 202 answer gave it.", pointer="#/filter/event_id"
        ) from None


router = Router(
    "/v1/messages", route_handlers=[retry_messages, cancel_messages, withdraw_messages], tags=["Messages"]
)
