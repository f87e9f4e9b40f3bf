"""Campaigns as rows: the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.campaign import CampaignRange, CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import EventId, UserNo

COLUMNS = "id, tenant, status, lane, revision, sealed, due_at, event_id, after_user, rank, pace_rank, pace_at, fence"
_RANGES = "FROM campaign_ranges WHERE campaign = campaigns.id"
SHOWN = f"""
    id, tenant, status, lane, revision, sealed, due_at, event_id, after_user,
    rank + coalesce((SELECT sum(rank) {_RANGES}), 0), pace_rank, pace_at, fence, (SELECT count(*) {_RANGES})
"""
"""With what is planned of its ranges."""
RANGE = "campaign, tenant, begin_user, after_user, end_user, fence"


def row_of(row: CampaignRow) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
    return (*what, row.event_id, row.after, row.rank, row.pace_rank, row.pace_at, row.fence)


def campaign_of(found: Sequence[Any]) -> CampaignRow:
    """From a row of `SHOWN`."""
    id_, tenant, status, lane, revision, sealed, due_at, event_id, after, rank, *rest = found
    pace_rank, pace_at, fence, ranges = rest
    return CampaignRow(
        id=id_,
        tenant=tenant,
        status=CampaignStatus(status),
        lane=Lane(lane),
        revision=revision,
        sealed=sealed,
        due_at=due_at,
        event_id=None if event_id is None else EventId(event_id),
        after=after,
        rank=int(rank),
        pace_rank=pace_rank,
        pace_at=pace_at,
        fence=fence,
        ranges=ranges,
    )


def range_of(found: Sequence[Any]) -> CampaignRange:
    """From a row of `RANGE`."""
    campaign, tenant, begin, after, end, fence = found
    return CampaignRange(
        campaign=campaign,
        tenant=tenant,
        begin=UserNo(begin),
        after=UserNo(after),
        end=UserNo(end),
        fence=fence,
    )
