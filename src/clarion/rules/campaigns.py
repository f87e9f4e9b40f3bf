"""The pace of a campaign, how far it has come, and who belongs to its test share."""

from __future__ import annotations

from hashlib import blake2b

from msgspec.structs import replace

from clarion.model.campaign import CampaignPage, CampaignRow, CampaignStatus
from clarion.model.ids import Instant, UserNo

LEAD_MS = 10_000
"""So long before its first member is due, a page is planned: what is planned can still be paused, and little of it is."""


def paced(row: CampaignRow, rate_per_s: int | None, rank: int) -> Instant | None:
    """When the member of this rank is due; None: at once."""
    if rate_per_s is None:
        return None
    return Instant(row.pace_at + (rank - row.pace_rank) * 1_000 // rate_per_s)


def members_ahead(row: CampaignRow, rate_per_s: int, most: int, now: Instant) -> int:
    """How many members are planned next: those that are due soon, one at least."""
    until = row.pace_rank + (now + LEAD_MS - row.pace_at) * rate_per_s // 1_000
    return max(1, min(most, until - row.rank))


def page_due(row: CampaignRow, rate_per_s: int | None, rank: int, now: Instant) -> Instant:
    """When the page that begins with this rank is planned."""
    due = paced(row, rate_per_s, rank)
    return now if due is None else max(now, Instant(due - LEAD_MS))


def advanced(row: CampaignRow, page: CampaignPage) -> CampaignRow:
    """The campaign once the page is planned."""
    return replace(
        row,
        after=page.after,
        rank=row.rank + page.members,
        due_at=page.due_at,
        pace_rank=page.pace_rank,
        pace_at=page.pace_at,
    )


def takes_part(row: CampaignRow, test_share: float | None, user: UserNo) -> bool:
    """Whether a member is planned in this pass: the test share first, then the others."""
    if test_share is None:
        return True
    place = int.from_bytes(blake2b(row.id + user.to_bytes(8, "big"), digest_size=7).digest(), "big")
    return (place < test_share * 2**56) is (row.status is CampaignStatus.TESTING)
