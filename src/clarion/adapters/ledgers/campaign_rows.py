"""Campaigns as rows: the same in every database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.model.campaign import CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import EventId

COLUMNS = "id, tenant, status, lane, revision, sealed, due_at, event_id, after_user, rank, pace_rank, pace_at, fence"


def row_of(row: CampaignRow) -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    what = (row.id, row.tenant, row.status.value, row.lane.value, row.revision, row.sealed, row.due_at)
    return (*what, row.event_id, row.after, row.rank, row.pace_rank, row.pace_at, row.fence)


def campaign_of(found: Sequence[Any]) -> CampaignRow:
    """From a row of `COLUMNS`."""
    id_, tenant, status, lane, revision, sealed, due_at, event_id, after, rank, pace_rank, pace_at, fence = (
        found
    )
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
        rank=rank,
        pace_rank=pace_rank,
        pace_at=pace_at,
        fence=fence,
    )
