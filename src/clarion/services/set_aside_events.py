"""Plans events again that could not be planned, or discards them."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.ids import TenantId
from clarion.ports.broker import Broker
from clarion.ports.clock import Clock
from clarion.ports.ledger import Events, SetAsides


class SetAsideEvents:
    """Returns events to their lanes, or discards them."""

    def __init__(self, events: Events, set_aside: SetAsides, broker: Broker, clock: Clock) -> None:
        self._events = events
        self._set_aside = set_aside
        self._broker = broker
        self._clock = clock

    async def plan_again(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        """How many went back. They leave the list once they are in their lanes: twice in a lane does no harm."""
        found = await self._set_aside.named(tenant, seqs)
        bodies = await self._events.bodies([(one.event_id, one.workflow) for one in found])
        if bodies:
            await self._broker.publish(list(bodies.values()))
        await self._set_aside.forget(tenant, [one.seq for one in found])
        return len(found)

    async def discard(self, tenant: TenantId, seq: int) -> bool:
        """Whether it was on the list. The event keeps its reason."""
        return await self._set_aside.discard(tenant, seq, self._clock.now())
