"""Events that could not be planned, planned again when a person asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import TenantId
from clarion.ports.broker import Broker
from clarion.ports.ledger import SetAsides


class SetAsideEvents:
    """Puts events back into their lanes."""

    def __init__(self, set_aside: SetAsides, broker: Broker) -> None:
        self._set_aside = set_aside
        self._broker = broker

    async def plan_again(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        """How many went back."""
        entries = await self._set_aside.retry(tenant, seqs)
        self._broker.offer(entries)
        return len(entries)
