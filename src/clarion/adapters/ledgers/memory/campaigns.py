"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.journal import record
from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.campaign import GOING, CampaignRange, CampaignRow, CampaignStatus, EventCampaign
from clarion.model.channel import Lane
from clarion.model.ids import NO_USER, EventId, Instant, TenantId, UserNo, WorkerId
from clarion.model.plan import PlanCommit
from clarion.model.user_change import UserChange
from clarion.rules.campaigns import advanced


class MemoryCampaigns:
    """Implements `ports.ledger.Campaigns`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def put(
        self,
        row: CampaignRow,
        after: int | None,
        *,
        again: bool = False,
        rate_per_s: int | None = None,
        said: Sequence[UserChange] = (),
    ) -> bool:
        def put() -> bool:
            stored = self._tables.campaigns.get(row.id)
            if after is None:
                if stored is None:
                    self._tables.campaigns[row.id] = row
                return stored is None
            if stored is None or stored.tenant != row.tenant or stored.revision != after:
                return False
            following = row.pace_at
            if rate_per_s is not None:
                following = Instant(stored.pace_at + (stored.rank - stored.pace_rank) * 1_000 // rate_per_s)
            self._tables.campaigns[row.id] = replace(
                row,
                after=NO_USER if again else stored.after,
                rank=stored.rank,
                pace_rank=stored.rank,
                pace_at=max(row.pace_at, following),
                fence=stored.fence + 1,
                ranges=0,
            )
            self._tables.campaign_holders.pop(row.id, None)
            self._free_ranges(row)
            record(self._tables, said)
            return True

        return await self._transactions.write(put)

    def _free_ranges(self, row: CampaignRow) -> None:
        """Nobody plans one of its ranges any more; of a campaign that is over they are gone."""
        tables = self._tables
        for key, part in [(key, one) for key, one in tables.campaign_ranges.items() if key[0] == row.id]:
            tables.range_holders.pop(key, None)
            tables.campaign_ranges[key] = replace(part, fence=part.fence + 1)
            if row.status not in GOING and row.status is not CampaignStatus.PAUSED:
                self._end_range(key)

    def _end_range(self, key: tuple[bytes, UserNo]) -> None:
        tables = self._tables
        row, members = tables.campaigns[key[0]], tables.range_ranks.pop(key)
        tables.campaigns[key[0]] = replace(row, rank=row.rank + members)
        del tables.campaign_ranges[key]
        tables.range_holders.pop(key, None)

    def _shown(self, row: CampaignRow) -> CampaignRow:
        """With its ranges, and what is planned of them."""
        ranks = [rank for (campaign, _), rank in self._tables.range_ranks.items() if campaign == row.id]
        return replace(row, rank=row.rank + sum(ranks), ranges=len(ranks)) if ranks else row

    async def get(self, tenant: TenantId, id: bytes) -> CampaignRow | None:
        row = self._tables.campaigns.get(id)
        return self._shown(row) if row is not None and row.tenant == tenant else None

    async def page(
        self, tenant: TenantId | None, statuses: Set[CampaignStatus], before: bytes | None, limit: int
    ) -> Sequence[CampaignRow]:
        found = [
            self._shown(row)
            for row in self._tables.campaigns.values()
            if tenant in (None, row.tenant) and (before is None or row.id < before)
            if row.status in statuses or (not statuses and tenant is not None)
        ]
        return sorted(found, key=lambda row: row.id, reverse=True)[:limit]

    async def drop(self, tenant: TenantId, id: bytes) -> bool:
        def drop() -> bool:
            row = self._tables.campaigns.get(id)
            if row is None or row.tenant != tenant:
                return False
            del self._tables.campaigns[id]
            self._tables.campaign_holders.pop(id, None)
            return True

        return await self._transactions.write(drop)

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[CampaignRow]:
        def claim() -> list[CampaignRow]:
            if not self._leases.live(worker):
                return []
            tables = self._tables
            due = [
                (row.due_at, row.id, row)
                for row in tables.campaigns.values()
                if row.lane is lane and row.due_at is not None and row.due_at <= now
                if tables.campaign_holders.get(row.id, worker) == worker
            ]
            found = [
                replace(row, fence=row.fence + 1) for *_, row in sorted(due, key=lambda one: one[:2])[:limit]
            ]
            for row in found:
                tables.campaigns[row.id] = row
                tables.campaign_holders[row.id] = worker
            return list(map(self._shown, found))

        return await self._transactions.write(claim)

    async def of_events(self, events: Sequence[EventId]) -> Mapping[EventId, EventCampaign]:
        paused = CampaignStatus.PAUSED
        return {
            row.event_id: EventCampaign(row.id, row.status is paused)
            for row in self._tables.campaigns.values()
            if row.event_id is not None and row.event_id in events
        }

    # -- inside a transaction ---------------------------------------------------------------------------------

    def holds(self, plan: PlanCommit) -> bool:
        """Whether its worker still plans the campaign or range whose page it is of, and came to where that begins."""
        page, part = plan.page, plan.range_page
        if page is not None:
            row = self._tables.campaigns.get(page.id)
            held = self._tables.campaign_holders.get(page.id) == plan.worker
            return held and row is not None and (row.fence, row.after) == (page.fence, page.before)
        if part is not None:
            key = (part.campaign, part.begin)
            stored = self._tables.campaign_ranges.get(key)
            held = self._tables.range_holders.get(key) == plan.worker
            return held and stored is not None and (stored.fence, stored.after) == (part.fence, part.before)
        return True

    def follow(self, plan: PlanCommit) -> None:
        """The campaign or range has come so far."""
        tables = self._tables
        if (page := plan.page) is not None:
            row = tables.campaigns[page.id]
            tables.campaigns[page.id] = advanced(row, page)
            if page.cut_to is not None:
                key = (page.id, page.before)
                tables.campaign_ranges[key] = CampaignRange(
                    campaign=row.id,
                    tenant=row.tenant,
                    begin=page.before,
                    after=page.before,
                    end=page.cut_to,
                    fence=0,
                )
                tables.range_ranks[key] = 0
        if (part := plan.range_page) is not None:
            key = (part.campaign, part.begin)
            tables.campaign_ranges[key] = replace(tables.campaign_ranges[key], after=part.after)
            tables.range_ranks[key] += part.members
            if part.is_last:
                self._end_range(key)


class MemoryCampaignRanges:
    """Implements `ports.ledger.CampaignRanges`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int) -> Sequence[CampaignRange]:
        def claim() -> list[CampaignRange]:
            if not self._leases.live(worker):
                return []
            tables = self._tables
            free = [
                (one.begin, one.campaign)
                for key, one in tables.campaign_ranges.items()
                if tables.range_holders.get(key, worker) == worker
                if tables.campaigns[one.campaign].lane is lane
                if tables.campaigns[one.campaign].status in GOING
            ]
            found = []
            for begin, campaign in sorted(free)[:limit]:
                key = (campaign, begin)
                one = tables.campaign_ranges[key]
                tables.campaign_ranges[key] = one = replace(one, fence=one.fence + 1)
                tables.range_holders[key] = worker
                found.append(one)
            return found

        return await self._transactions.write(claim)
