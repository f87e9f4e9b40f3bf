"""`/v1/messages`: the messages, their timeline, and manual actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Response, Router, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import one
from clarion.api.dependencies import ApiParts
from clarion.api.explanations import explained
from clarion.api.guards import READ, SEND, Caller, Parts, a_message_id, names_of
from clarion.api.pages import PAGE, START, At, Cursor, Limit, Page
from clarion.api.parameters import AnyOf, several
from clarion.api.problems import Fault, RejectedRequest, cut_off, wrong_parameter
from clarion.api.times import instant_of, text_or_none
from clarion.errors import ClarionError, Conflict, NotFound, UnknownReference
from clarion.flow.lookups import BUILT_IN
from clarion.model.campaign import EventCampaign
from clarion.model.channel import Channel, Lane
from clarion.model.content import AnyContent
from clarion.model.ids import EventId, MessageId, id_text, parse_id, run_id
from clarion.model.inbox import MARKS
from clarion.model.message import Change, Message, MessageFilter
from clarion.model.receipt import TAKEN_BACK
from clarion.model.setup import Money
from clarion.model.spending import MessageCost
from clarion.model.status import (
    ACTIVE,
    FAILED_FOR_GOOD,
    NOT_SENT,
    RETRYABLE_BY_HAND,
    SUCCEEDED,
    Reason,
    Status,
)
from clarion.model.user import Value
from clarion.model.withdrawal import Withdrawal
from clarion.rules import withdrawals
from clarion.rules.explain import RunExplanation, merged
from clarion.rules.match import closest, nearest
from clarion.rules.prices import PRICED
from clarion.rules.time_format import rfc3339
from clarion.services.withdrawals import TakenBack

LOOK_EVERY_S = 0.25
"""How often a waiting tail looks for new changes."""

ByUser = Annotated[str | None, Parameter(description="Only this user's")]
ByEvent = Annotated[str | None, Parameter(description="Only those of this event")]
ByCampaign = Annotated[str | None, Parameter(description="Only those of this campaign")]
ByStatus = Annotated[
    str | None,
    Parameter(description="Only in one of these statuses, with commas between them"),
    AnyOf(tuple(Status)),
]
ByChannel = Annotated[
    str | None,
    Parameter(description="Only on one of these channels, with commas between them"),
    AnyOf(tuple(Channel)),
]
ByReason = Annotated[
    str | None,
    Parameter(description="Only for one of these reasons, with commas between them"),
    AnyOf(tuple(Reason)),
]
ByWorkflow = Annotated[
    str | None, Parameter(description="Only of one of these workflows, with commas between them")
]
GROUPS = {"waiting": ACTIVE, "sent": SUCCEEDED, "failed": FAILED_FOR_GOOD, "not_sent": NOT_SENT}
ByGroup = Annotated[
    str | None,
    Parameter(
        description="Only in a status of one of these groups, with commas between them: `waiting` (queued, deferred, "
        "sending), `sent` (sent, delivered), `failed` (for good), `not_sent` (on purpose)"
    ),
    AnyOf(tuple(GROUPS)),
]
Since = Annotated[str | None, Parameter(description="Created at or after, RFC 3339")]
Until = Annotated[str | None, Parameter(description="Created before, RFC 3339")]
VersionChoice = Annotated[
    Literal["live", "planned"] | Annotated[int, msgspec.Meta(ge=1)],
    msgspec.Meta(
        description="Which version of the template to send: the one that is `live` now, the one it was `planned` with, "
        "or an exact one"
    ),
]


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """One message: a notification for one user on one channel."""

    id: str
    event_id: str
    campaign_id: str | None
    """The campaign that its event is of, unless that was deleted."""
    run_id: str
    """The run of its workflow for its user: `/v1/runs/{id}` has it if it ever waited."""
    user_id: str | None
    """Null once the user was deleted."""
    workflow: str
    workflow_version: int
    category: str
    step: str
    template: str
    template_version: int
    """The version it is sent with: the one that was live when it was planned, or that a retry chose. 0: the live one."""
    channel: Channel
    lane: Lane
    status: Status
    reason: Reason | None
    attempt: int
    """Provider calls so far."""
    integration: str | None
    country: str | None
    """Where its number is (ISO 3166), once it was paid for."""
    cost: Money | None
    """What it has cost so far by the price list; null: nothing that is counted."""
    created_at: str
    updated_at: str
    due_at: str | None
    """When it is processed next."""
    expires_at: str | None
    sent_at: str | None
    delivered_at: str | None
    seen_at: str | None
    read_at: str | None
    clicked_at: str | None
    archived_at: str | None


ASKED = {202: ResponseSpec(MessageView, generate_examples=False, description="Its provider is asked")}
"""What a withdrawal answers of a message that is out."""


class MessageRetry(Value, frozen=True, kw_only=True):
    """How to send it again."""

    template_version: VersionChoice = "live"


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a message's status, or one attempt to send it."""

    message_id: str
    at: str
    status: Status
    reason: Reason | None
    attempt: int
    integration: str | None
    outcome: str | None
    """What the provider answered, when this records an attempt; what a receipt says, or what the user did in their inbox."""
    provider_id: str | None
    took_ms: int | None
    detail: str | None
    due_at: str | None
    traceparent: str | None
    choice: str | None
    """Why this integration, when there were several: the scores, and what ruled others out."""


