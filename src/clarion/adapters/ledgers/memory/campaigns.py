"""Campaigns, and how far their members are planned."""

from __future__ import annotations

from collections.abc import Sequence, Set

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.campaign import CampaignRow, CampaignStatus
from clarion.model.channel import Lane
from clarion.model.ids import NO_USER, EventId, Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit


class MemoryCampaigns:
    """Implements `ports.ledger.Campaigns`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def put(self, row: CampaignRow, after: int | None, *, again: bool = False) -> bool:
        def put() -> bool:
            stored = self._tables.campaigns.get(row.id)
            if after is None:
                if stored is None:
                    self._tables.campaigns[row.id] = row
                return stored is None
            if stored is None or stored.tenant != row.tenant or stored.revision != after:
                return False
            self._tables.campaigns[row.id] = replace(
                row,
                after=NO_USER if again else stored.after,
                rank=stored.rank,
                pace_rank=stored.rank,
                fence=stored.fence + 1,
            )
            self._tables.campaign_holders.pop(row.id, None)
            return True

        return await self._transactions.write(put)

    async def get(self, tenant: TenantId, id: bytes) -> CampaignRow | None:
        row = self._tables.campaigns.get(id)
        return row if row is not None and row.tenant == tenant else None

    async def page(
        self, tenant: TenantId | None, statuses: Set[CampaignStatus], before: bytes | None, limit: int
    ) -> Sequence[CampaignRow]:
        found = [
            row
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
            return found

        return await self._transactions.write(claim)

    async def paused(self, events: Sequence[EventId]) -> Set[EventId]:
        rows = self._tables.campaigns.values()
        held = {row.event_id for row in rows if row.status is CampaignStatus.PAUSED}
        return {event for event in events if event in held}

    # -- inside a transaction ---------------------------------------------------------------------------------

    def holds(self, plan: PlanCommit) -> bool:
        """Whether its worker still plans the campaign whose page it is of, and came to where that begins."""
        page = plan.page
        if page is None:
            return True
        row = self._tables.campaigns.get(page.id)
        held = self._tables.campaign_holders.get(page.id) == plan.worker
        return held and row is not None and (row.fence, row.after) == (page.fence, page.before)

    def follow(self, plan: PlanCommit) -> None:
        """The campaign has come so far."""
        if (page := plan.page) is not None:
            row = self._tables.campaigns[page.id]
            self._tables.campaigns[page.id] = replace(
                row, after=page.after, rank=page.rank, due_at=page.due_at
            )
