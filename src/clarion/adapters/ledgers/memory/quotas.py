"""What is left of the limits of providers."""

from __future__ import annotations

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant, QuotaState
from clarion.rules.exact import take


class MemoryQuotas:
    """Implements `ports.ledger.Quotas`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def take(self, tenant: TenantId, integration: str, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        def taken() -> QuotaGrant:
            place = tenant, integration
            state, grant = take(self._tables.quotas.get(place, QuotaState()), ask, now)
            self._tables.quotas[place] = state
            return grant

        return await self._transactions.write(taken)
