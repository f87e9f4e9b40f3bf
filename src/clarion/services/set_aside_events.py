"""Events that could not be planned: planned again or discarded, as a person says."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import TenantId
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock
from clarion.ports.ledger import SetAsides


class SetAsideEvents:
    """Puts events back into their lanes, or takes them off the list."""

    def __init__(self, set_aside: SetAsides, broker: Broker, clock: Clock) -> None:
        self._set_aside = set_aside
        self._broker = broker
        self._clock = clock

    async def plan_again(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        """How many went back."""
        entries = await self._set_aside.retry(tenant, seqs)
        self._broker.offer(entries)
        return len(entries)

    async def discard(self, tenant: TenantId, seq: int) -> bool:
        """Whether it was on the list. The event keeps its reason."""
        return await self._set_aside.discard(tenant, seq, self._clock.now())