class WithdrawalView(msgspec.Struct, frozen=True, kw_only=True):
    """What came of taking a message back after it was sent."""

    result: Literal["waiting", "withdrawn", "edited", "not_withdrawn"]
    at: str
    """Since when it is so."""
    text: str
    """The same in words, with the reason."""


class MessageDetail(MessageView, frozen=True, kw_only=True):
    """A message with its timeline, attempts, explanation and content."""

    withdrawal: WithdrawalView | None
    """Null: nobody took it back after it was sent."""

    timeline: list[ChangeView]
    attempts: list[ChangeView]
    """The changes that record an attempt."""
    explanation: RunExplanation | None
    """Why the message was planned as it is: the explanation of the whole run."""
    content: AnyContent | None
    """The rendered content; null if it can no longer be read."""
    content_problem: str | None
    """Why there is no content."""


@get("/", opt=READ)
async def list_messages(
    caller: Caller,
    parts: Parts,
    user_id: ByUser = None,
    event_id: ByEvent = None,
    campaign_id: ByCampaign = None,
    workflow: ByWorkflow = None,
    channel: ByChannel = None,
    status: ByStatus = None,
    status_group: ByGroup = None,
    reason: ByReason = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[MessageView]:
    """Messages, newest first. A page may be short when few messages match: continue while `next_cursor` is set."""
    statuses = frozenset(map(Status, several(status)))
    if status_group:
        grouped = frozenset[Status]().union(*(GROUPS[group] for group in several(status_group)))
        statuses = statuses & grouped if status else grouped
        if not statuses:
            return Page(items=[])
    of_event = None if event_id is None else an_event_id(event_id)
    if campaign_id is not None:
        campaign = await parts.services.campaigns.get(caller.tenant, a_campaign_id(campaign_id))
        if campaign.row.event_id is None or of_event not in {None, campaign.row.event_id}:
            return Page(items=[])
        of_event = campaign.row.event_id
    where = MessageFilter(
        event_id=of_event,
        workflows=await workflows_of(parts, caller, workflow),
        channels=frozenset(map(Channel, several(channel))),
        statuses=statuses,
        reasons=frozenset(map(Reason, several(reason))),
        since=instant_of(since, "since"),
        before=instant_of(until, "until"),
    )
    of_user = await narrowed(parts, caller, where, user_id)
    return Page(items=[]) if of_user is None else await page_of(parts, caller, of_user, cursor, limit)


@get("/tail", opt=READ)
async def tail(
    caller: Caller,
    parts: Parts,
    cursor: Cursor = START,
    wait_s: Annotated[float, Parameter(ge=0, le=25, description="Longest to wait for a change")] = 20,
    limit: Limit = PAGE,
) -> Page[ChangeView]:
    """Changes of all messages as they happen. The answer comes as soon as there is a change, at latest after `wait_s`.

    Without a cursor, the newest changes are returned. Continue with `next_cursor`, which is always set. If the server
    stops meanwhile, the answer is 503 `stopping`: continue with the same cursor once it is back.
    """
    after = cursor.after(-1)
    give_up = parts.clock.monotonic() + wait_s
    changes = await parts.ledger.records.tail(caller.tenant, after, limit)
    while not changes and parts.clock.monotonic() < give_up:
        if parts.stopping.is_set():
            raise cut_off()
        await parts.clock.sleep(LOOK_EVERY_S)
        changes = await parts.ledger.records.tail(caller.tenant, after, limit)
    last = max((change.seq for change in changes), default=max(after, 0))
    return Page(items=[change_view(change) for change in changes], next_cursor=cursor.to(last))


@get("/{message_id:str}", opt=READ)
async def get_message(message_id: str, caller: Caller, parts: Parts) -> MessageDetail:
    """One message with its timeline, attempts, explanation and content."""
    message = await the_message(parts, caller, message_id)
    return await detail_of(parts, caller, message)


@post("/{message_id:str}/cancel", opt=SEND, status_code=200)
async def cancel_message(message_id: str, caller: Caller, parts: Parts) -> MessageView:
    """Cancel a message that has not started to be sent."""
    message = await the_message(parts, caller, message_id)
    status = await parts.services.cancellations.message(message)
    if status is not Status.CANCELED:
        raise Conflict(f"The message is {status}: only what has not started to be sent can be canceled.")
    return await again(parts, caller, message_id)


@post("/{message_id:str}/withdraw", opt=SEND, status_code=200, responses=ASKED)
async def withdraw_message(message_id: str, caller: Caller, parts: Parts) -> Response[MessageView]:
    """Take a message back. One that is not sent is canceled (200). One that is out is withdrawn where its channel can do
    that (202): `withdrawal` of the message says soon what came of it, or why it cannot be withdrawn."""
    message = await the_message(parts, caller, message_id)
    (taken,) = await parts.services.withdrawals.withdraw([message])
    if taken is TakenBack.NOTHING:
        raise nothing_to_withdraw(message)
    status_code = 202 if taken is TakenBack.ASKED else 200
    return Response(await again(parts, caller, message_id), status_code=status_code)


@post("/{message_id:str}/retry", opt=SEND, status_code=200)
async def retry_message(
    message_id: str, caller: Caller, parts: Parts, data: MessageRetry | None = None
) -> MessageView:
    """Retry a message that failed, with fresh attempts and the template that is live now."""
    message = await the_message(parts, caller, message_id)
    version = (data or MessageRetry()).template_version
    done = await parts.services.retries.retry(caller.tenant, MessageFilter(), [message.id], 1, version)
    if not done:
        able = ", ".join(sorted(RETRYABLE_BY_HAND))
        raise Conflict(f"The message is {message.status}: only {able} can be retried.")
    return await again(parts, caller, message_id)


def nothing_to_withdraw(message: Message) -> Conflict:
    """Nobody has the message, and nobody will."""
    return Conflict(f"The message is {message.status}: there is nothing to withdraw.")


async def workflows_of(parts: ApiParts, caller: Identity, text: str | None) -> frozenset[str]:
    """The workflows that a filter names. One that never was is a spelling mistake, not a filter nothing matches."""
    setup = parts.ledger.setup.workflows
    live = setup.all(caller.tenant)
    unknown = [
        key
        for key in several(text)
        if key not in live
        and not key.startswith(BUILT_IN)
        and await setup.version(caller.tenant, key, 1) is None
    ]
    if unknown:
        faults = [
            Fault(
                detail=f"there is no workflow {key!r}, and never was. {nearest(key, live)}".rstrip(),
                code=UnknownReference.code,
                parameter="workflow",
                value=key,
                did_you_mean=closest(key, live),
            )
            for key in unknown
        ]
        raise RejectedRequest(f"`workflow`: {faults[0].detail}", faults, code=UnknownReference.code)
    return frozenset(several(text))


async def narrowed(
    parts: ApiParts, caller: Identity, where: MessageFilter, user_id: str | None
) -> MessageFilter | None:
    """The filter for one user's messages (unchanged without `user_id`); None when there is no such user."""
    if user_id is None:
        return where
    user = (await parts.ledger.users.find(caller.tenant, [user_id])).get(user_id)
    return None if user is None else msgspec.structs.replace(where, user=user.no)


async def page_of(
    parts: ApiParts, caller: Identity, where: MessageFilter, cursor: At, limit: int
) -> Page[MessageView]:
    """A page of messages with the ids of their users."""
    start = cursor.after(b"")
    messages, following = await parts.ledger.records.page(
        caller.tenant, where, MessageId(start) if start else None, limit
    )
    return Page(items=await views_of(parts, messages), next_cursor=cursor.to(following))


async def views_of(parts: ApiParts, messages: Sequence[Message]) -> list[MessageView]:
    """Messages as callers see them."""
    names = await names_of(parts, {message.user for message in messages})
    paid = [message.id for message in messages if message.channel in PRICED]
    costs = {one.message_id: one for one in await parts.ledger.spending.costs(paid)}
    events = list({message.event_id for message in messages})
    campaigns = await parts.ledger.campaigns.of_events(events)
    return [
        view(message, names.get(message.user), costs.get(message.id), campaigns.get(message.event_id))
        for message in messages
    ]


async def the_message(parts: ApiParts, caller: Identity, text: str) -> Message:
    """The message of a path, in this tenant."""
    message = await parts.ledger.records.get(caller.tenant, a_message_id(text))
    if message is None:
        raise NotFound(f"There is no message {text}.")
    return message


async def again(parts: ApiParts, caller: Identity, text: str) -> MessageView:
    """The message as it is now."""
    (shown,) = await views_of(parts, [await the_message(parts, caller, text)])
    return shown


async def detail_of(parts: ApiParts, caller: Identity, message: Message) -> MessageDetail:
    """Everything about one message."""
    (shown,) = await views_of(parts, [message])
    # Before the timeline: what came of a withdrawal stands there when it waits no longer.
    asked = await parts.ledger.withdrawals.waiting([message.id])
    changes = await parts.ledger.records.changes(caller.tenant, message.id)
    timeline = [change_view(change) for change in changes]
    runs = await parts.ledger.plans.runs_of(caller.tenant, message.event_id, message.user)
    run = next((run for run in merged(runs) if run.workflow == message.workflow), None)
    content, problem = None, None
    try:
        content = await parts.services.message_contents.render(message)
    except ClarionError as wrong:
        problem = wrong.detail
    return MessageDetail(
        **msgspec.structs.asdict(shown),
        withdrawal=_withdrawal(asked, changes),
        timeline=timeline,
        attempts=[change for change in timeline if change.outcome not in (None, *MARKS, *TAKEN_BACK)],
        explanation=None if run is None else (await explained(parts, [run], {run.user: shown.user_id}))[0],
        content=content,
        content_problem=problem,
    )


def _withdrawal(asked: Sequence[Withdrawal], changes: Sequence[Change]) -> WithdrawalView | None:
    for waiting in asked:
        words = "It is being withdrawn." if waiting.sealed is None else "It is being changed."
        return WithdrawalView(result="waiting", at=rfc3339(waiting.asked_at), text=words)
    if (change := withdrawals.result(changes)) is None:
        return None
    outcome = msgspec.convert(change.outcome, Literal["withdrawn", "edited", "not_withdrawn"])
    return WithdrawalView(result=outcome, at=rfc3339(change.at), text=withdrawals.in_words(change))


def an_event_id(text: str) -> EventId:
    """The event a parameter names."""
    try:
        return EventId(parse_id(text))
    except ValueError:
        raise wrong_parameter("event_id", "an event id is a UUID, as the 202 answer gave it.") from None


def a_campaign_id(text: str) -> bytes:
    """The campaign a parameter names."""
    try:
        return parse_id(text)
    except ValueError:
        raise wrong_parameter("campaign_id", "the id of a campaign is a UUID.") from None


def view(
    message: Message, user_id: str | None, paid: MessageCost | None, campaign: EventCampaign | None
) -> MessageView:
    """A message as callers see it."""
    return MessageView(
        id=id_text(message.id),
        event_id=id_text(message.event_id),
        campaign_id=None if campaign is None else id_text(campaign.id),
        run_id=id_text(run_id(message.event_id, message.workflow, message.user)),
        user_id=user_id,
        workflow=message.workflow,
        workflow_version=message.workflow_version,
        category=message.category,
        step=message.step,
        template=message.template,
        template_version=message.template_version,
        channel=message.channel,
        lane=message.lane,
        status=message.status,
        reason=message.reason,
        attempt=message.attempt,
        integration=message.integration,
        country=paid.country or None if paid is not None else None,
        cost=paid.cost if paid is not None else None,
        created_at=rfc3339(message.created_at),
        updated_at=rfc3339(message.updated_at or message.created_at),
        due_at=text_or_none(message.due_at),
        expires_at=text_or_none(message.expires_at),
        sent_at=text_or_none(message.sent_at),
        delivered_at=text_or_none(message.delivered_at),
        seen_at=text_or_none(message.seen_at),
        read_at=text_or_none(message.read_at),
        clicked_at=text_or_none(message.clicked_at),
        archived_at=text_or_none(message.archived_at),
    )


def change_view(change: Change) -> ChangeView:
    """A change as callers see it."""
    return ChangeView(
        message_id=id_text(change.message_id),
        at=rfc3339(change.at),
        status=change.status,
        reason=change.reason,
        attempt=change.attempt,
        integration=change.integration,
        outcome=change.outcome,
        provider_id=change.provider_id,
        took_ms=change.took_ms,
        detail=change.detail,
        due_at=text_or_none(change.due_at),
        traceparent=change.traceparent,
        choice=change.choice,
    )


router = Router(
    "/v1/messages",
    route_handlers=[list_messages, tail, get_message, cancel_message, withdraw_message, retry_message],
    opt=one("message", "message_id"),
    tags=["Messages"],
)
