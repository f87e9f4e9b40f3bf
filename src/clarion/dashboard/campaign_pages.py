"""The pages of campaigns: how far each is, and buttons that start, pause, resume and cancel one."""

from __future__ import annotations

from typing import Any

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.labels import because, workflow_name
from clarion.dashboard.message_feed import when
from clarion.dashboard.page_address import cursor, record_id
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.model.campaign import GOING, OVER, Audience, CampaignStatus
from clarion.model.channel import Channel
from clarion.model.ids import id_text
from clarion.model.status import FAILED_FOR_GOOD, NOT_SENT, SUCCEEDED, Status
from clarion.services.campaigns import CampaignCounts, FoundCampaign

CAMPAIGNS = 50
TONES = {
    CampaignStatus.TESTING: "wait",
    CampaignStatus.RUNNING: "wait",
    CampaignStatus.PAUSED: "wait",
    CampaignStatus.DONE: "good",
}

route = PageRoutes()


@route("GET", "/ui/campaigns", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """All campaigns, newest first."""
    before = cursor(request, "campaigns")
    found, following = await site.parts.services.campaigns.page(site.tenant(), None, before, CAMPAIGNS)
    counts = await site.parts.services.campaigns.counts([one.row for one in found])
    rows = [await _row(site, one, counts[one.row.id]) for one in found]
    older = "" if following is None else following.hex()
    return Response(body=pages.render("campaigns.html", here="campaigns", rows=rows, older=older))


@route("GET", "/ui/campaigns/*", page=True)
async def one(site: Site, request: PageRequest, text: str) -> Response:
    """How far a campaign is; before it starts, what it would do."""
    service, tenant = site.parts.services.campaigns, site.tenant()
    found = await service.get(tenant, _id(text))
    preview = None
    if found.row.status is CampaignStatus.DRAFT:
        seen = await service.preview(tenant, found.row.id)
        preview = {
            "people": f"{seen.people:,}",
            "sampled": f"{seen.sampled:,}",
            "channels": [
                (CHANNEL_NAMES[Channel(name)], f"{count:,}") for name, count in seen.channels.items()
            ],
            "not_sent": [(because(reason), f"{count:,}") for reason, count in seen.not_sent.items()],
        }
    counts = await service.counts([found.row])
    shown = await _row(site, found, counts[found.row.id])
    body = pages.render("campaign.html", here="campaigns", below=True, one=shown, preview=preview)
    return Response(body=body)


@route("POST", "/ui/campaigns/*/start")
async def start(site: Site, request: PageRequest, text: str) -> Response:
    """Begin, or go on behind the test share."""
    return _page_of(await site.parts.services.campaigns.start(site.tenant(), _id(text)))


@route("POST", "/ui/campaigns/*/pause")
async def pause(site: Site, request: PageRequest, text: str) -> Response:
    """Nothing more starts."""
    return _page_of(await site.parts.services.campaigns.pause(site.tenant(), _id(text)))


@route("POST", "/ui/campaigns/*/resume")
async def resume(site: Site, request: PageRequest, text: str) -> Response:
    """Go on where it was paused."""
    return _page_of(await site.parts.services.campaigns.resume(site.tenant(), _id(text)))


@route("POST", "/ui/campaigns/*/cancel")
async def cancel(site: Site, request: PageRequest, text: str) -> Response:
    """End it; what is out stays out."""
    return _page_of(await site.parts.services.campaigns.cancel(site.tenant(), _id(text)))


@route("POST", "/ui/campaigns/*/retry-failed")
async def retry_failed(site: Site, request: PageRequest, text: str) -> Response:
    """Send again what failed: the same messages."""
    await site.parts.services.campaigns.retry_failed(site.tenant(), _id(text))
    return _page_of(await site.parts.services.campaigns.get(site.tenant(), _id(text)))


def _page_of(found: FoundCampaign) -> Response:
    return Response(status=303, headers={"location": f"/ui/campaigns/{id_text(found.row.id)}"})


def _id(text: str) -> bytes:
    return record_id(text, "campaign")


async def _row(site: Site, found: FoundCampaign, counts: CampaignCounts) -> dict[str, Any]:
    row, state = found
    service, campaign = site.parts.services.campaigns, state.campaign
    size = await service.size(row.tenant, state)
    workflow = site.parts.ledger.setup.workflows.all(row.tenant).get(campaign.workflow)
    return {
        "id": id_text(row.id),
        "name": campaign.name or campaign.workflow,
        "workflow": workflow_name(workflow, campaign.workflow),
        "workflow_key": campaign.workflow if workflow is not None else "",
        "audience": _audience(campaign.audience),
        "status": row.status.value.capitalize(),
        "tone": TONES.get(row.status, ""),
        "planned": row.rank,
        "size": max(size or 0, row.rank),
        "said": f"{row.rank:,} of {max(size or 0, row.rank):,}",
        "waiting": f"{counts.active:,}",
        "sent": f"{counts.of(*SUCCEEDED):,}",
        "failed": f"{counts.of(*FAILED_FOR_GOOD):,}",
        "said_messages": f"{counts.of(*Status):,}",
        "partly_failed": counts.of(*FAILED_FOR_GOOD) > 0,
        "not_sent": f"{counts.of(*NOT_SENT):,}",
        "as_of": when(counts.as_of),
        "created": when(state.created_at),
        "rate": "" if campaign.rate_per_s is None else f"{campaign.rate_per_s:,}",
        "tested": row.status is CampaignStatus.TESTED,
        "test_share": "" if campaign.test_share is None else f"{campaign.test_share:.0%}",
        "startable": row.status in {CampaignStatus.DRAFT, CampaignStatus.TESTED},
        "going": row.status in GOING,
        "paused": row.status is CampaignStatus.PAUSED,
        "over": row.status in OVER,
    }


def _audience(audience: Audience) -> str:
    if audience.topic is not None:
        return f"topic {audience.topic}"
    if audience.segment is not None:
        return f"segment {audience.segment}"
    if audience.object is not None:
        return str(audience.object)
    return f"a list of {len(audience.user_ids or ()):,}"
