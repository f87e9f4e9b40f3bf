"""The integrations that one attempt needs, and the slots it has reserved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clarion.flow.dispatch.live_integration import LiveIntegration
from clarion.flow.lanes import InFlight, LaneQueue
from clarion.model.channel import Lane
from clarion.model.outgoing import Outgoing
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.ledger import Quotas

LiveIntegrations = tuple[LiveIntegration, ...]
ReadyCall = tuple[InFlight, LiveIntegration, Outgoing]
"""One message to one contact, and who takes it there. Those of one message stand together."""


class Permits:
    """The slots of one batch. Each integration releases its own when it is done, so a slow one does not block the others."""

    __slots__ = ("_held", "_queue")

    def __init__(self, queue: LaneQueue, integrations: LiveIntegrations) -> None:
        self._queue = queue
        self._held = list(integrations)
        for live in integrations:
            live.begin(queue.lane)

    async def release(self, live: LiveIntegration) -> None:
        """Release the slot of one integration."""
        self._held.remove(live)
        self._queue.slot_free.set()
        await live.end(self._queue.lane)

    async def release_all(self) -> None:
        """Release all slots."""
        for live in self._held[:]:
            await self.release(live)


class SendTarget:
    """The integrations that an attempt needs: one, or several where a person's devices are of several kinds.

    It takes a slot and tokens of each of them, or does not begin: no device is left out because its integration is
    busy for a moment.
    """

    __slots__ = ("_integrations", "first", "idempotent", "limited", "marks_late", "seconds_each")

    def __init__(self, integrations: LiveIntegrations) -> None:
        self._integrations = integrations
        self.first = integrations[0]
        self.idempotent = all(live.plugin.idempotent for live in integrations)
        """Whether a repeated attempt has no second effect."""
        self.marks_late = all(live.plugin.marks_late for live in integrations)
        self.limited = any(live.limited for live in integrations)
        self.seconds_each = max(live.seconds_each for live in integrations)
        """Seconds per message at the rate limit; 0 without one."""

    def parts(self, group: Sequence[InFlight]) -> Iterator[Sequence[InFlight]]:
        """As many messages at a time as fit into one call; one with more devices than that goes alone."""
        size = min(live.plugin.batch for live in self._integrations)
        begin = calls = 0
        for at, in_flight in enumerate(group):
            more = len(in_flight.devices) or 1
            if calls and calls + more > size:
                yield group[begin:at]
                begin, calls = at, 0
            calls += more
        yield group[begin:]

    def has_slot(self, lane: Lane, now_s: float) -> bool:
        """Whether another batch of `lane` may start."""
        return all(live.has_slot(lane, now_s) for live in self._integrations)

    async def grant(
        self, lane: Lane, part: Sequence[InFlight], quotas: Quotas, clock: Clock
    ) -> tuple[int, float, Reason]:
        """How many of the messages the limits let through now, in order; how long the rest should wait, and why."""
        granted, wait_s, reason = len(part), 0.0, Reason.RATE_LIMITED
        for live in self._integrations:
            if live.limited and granted:
                calls = [_calls(in_flight, live) for in_flight in part[:granted]]
                its = await live.grant(lane, calls, quotas, clock)
                granted = its.granted
                if its.by_day:  # Others may take them, so they look again at once.
                    reason = Reason.DAILY_QUOTA
                else:
                    wait_s = max(wait_s, its.wait_ms / 1_000)
        return granted, wait_s, reason

    def begin(self, queue: LaneQueue) -> Permits:
        """A batch of the queue starts."""
        return Permits(queue, self._integrations)


def _calls(in_flight: InFlight, live: LiveIntegration) -> int:
    return sum(1 for _, its in in_flight.devices if its is live) if in_flight.devices else 1
