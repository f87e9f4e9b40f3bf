"""Lifts the blocks of the pumping guard."""

from __future__ import annotations

import structlog

from clarion.model.ids import TenantId
from clarion.ports.clock import Clock
from clarion.ports.ledger import NumberRanges

log = structlog.get_logger(__name__)


class NumberRangeService:
    """For people who know that a range is not abused."""

    def __init__(self, ranges: NumberRanges, clock: Clock) -> None:
        self._ranges = ranges
        self._clock = clock

    async def unblock(self, tenant: TenantId, digits: str) -> bool:
        """Whether it was blocked. Messages may go there at once, and its count begins anew."""
        lifted = await self._ranges.unblock(tenant, digits, self._clock.now())
        if lifted:
            log.warning("range_unblocked", tenant=tenant, range=digits)
        return lifted
