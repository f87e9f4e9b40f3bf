"""`/v1/campaigns`: one workflow for a whole audience, at a pace."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import Parameter

from clarion.api.auth import Identity
from clarion.api.conditions import ADDS, one
from clarion.api.dependencies import ApiParts
from clarion.api.guards import ADMIN, READ, SEND, Caller, Parts
from clarion.api.operations import OperationView, started
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.references import suggest
from clarion.api.stored_documents import patched
from clarion.api.times import Moment, instant_or_none, moment_or_none, text_or_none
from clarion.errors import InvalidInput, NotFound, UnknownReference, check_all
from clarion.model.campaign import GOING, Audience, Campaign, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import id_text, parse_id
from clarion.model.status import FAILED_FOR_GOOD, NOT_SENT, SUCCEEDED
from clarion.model.user import Value
from clarion.rules import validation
from clarion.rules.campaigns import paced
from clarion.rules.schedule import clock
from clarion.rules.time_format import rfc3339
from clarion.services.campaigns import CampaignCounts, FoundCampaign

ACTIONS: dict[CampaignStatus, tuple[str, ...]] = {
    CampaignStatus.DRAFT: ("start", "cancel"),
    CampaignStatus.TESTING: ("pause", "cancel", "retry-failed"),
    CampaignStatus.TESTED: ("start", "cancel", "retry-failed"),
    CampaignStatus.RUNNING: ("pause", "cancel", "retry-failed"),
    CampaignStatus.PAUSED: ("resume", "cancel", "retry-failed"),
    CampaignStatus.CANCELED: ("retry-failed",),
    CampaignStatus.DONE: ("retry-failed",),
}
MOST_LISTED = 10_000
"""Users that an audience may list; a topic may have any number of members."""


class CampaignBody(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What a campaign is to do."""

    EXAMPLE: ClassVar = '{"name": "Spring sale", "workflow": "flash-sale", "audience": {"topic": "readers"}, "rate_per_s": 200}'

    name: str | None = None
    workflow: Annotated[str, msgspec.Meta(min_length=1)]
    audience: Audience
    """Who gets it: `{"topic": ...}`, `{"segment": ...}`, `{"object": {"type": ..., "id": ...}}`, or `{"user_ids": [...]}` with at most 10,000 ids. A topic, segment or object means its
    members when they are planned."""
    data: dict[str, Any] = {}
    """The data of its event: a JSON object."""
    lane: Lane = Lane.BULK
    send_at: Moment | None = None
    """Nothing is sent before. Send at most one of `send_at` and `send_at_local`."""
    send_at_local: Annotated[str, msgspec.Meta(max_length=19, examples=["2026-05-04T09:00"])] | None = None
    """Like `send_at`, as local time of each recipient, without an offset."""
    expires_at: Moment | None = None
    """Nothing is sent after this time."""
    rate_per_s: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    """How many recipients are due in a second. Null: as fast as it goes."""
    test_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """This share of the audience, chosen by chance, gets it first; the others when you start it again."""
    keep_open: bool = False
    """Who joins the audience later gets it, too, until you set this to false or cancel the campaign."""


class CampaignResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages of a campaign are where."""

    planned: int
    waiting: int
    sent: int
    failed: int
    not_sent: int
    """Suppressed, throttled, merged, canceled or expired."""
    as_of: str


class CampaignView(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign, and how far it is."""

    id: str
    name: str | None
    workflow: str
    audience: Audience
    data: dict[str, Any]
    lane: Lane
    send_at: str | None
    send_at_local: str | None
    expires_at: str | None
    rate_per_s: int | None
    test_share: float | None
    keep_open: bool
    status: str
    """`draft`, `scheduled`, `testing`, `tested`, `running`, `paused`, `canceled`, `done`, or `partly_failed`: done, and some messages failed."""
    event_id: str | None
    """Its messages are those of this event. Null: it was not started yet."""
    members_planned: int
    """Members of the audience that were planned so far."""
    counts: CampaignResult
    eta: str | None
    """With a rate: when the last member of the audience, as it is now, is due."""
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    actions: tuple[str, ...]
    """What can be done with it now."""


class CampaignPreviewView(msgspec.Struct, frozen=True, kw_only=True):
    """Who a campaign reaches. Nothing is stored or sent."""

    recipients: int
    """People in the audience."""
    sampled: int
    """People, chosen by chance, for whom the workflow was planned to see what they would get."""
    channels: dict[str, int]
    """Messages to those, by channel."""
    not_sent: dict[str, int]
    """What would not be sent to those, by reason."""


