"""What is left of events to topics."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import Lane
from clarion.model.event import Continuation
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.plan import PlanCommit


class MemoryContinuations:
    """Implements `ports.ledger.Continuations`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def claim(self, worker: WorkerId, lane: Lane, limit: int, now: Instant) -> Sequence[Continuation]:
        def claim() -> list[Continuation]:
            if not self._leases.live(worker):
                return []
            tables = self._tables
            first: dict[TenantId, Continuation] = {}
            for key, one in sorted(tables.continuations.items(), key=lambda item: (item[1].due_at, item[0])):
                if one.lane is lane and one.due_at <= now and tables.continuing.get(key, worker) == worker:
                    first.setdefault(one.tenant, replace(one, fence=one.fence + 1))
            claimed = list(first.values())[:limit]
            for one in claimed:
                key = (one.event_id, one.workflow)
                tables.continuations[key] = one
                tables.continuing[key] = worker
            return claimed

        return await self._transactions.write(claim)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def holds(self, plan: PlanCommit) -> bool:
        """Whether its worker still has what the plan continues."""
        if plan.continued is None:
            return True
        key = (plan.continued.event_id, plan.continued.workflow)
        stored = self._tables.continuations.get(key)
        held = self._tables.continuing.get(key) == plan.worker
        return held and stored is not None and stored.fence == plan.continued.fence

    def follow(self, plan: PlanCommit) -> None:
        """What the plan continues is over; what is left behind it is due."""
        if plan.continued is not None:
            key = (plan.continued.event_id, plan.continued.workflow)
            del self._tables.continuations[key], self._tables.continuing[key]
        for one in plan.continuations:
            self._tables.continuations[one.event_id, one.workflow] = one
            self._tables.continuing.pop((one.event_id, one.workflow), None)
