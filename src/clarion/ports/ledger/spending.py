"""What messages cost, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import MessageId, TenantId
from clarion.model.spending import Charge, Charged, MessageCost, Spent


class Spending(Protocol):
    """Calls are paid for before they are made. Settling a message gives back what sent nothing."""

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        """One transaction: each call is paid for, or refused because a budget has too little left. What was paid for
        before is not paid for again."""

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        """What was spent on the days from `since` to before `until`, the oldest day first."""

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        """What these messages have cost, as long as they are kept; nothing for those without a price."""
