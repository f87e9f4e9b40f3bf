"""Messages whose delivery is to store them, as in an inbox: they are stored with their plan, in their final state.

Only what takes the straight way is delivered here. Whatever is unusual about a message or its integration, it goes
through the queues like all others, and what is stored of it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.dispatch.outgoing import OutgoingBuilder
from clarion.flow.dispatch.payments import Payments
from clarion.flow.dispatch.provider_calls import ProviderCalls
from clarion.flow.dispatch.recheck import Recheck
from clarion.flow.dispatch.rendering import is_overridden
from clarion.flow.dispatch.targets import ReadyCall, SendTarget
from clarion.flow.lanes import InFlight
from clarion.flow.priority import PriorityGate
from clarion.model.channel import Channel, Lane
from clarion.model.ids import TenantId
from clarion.model.inbox import InboxChange
from clarion.model.outcome import Accepted
from clarion.model.settlement import Settlement
from clarion.model.setup import UnknownPolicy
from clarion.ports.clock import Clock, Random
from clarion.rules.outcomes import AttemptContext, settle_outcome

log = structlog.get_logger(__name__)

CHUNK = {Lane.CRITICAL: 64, Lane.HIGH: 64, Lane.NORMAL: 64, Lane.BULK: 32}
"""Messages made between two looks at more urgent work."""

Stored = Callable[[Sequence[Settlement], Sequence[InboxChange]], None]


class DeliveryByStoring:
    """Implements `flow.lanes.StoredDelivery`."""

    def __init__(
        self,
        integrations: Integrations,
        outgoing: OutgoingBuilder,
        recheck: Recheck,
        payments: Payments,
        calls: ProviderCalls,
        priority: PriorityGate,
        stored: Stored,
        clock: Clock,
        random: Random,
    ) -> None:
        """`stored(settlements, inbox)` tells whoever watches."""
        self._integrations = integrations
        self._outgoing = outgoing
        self._recheck = recheck
        self._payments = payments
        self._calls = calls
        self._priority = priority
        self._tell = stored
        self._clock = clock
        self._random = random

    async def settle(self, lane: Lane, batch: Sequence[InFlight]) -> list[Settlement]:
        """What became of those that take the straight way. Looked at a last time when all of them are made: an opt-out
        that was answered by then counts (I8)."""
        settlements: dict[InFlight, Settlement] = {}
        for live, group in self._groups(batch):
            size = min(CHUNK[lane], live.plugin.batch)
            for at in range(0, len(group), size):
                await self._settle(lane, live, group[at : at + size], settlements)
                await self._priority.turn(lane)
        if not settlements:
            return []
        return [settlements[in_flight] for in_flight in await self._recheck.same(list(settlements))]

    def stored(self, settlements: Sequence[Settlement], inbox: Sequence[InboxChange]) -> None:
        """Count them, and tell whoever watches."""
        self._calls.attempts += sum(1 for one in settlements if one.outcome is not None)
        self._tell(settlements, inbox)

    def _groups(self, batch: Sequence[InFlight]) -> list[tuple[LiveIntegration, list[InFlight]]]:
        found: dict[tuple[TenantId, Channel], tuple[LiveIntegration, list[InFlight]] | None] = {}
        now_s = self._clock.monotonic()
        for in_flight in batch:
            if not (_is_straight(in_flight) and self._payments.is_free(in_flight)):
                continue
            route = in_flight.message.tenant, in_flight.message.channel
            if route not in found:
                live = self._integrations.storing(*route, now_s)
                found[route] = None if live is None else (live, [])
            if (group := found[route]) is not None:
                group[1].append(in_flight)
        return [group for group in found.values() if group is not None]

    async def _settle(
        self,
        lane: Lane,
        live: LiveIntegration,
        group: Sequence[InFlight],
        settlements: dict[InFlight, Settlement],
    ) -> None:
        live.begin(lane)
        try:
            started = self._clock.monotonic()
            ready, failed = await self._outgoing.build(SendTarget((live,)), group)
            accepted = await self._accepted(live, ready, started)
        except Exception as fault:
            # What is wrong is found out on the usual way, which knows what to do about it.
            log.exception("not_delivered_with_plan", integration=live.key, error=type(fault).__name__)
            return
        finally:
            await live.end(lane)
        by_id = {in_flight.message.id: in_flight for in_flight in group}
        settlements.update((by_id[one.message.id], one) for one in (*accepted, *failed))

    async def _accepted(
        self, live: LiveIntegration, ready: Sequence[ReadyCall], started: float
    ) -> list[Settlement]:
        if not ready:
            return []
        outcomes = await live.provider.send([outgoing for _, _, outgoing in ready])
        context = AttemptContext(
            integration=live.key,
            idempotent=True,
            alternatives=0,
            took_ms=round((self._clock.monotonic() - started) * 1000),
        )
        now, uniform = self._clock.now(), self._random.uniform
        return [
            settle_outcome(
                outgoing, outcome, context, on_unknown=UnknownPolicy.DO_NOT_SEND, now=now, uniform=uniform()
            )
            for (_, _, outgoing), outcome in zip(ready, outcomes, strict=True)
            if type(outcome) is Accepted
        ]


def _is_straight(in_flight: InFlight) -> bool:
    """One message to one contact, of content that is rendered here."""
    message, decision = in_flight.message, in_flight.decision
    return (
        decision is not None
        and not decision.others
        and not message.later_rungs
        and not message.attempt
        and not is_overridden(in_flight.event)
    )
