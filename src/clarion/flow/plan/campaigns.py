"""Members of campaigns, planned a page at a time.

The worker that claims a campaign plans its pages. Where there are many members and no rate, it only cuts its audience into ranges,
which all workers claim and plan side by side.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import structlog
from msgspec import DecodeError
from msgspec.structs import replace

from clarion.errors import SealBroken
from clarion.flow.campaign_states import opened_campaign
from clarion.flow.groups import Groups
from clarion.flow.lease import GivenUp, WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import last_known
from clarion.flow.plan.batch import PlanBatch
from clarion.flow.plan.planner import FANOUT_PAGE, UNKNOWN_MS, Planner
from clarion.flow.priority import PriorityGate
from clarion.flow.sealing import opened
from clarion.flow.sweeping import sweep_forever
from clarion.model.campaign import (
    CampaignPage,
    CampaignRange,
    CampaignRow,
    CampaignState,
    CampaignStatus,
    RangePage,
)
from clarion.model.channel import Lane
from clarion.model.event import Entry, Event, Group
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.lru import Lru
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.campaigns import advanced, members_ahead, paced, page_due, takes_part

log = structlog.get_logger(__name__)

CLAIM = 8
"""Campaigns claimed at once; they take turns."""
PAGES = 10
"""Pages of a campaign between two looks at the others."""
RANGE = 5_000
"""Members of a range."""
RANGES = 3
"""Ranges that one worker plans side by side: while a page of one is stored, a page of another is planned."""
READS = 40
"""Pages of the audience that are read for one page of a small test share."""
KEEP_OPEN_MS = 600_000
"""Between two passes through an audience that stays open for new members."""
KEPT = 64
"""Campaigns that are kept opened."""


class _Opened(NamedTuple):
    """What the members of a campaign are planned by."""

    state: CampaignState
    entry: Entry
    event: Event


class CampaignClaimer:
    """Claims campaigns whose members are due, and plans them. One sweeps a lane in a process."""

    def __init__(
        self,
        ledger: Ledger,
        groups: Groups,
        lease: WorkerLease,
        planner: Planner,
        priority: PriorityGate,
        vault: Vault,
        clock: Clock,
    ) -> None:
        self._ledger = ledger
        self._groups = groups
        self._lease = lease
        self._planner = planner
        self._priority = priority
        self._vault = vault
        self._clock = clock
        self._opened: Lru[tuple[bytes, int], _Opened] = Lru(KEPT)

    async def run(self, lane: Lane) -> None:
        """Sweep a lane until cancelled."""
        await sweep_forever(lane, self.sweep, "campaigns_wait", self._priority, self._clock)

    async def sweep(self, lane: Lane) -> bool:
        """Plan some pages of each campaign that is due, and some ranges; whether there were any."""
        worker = await self._lease.lasting()
        claimed = await self._ledger.campaigns.claim(worker, lane, CLAIM, self._clock.now())
        for row in claimed:
            await self._plan_pages(row)
        ranges = await self._ledger.campaign_ranges.claim(worker, lane, RANGES)
        with self._priority.planning() if ranges else nullcontext():
            went = await asyncio.gather(*map(self._plan_range, ranges), return_exceptions=True)
        for fault in went:
            if isinstance(fault, Exception):
                raise fault  # Only now: no range is planned any more when they are claimed again.
        return bool(claimed) or True in went

    async def _plan_pages(self, row: CampaignRow) -> None:
        campaign = await self._readable(row)
        if campaign is None:
            return
        for _ in range(PAGES):
            if row.due_at is None or row.due_at > self._clock.now():
                return
            try:
                page = await self._plan_page(row, campaign)
            except GivenUp:
                return  # Somebody paused or changed it, or this worker was given up.
            row = advanced(row, page)
            await self._priority.turn(row.lane)

    async def _plan_range(self, claimed: CampaignRange) -> bool:
        """Plan it to its end; whether it could be."""
        row = await self._ledger.campaigns.get(claimed.tenant, claimed.campaign)
        campaign = None if row is None else await self._readable(row)
        if row is None or campaign is None:
            return False
        after, is_last = claimed.after, False
        while not is_last:
            read = await audience_after(self._groups, row.tenant, campaign.state, after, FANOUT_PAGE)
            if read is None:
                return False
            page = [no for no in read if no <= claimed.end]
            is_last = len(page) < FANOUT_PAGE
            members = [no for no in page if takes_part(row, campaign.state.campaign.test_share, no)]
            draft = PlanBatch(await self._lease.lasting())
            draft.range_page = RangePage(
                campaign=row.id,
                begin=claimed.begin,
                fence=claimed.fence,
                before=after,
                after=claimed.end if is_last else page[-1],
                members=len(members),
                is_last=is_last,
            )
            try:
                await self._plan_members(draft, row, campaign, members, self._clock.now())
            except GivenUp:
                return True
            after = draft.range_page.after
            await self._priority.turn(row.lane)
        return True

    async def _plan_page(self, row: CampaignRow, campaign: _Opened) -> CampaignPage:
        now, asked = self._clock.now(), campaign.state.campaign
        due = paced(row, asked.rate_per_s, row.rank)
        if due is not None and due < now:
            row = replace(row, pace_rank=row.rank, pace_at=now)
        members, after, is_last = await self._members(row, campaign.state, now)
        cut_to = None
        if asked.rate_per_s is None and (
            len(members) > FANOUT_PAGE or (asked.test_share is not None and members)
        ):
            cut_to, members = members[-1], ()
        due_at: Instant | None = page_due(row, asked.rate_per_s, row.rank + len(members), now)
        if is_last is None:
            due_at = Instant(now + UNKNOWN_MS)
        elif is_last:
            stays_open = asked.keep_open and row.status is CampaignStatus.RUNNING
            after, due_at = (NO_USER, Instant(now + KEEP_OPEN_MS)) if stays_open else (after, None)
        draft = PlanBatch(await self._lease.lasting())
        draft.page = page = CampaignPage(
            id=row.id,
            fence=row.fence,
            before=row.after,
            after=after,
            members=len(members),
            due_at=due_at,
            pace_rank=row.pace_rank,
            pace_at=row.pace_at,
            cut_to=cut_to,
        )
        if not row.rank and row.after == NO_USER:
            draft.bodies = (campaign.entry,)
        await self._plan_members(draft, row, campaign, members, now)
        return page

    async def _plan_members(
        self,
        draft: PlanBatch,
        row: CampaignRow,
        campaign: _Opened,
        members: Sequence[UserNo],
        now: Instant,
    ) -> None:
        """Plan and store them. Raises Unavailable and GivenUp."""
        state, entry, event = campaign
        draft.again = state.campaign.keep_open
        if members:
            await self._ledger.setup.catch_up(entry.setup_revision)
            users = await self._ledger.users.get(members)
            setup = await self._planner.setup_of_entry(draft, entry)
            workflow = (
                setup.workflow
                if setup is not None
                else await last_known(self._ledger.setup, entry.tenant, entry.workflow)
            )
            people = _paced(row, state.campaign.rate_per_s, event, members, users)
            await self._planner.plan_people(draft, entry, setup, workflow, people, now)
        await self._planner.store_claimed(row.lane, draft)

    async def _members(
        self, row: CampaignRow, state: CampaignState, now: Instant
    ) -> tuple[Sequence[UserNo], UserNo, bool | None]:
        """The next members of this pass, up to whom the audience was looked through, and whether that is its end. None: nobody
        knows yet who they are, or the pass before is not over."""
        asked = state.campaign
        if asked.rate_per_s is None:
            if row.after == NO_USER and row.ranges:
                return (), NO_USER, None
            read = await audience_after(self._groups, row.tenant, state, row.after, RANGE)
            if read is None:
                return (), row.after, None
            return read, read[-1] if read else row.after, len(read) < RANGE
        most = members_ahead(row, asked.rate_per_s, FANOUT_PAGE, now)
        found: list[UserNo] = []
        after, is_last = row.after, False
        for _ in range(READS):
            read = await audience_after(self._groups, row.tenant, state, after, FANOUT_PAGE)
            if read is None:
                return (), after, None
            found += [no for no in read if takes_part(row, asked.test_share, no)]
            after, is_last = read[-1] if read else after, len(read) < FANOUT_PAGE
            if is_last or len(found) >= most:
                break
        if len(found) > most:
            return found[:most], found[most - 1], False
        return found, after, is_last

    async def _readable(self, row: CampaignRow) -> _Opened | None:
        """None: it cannot be read, and nothing of it is planned any more."""
        try:
            return self._open(row)
        except (SealBroken, DecodeError) as fault:
            log.error("campaign_unreadable", error=type(fault).__name__)
            broken = replace(row, revision=row.revision + 1, due_at=None)
            await self._ledger.campaigns.put(broken, row.revision)
            return None

    def _open(self, row: CampaignRow) -> _Opened:
        """Raises SealBroken and DecodeError."""
        found = self._opened.get((row.id, row.revision))
        if found is None:
            state = opened_campaign(row, self._vault)
            assert row.event_id is not None
            entry = Entry(
                event_id=row.event_id,
                tenant=row.tenant,
                lane=row.lane,
                workflow=state.campaign.workflow,
                sealed=state.event,
                sealed_for=NO_USER,
                setup_revision=state.setup_revision,
            )
            event = opened(entry, {}, self._vault)
            assert event is not None
            found = self._opened.put((row.id, row.revision), _Opened(state, entry, event))
        return found


async def audience_after(
    groups: Groups, tenant: TenantId, state: CampaignState, after: UserNo, limit: int
) -> Sequence[UserNo] | None:
    """The next people of an audience behind this one, in order of number. None: they are not known yet."""
    audience = state.campaign.audience
    if audience.user_ids is not None:
        first = bisect_right(state.members, after)
        return state.members[first : first + limit]
    group = Group(topic=audience.topic_key or "", segment=audience.segment or "")
    return await groups.page(tenant, group, after, limit)


def _paced(
    row: CampaignRow,
    rate_per_s: int | None,
    event: Event,
    members: Sequence[UserNo],
    users: Mapping[UserNo, User],
) -> Iterator[tuple[UserNo, User | None, Event]]:
    """Each with the event as it is for them: at a rate, each has a time of their own. Who was deleted meanwhile is left out."""
    for place, no in enumerate(members):
        user = users.get(no)
        if user is None:
            continue
        due = paced(row, rate_per_s, row.rank + place)
        if due is None or (event.send_at is not None and due <= event.send_at):
            yield no, user, event
        else:
            yield no, user, replace(event, send_at=due)
