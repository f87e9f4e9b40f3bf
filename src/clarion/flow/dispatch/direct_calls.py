"""Calls of providers for what is no message of the store, such as the reply to an opt-out."""

from __future__ import annotations

import asyncio
from asyncio import Future

from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.provider_calls import ProviderCalls
from clarion.model.channel import Lane
from clarion.model.ids import TenantId
from clarion.model.outcome import Outcome, Rejected, Retry
from clarion.model.outgoing import Outgoing
from clarion.model.status import Reason
from clarion.ports.clock import Clock


class Unrecorded:
    """Implements `ports.provider.Report`: the caller has recorded that the call begins."""

    def begins(self, index: int) -> Future[bool]:
        """It may."""
        begun: Future[bool] = asyncio.get_running_loop().create_future()
        begun.set_result(True)
        return begun

    def ended(self, index: int, outcome: Outcome) -> None:
        """The call returns it."""


class DirectCalls:
    """Makes one call at a time, outside of lanes and of the integration's rate limit."""

    def __init__(self, integrations: Integrations, calls: ProviderCalls, clock: Clock) -> None:
        self._integrations = integrations
        self._calls = calls
        self._clock = clock

    async def send(self, tenant: TenantId, integration: str, outgoing: Outgoing) -> Outcome:
        """Send it once through the integration with this key."""
        live = self._integrations.enabled(tenant, integration)
        if live is None:
            return Rejected(reason=Reason.NO_INTEGRATION)
        wait_s = live.closed_for_s(self._clock.monotonic())
        if wait_s > 0:
            return Retry(reason=Reason.CIRCUIT_OPEN, after_s=wait_s)
        lane = Lane.HIGH
        live.begin(lane)
        try:
            (outcome,) = await self._calls.invoke(live, [outgoing], Unrecorded())
        finally:
            await live.end(lane)
        return outcome