@get("/", opt=READ)
async def list_campaigns(
    caller: Caller,
    parts: Parts,
    status: Annotated[
        CampaignStatus | None,
        Parameter(
            description="Only in this status; what is `scheduled` is `running`, `partly_failed` is `done`"
        ),
    ] = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[CampaignView]:
    """All campaigns, newest first."""
    start = cursor.after(b"")
    service = parts.services.campaigns
    found, following = await service.page(caller.tenant, status, start or None, limit)
    counts = await service.counts([one.row for one in found])
    items = [await _view(one, parts, counts[one.row.id]) for one in found]
    return Page(items=items, next_cursor=cursor.to(following))


@post("/", opt=ADMIN)
async def create_campaign(data: CampaignBody, caller: Caller, parts: Parts) -> CampaignView:
    """Create a draft. Nothing is sent before you start it."""
    created = await _known(parts.services.campaigns.create(caller.tenant, _campaign(data)), caller, parts)
    return await _view(created, parts)


@get("/{campaign_id:str}", opt=READ)
async def get_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignView:
    """One campaign, and how far it is."""
    return await _view(await _found(campaign_id, caller, parts), parts)


@patch("/{campaign_id:str}", opt=ADMIN)
async def patch_campaign(
    campaign_id: str, data: dict[str, Any], caller: Caller, parts: Parts
) -> CampaignView:
    """Change a draft (JSON merge patch). Once it was started, only `name`, `rate_per_s` and `keep_open` can be changed."""
    row, state = await _found(campaign_id, caller, parts)
    asked = _campaign(patched(_body(state.campaign), data))
    change = parts.services.campaigns.change(caller.tenant, row.id, state.campaign, asked)
    return await _view(await _known(change, caller, parts), parts)


@delete("/{campaign_id:str}", opt=ADMIN)
async def delete_campaign(campaign_id: str, caller: Caller, parts: Parts) -> None:
    """Delete a draft, or a campaign that is over. Its messages stay."""
    await parts.services.campaigns.delete(caller.tenant, _id(campaign_id))


@post("/{campaign_id:str}/preview", opt=READ | ADDS, status_code=200)
async def preview_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignPreviewView:
    """Count the audience, and plan up to 200 of its people, chosen by chance, without sending anything."""
    found = await parts.services.campaigns.preview(caller.tenant, _id(campaign_id))
    return CampaignPreviewView(
        recipients=found.people,
        sampled=found.sampled,
        channels=dict(found.channels),
        not_sent={reason.value: count for reason, count in found.not_sent.items()},
    )


@post("/{campaign_id:str}/start", opt=SEND, status_code=200)
async def start_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignView:
    """Start a draft, with its test share first if it has one; start the rest of a campaign that is `tested`."""
    begun = parts.services.campaigns.start(caller.tenant, _id(campaign_id))
    return await _view(await _known(begun, caller, parts), parts)


@post("/{campaign_id:str}/pause", opt=SEND, status_code=200)
async def pause_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignView:
    """Plan no more members and send nothing from the answer on; only calls to providers that run already end. You may repeat it."""
    return await _view(await parts.services.campaigns.pause(caller.tenant, _id(campaign_id)), parts)


@post("/{campaign_id:str}/resume", opt=SEND, status_code=200)
async def resume_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignView:
    """Go on. Messages that the pause held back go out within five minutes."""
    return await _view(await parts.services.campaigns.resume(caller.tenant, _id(campaign_id)), parts)


@post("/{campaign_id:str}/cancel", opt=SEND, status_code=200)
async def cancel_campaign(campaign_id: str, caller: Caller, parts: Parts) -> CampaignView:
    """Plan no more members, and cancel every message that is not being sent yet. You may repeat it."""
    return await _view(await parts.services.campaigns.cancel(caller.tenant, _id(campaign_id)), parts)


@post("/{campaign_id:str}/retry-failed", opt=SEND | ADDS, status_code=202)
async def retry_failed_messages(campaign_id: str, caller: Caller, parts: Parts) -> Response[OperationView]:
    """Send again what failed: the same messages, as an operation."""
    return await started(parts, await parts.services.campaigns.retry_failed(caller.tenant, _id(campaign_id)))


async def _known(asked: Awaitable[FoundCampaign], caller: Identity, parts: ApiParts) -> FoundCampaign:
    """What was asked for; names that are not known are refused with the nearest."""
    try:
        return await asked
    except UnknownReference as wrong:
        await suggest(parts.ledger.directory, caller.tenant, (wrong,))
        raise


async def _found(text: str, caller: Identity, parts: ApiParts) -> FoundCampaign:
    return await parts.services.campaigns.get(caller.tenant, _id(text))


def _id(text: str) -> bytes:
    try:
        return parse_id(text)
    except ValueError:
        raise NotFound("There is no such campaign: an id is a UUID.") from None


def _campaign(body: CampaignBody) -> Campaign:
    check_all((partial(_check_audience, body.audience), partial(_check_times, body)))
    return Campaign(
        name=body.name or "",
        workflow=body.workflow,
        audience=body.audience,
        data=body.data,
        lane=body.lane,
        send_at=instant_or_none(body.send_at),
        send_at_local=body.send_at_local,
        expires_at=instant_or_none(body.expires_at),
        rate_per_s=body.rate_per_s,
        test_share=body.test_share,
        keep_open=body.keep_open,
    )


def _check_audience(audience: Audience) -> None:
    groups = {"topic": audience.topic, "segment": audience.segment, "object": audience.object}
    if sum(one is not None for one in (*groups.values(), audience.user_ids)) != 1:
        raise InvalidInput("name one of `topic`, `segment`, `object` and `user_ids`.", pointer="#/audience")
    for name, key in groups.items():
        if key is not None:
            validation.check_group(key, f"#/audience/{name}")
    if audience.user_ids is None:
        return
    ids = audience.user_ids
    if not 0 < len(ids) <= MOST_LISTED:
        raise InvalidInput(
            f"list 1 to {MOST_LISTED} users; make a topic of more.", pointer="#/audience/user_ids"
        )
    for place, one_id in enumerate(ids):
        validation.check_user_id(one_id, f"#/audience/user_ids/{place}")


def _check_times(body: CampaignBody) -> None:
    if body.send_at is not None and body.send_at_local is not None:
        raise InvalidInput("send one of `send_at` and `send_at_local`.", pointer="#/send_at_local")
    if body.send_at_local is not None:
        clock(body.send_at_local)


def _body(campaign: Campaign) -> CampaignBody:
    fields = msgspec.structs.asdict(campaign) | {
        "name": campaign.name or None,
        "send_at": moment_or_none(campaign.send_at),
        "expires_at": moment_or_none(campaign.expires_at),
    }
    return CampaignBody(**fields)


async def _view(found: FoundCampaign, parts: ApiParts, counts: CampaignCounts | None = None) -> CampaignView:
    row, state = found
    campaign, now = state.campaign, parts.clock.now()
    if counts is None:
        counts = (await parts.services.campaigns.counts([row]))[row.id]
    failed = counts.of(*FAILED_FOR_GOOD)
    status = row.status.value
    if row.status in GOING and not row.rank and row.due_at is not None and row.due_at > now:
        status = "scheduled"
    elif row.status is CampaignStatus.DONE and failed:
        status = "partly_failed"
    eta = None
    if row.status in GOING and row.due_at is not None and campaign.rate_per_s is not None:
        size = await parts.services.campaigns.size(row.tenant, state)
        eta = None if size is None else paced(row, campaign.rate_per_s, max(size - 1, row.rank))
    return CampaignView(
        id=id_text(row.id),
        name=campaign.name or None,
        workflow=campaign.workflow,
        audience=campaign.audience,
        data=campaign.data,
        lane=campaign.lane,
        send_at=text_or_none(campaign.send_at),
        send_at_local=campaign.send_at_local,
        expires_at=text_or_none(campaign.expires_at),
        rate_per_s=campaign.rate_per_s,
        test_share=campaign.test_share,
        keep_open=campaign.keep_open,
        status=status,
        event_id=None if row.event_id is None else id_text(row.event_id),
        members_planned=row.rank,
        counts=CampaignResult(
            planned=sum(counts.statuses.values()),
            waiting=counts.active,
            sent=counts.of(*SUCCEEDED),
            failed=failed,
            not_sent=counts.of(*NOT_SENT),
            as_of=rfc3339(counts.as_of),
        ),
        eta=text_or_none(eta),
        created_at=rfc3339(state.created_at),
        updated_at=rfc3339(state.updated_at),
        started_at=text_or_none(state.started_at),
        finished_at=text_or_none(state.finished_at),
        actions=ACTIONS[row.status],
    )


router = Router(
    "/v1/campaigns",
    route_handlers=[
        list_campaigns,
        create_campaign,
        get_campaign,
        patch_campaign,
        delete_campaign,
        preview_campaign,
        start_campaign,
        pause_campaign,
        resume_campaign,
        cancel_campaign,
        retry_failed_messages,
    ],
    opt=one("campaign", "campaign_id"),
    tags=["Campaigns"],
)
