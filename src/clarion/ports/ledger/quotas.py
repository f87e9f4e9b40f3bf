"""The limits of providers, shared by all processes."""

from __future__ import annotations

from typing import Protocol

from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant


class Quotas(Protocol):
    """One budget of calls for each integration."""

    async def take(self, tenant: TenantId, integration: str, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        """Take calls, as `rules.exact.quotas` decides, in one transaction. What was taken is not given back."""
