"""What messages cost, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.spending import Charge, Charged, MessageCost, NumberRange, RangeLimit, Spent


class Spending(Protocol):
    """Calls are paid for before they are made, if the pumping guard lets them. Settling a message gives back what sent nothing."""

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        """One transaction: each call is paid for, or refused because its number is in a blocked range or a budget has
        too little left. What was paid for
        before is not paid for again."""

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        """What was spent on the days from `since` to before `until`, the oldest day first."""

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        """What these messages have cost, as long as they are kept; nothing for those without a price."""


class NumberRanges(Protocol):
    """What the pumping guard knows about ranges of numbers; `Spending.charge` counts there and blocks."""

    async def confirm(self, tenant: TenantId, ranges: Sequence[RangeLimit], at: Instant) -> None:
        """A code that was sent there was entered."""

    async def blocked(self, tenant: TenantId, at: Instant) -> Sequence[NumberRange]:
        """Those that are blocked, in order of their digits."""

    async def unblock(self, tenant: TenantId, digits: str, at: Instant) -> bool:
        """Whether it was blocked. Its count begins anew."""
