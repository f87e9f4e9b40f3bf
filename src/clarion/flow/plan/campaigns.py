"""Members of campaigns, planned a page at a time by whichever worker claims the campaign."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
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
from clarion.model.campaign import CampaignPage, CampaignRow, CampaignState, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.event import Entry, Event, Group
from clarion.model.ids import NO_USER, Instant, TenantId, UserNo
from clarion.model.lru import Lru
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault
from clarion.rules.campaigns import members_ahead, paced, page_due, takes_part

log = structlog.get_logger(__name__)

CLAIM = 8
"""Campaigns claimed at once; they take turns."""
PAGES = 10
"""Pages of a campaign between two looks at the others."""
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
        """Plan some pages of each campaign that is due; whether there was any."""
        worker = await self._lease.lasting()
        claimed = await self._ledger.campaigns.claim(worker, lane, CLAIM, self._clock.now())
        for row in claimed:
            await self._plan_pages(row)
        return bool(claimed)

    async def _plan_pages(self, row: CampaignRow) -> None:
        try:
            campaign = self._open(row)
        except (SealBroken, DecodeError) as fault:
            log.error("campaign_unreadable", error=type(fault).__name__)
            broken = replace(row, revision=row.revision + 1, due_at=None)
            await self._ledger.campaigns.put(broken, row.revision)
            return
        for _ in range(PAGES):
            if row.due_at is None or row.due_at > self._clock.now():
                return
            try:
                page = await self._plan_page(row, campaign)
            except GivenUp:
                return  # Somebody paused or changed it, or this worker was given up.
            row = replace(row, after=page.after, rank=page.rank, due_at=page.due_at)
            await self._priority.turn(row.lane)

    async def _plan_page(self, row: CampaignRow, campaign: _Opened) -> CampaignPage:
        state, entry, event = campaign
        now = self._clock.now()
        asked, draft = state.campaign, PlanBatch(await self._lease.lasting())
        most = members_ahead(row, asked.rate_per_s, FANOUT_PAGE, now)
        members, after, is_last = await self._members(row, state, most)
        rank = row.rank + len(members)
        due_at: Instant | None = page_due(row, asked.rate_per_s, rank, now)
        if is_last is None:
            due_at = Instant(now + UNKNOWN_MS)
        elif is_last:
            stays_open = asked.keep_open and row.status is CampaignStatus.RUNNING
            after, due_at = (NO_USER, Instant(now + KEEP_OPEN_MS)) if stays_open else (after, None)
        draft.page = page = CampaignPage(
            id=row.id, fence=row.fence, before=row.after, after=after, rank=rank, due_at=due_at
        )
        draft.again = asked.keep_open
        if members:
            await self._ledger.setup.catch_up(entry.setup_revision)
            users = await self._ledger.users.get(members)
            setup = await self._planner.setup_of_entry(draft, entry)
            workflow = (
                setup.workflow
                if setup is not None
                else await last_known(self._ledger.setup, entry.tenant, entry.workflow)
            )
            people = _paced(row, asked.rate_per_s, event, members, users)
            await self._planner.plan_people(draft, entry, setup, workflow, people, now)
            if not row.rank:
                draft.bodies = (entry,)
        await self._planner.store_claimed(row.lane, draft)
        return page

    async def _members(
        self, row: CampaignRow, state: CampaignState, most: int
    ) -> tuple[Sequence[UserNo], UserNo, bool | None]:
        """The next members of this pass, up to whom the audience was looked through, and whether that is its end. None: nobody
        knows yet who they are."""
        found: list[UserNo] = []
        after, is_last = row.after, False
        for _ in range(READS):
            read = await audience_after(self._groups, row.tenant, state, after, FANOUT_PAGE)
            if read is None:
                return (), after, None
            found += [no for no in read if takes_part(row, state.campaign.test_share, no)]
            after, is_last = read[-1] if read else after, len(read) < FANOUT_PAGE
            if is_last or len(found) >= most:
                break
        if len(found) > most:
            return found[:most], found[most - 1], False
        return found, after, is_last

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
    group = Group(topic=audience.topic or "", segment=audience.segment or "")
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
