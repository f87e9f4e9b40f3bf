"""Chooses the integrations of each message in a batch, and puts off messages that no integration can take now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clarion.flow.dispatch.candidates import Candidates, NoCandidate
from clarion.flow.dispatch.integrations import Integrations
from clarion.flow.dispatch.targets import LiveIntegrations, SendTarget
from clarion.flow.lanes import InFlight, LaneQueue
from clarion.flow.lookups import integration_under_test
from clarion.model.ids import Instant, TenantId
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.ports.clock import Clock, Random
from clarion.rules.outcomes import settle_unsent

LEAST_WAIT_MS = 50
MOST_JITTER_S = 60.0
JITTER = 0.2
"""Of a wait, at most: what is put off together does not come back together."""


class Routed(NamedTuple):
    """A batch, divided by route."""

    groups: Sequence[tuple[SendTarget, list[InFlight]]]
    put_off: list[Settlement]


class Routing:
    """Finds integrations. While there is none, it puts messages off and pauses their queue."""

    def __init__(self, integrations: Integrations, clock: Clock, random: Random) -> None:
        self._integrations = integrations
        self._clock = clock
        self._random = random

    def divide(self, queue: LaneQueue, batch: Sequence[InFlight]) -> Routed:
        """Divide a batch: messages that can be sent, by route, and messages that are put off."""
        now, now_s = self._clock.now(), self._clock.monotonic()
        groups: dict[LiveIntegrations, list[InFlight]] = {}
        put_off: list[Settlement] = []
        choices: dict[tuple[TenantId, str], Candidates | NoCandidate] = {}
        closed_s = 0.0
        for in_flight in batch:
            tenant, only = in_flight.message.tenant, integration_under_test(in_flight.message.workflow)
            usable = choices.get((tenant, only))
            if usable is None:
                usable = self._integrations.usable(tenant, queue.channel, queue.lane, now_s, only)
                choices[tenant, only] = usable
            chosen = _chosen(in_flight, usable)
            if (
                isinstance(chosen, NoCandidate)
                and chosen.reason is Reason.NO_INTEGRATION
                and in_flight.message.sent_at is not None
            ):
                put_off.append(_sent_once(in_flight.message, now))
            elif isinstance(chosen, NoCandidate):
                put_off.append(self._put_off(in_flight.message, chosen.reason, chosen.wait_s, now))
                closed_s = max(closed_s, chosen.wait_s)
            else:
                groups.setdefault(chosen, []).append(in_flight)
        if closed_s and not groups:
            queue.rest(now_s, closed_s)
        return Routed([(SendTarget(integrations), group) for integrations, group in groups.items()], put_off)

    def put_off(
        self,
        queue: LaneQueue,
        group: Sequence[InFlight],
        reason: Reason,
        wait_s: float,
        *,
        apart_s: float = 0.0,
    ) -> list[Settlement]:
        """Each in its turn, `apart_s` after the one before, so that they do not all come back for the same place."""
        queue.rest(self._clock.monotonic(), wait_s + len(group) * apart_s)
        now = self._clock.now()
        return [
            self._put_off(in_flight.message, reason, wait_s + n * apart_s, now)
            for n, in_flight in enumerate(group)
        ]

    def _put_off(self, message: Message, reason: Reason, wait_s: float, now: Instant) -> Settlement:
        wait_ms = 1_000 * (wait_s + min(JITTER * wait_s, MOST_JITTER_S) * self._random.uniform())
        due = Instant(now + max(LEAST_WAIT_MS, round(wait_ms)))
        if message.expires_at is not None and due >= message.expires_at:
            return settle_unsent(message, Status.EXPIRED, Reason.EXPIRED, now)
        return settle_unsent(message, Status.DEFERRED, reason, now, due_at=due)


def _sent_once(message: Message, now: Instant) -> Settlement:
    return settle_unsent(message, Status.SENT, None, now, detail="no other integration takes it")


def _chosen(in_flight: InFlight, usable: Candidates | NoCandidate) -> LiveIntegrations | NoCandidate:
    """Whom the message takes; notes on it why, and which device takes whom."""
    verdict = in_flight.decision
    if isinstance(usable, NoCandidate):
        return usable
    if verdict is None or not verdict.others or verdict.contact is None:
        contact = None if verdict is None else verdict.contact
        one = usable.choose(in_flight.message, contact)
        if isinstance(one, NoCandidate):
            return one
        in_flight.choice = usable.why(one, in_flight.message, contact)
        return (one,)
    each = usable.choose_each(in_flight.message, (verdict.contact, *verdict.others))
    if isinstance(each, NoCandidate):
        return each
    in_flight.devices = each
    return tuple(sorted({live for _, live in each}, key=lambda live: live.key))
