"""Checks messages again right before they are sent, so that changes made after planning still count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import structlog

from clarion.flow.lanes import HELD_MS, InFlight
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import setup_of
from clarion.model.event import Event
from clarion.model.ids import EventId, Instant, UserNo
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.rules.eligibility import Decision, evaluate
from clarion.rules.endpoints import addresses
from clarion.rules.outcomes import settle_unsent
from clarion.rules.plan import topics_for
from clarion.rules.schedule import start

log = structlog.get_logger(__name__)

PAUSE_MS = 300_000
"""How long a message of a paused campaign waits until the next look: so long a resume may take to reach what was planned."""
CHECK_FRESH_S = 0.05
"""How old a check may be when a call starts: another process may have changed the user since then."""


class Rechecked(NamedTuple):
    """A batch after the recheck."""

    going: list[InFlight]
    stopped: list[Settlement]
    """What became of those that must not go now."""
    stale: list[InFlight]
    """Not ours any more, or in memory for too long: whoever claims them next sends them."""


class Recheck:
    """Decides again when the user, the set-up or the time has changed since planning."""

    def __init__(self, ledger: Ledger, lease: WorkerLease, clock: Clock) -> None:
        self._users = ledger.users
        self._campaigns = ledger.campaigns
        self._setup = ledger.setup
        self._lease = lease
        self._clock = clock

    async def batch(self, batch: Sequence[InFlight]) -> Rechecked:
        """Which may go. Waits until the lease surely lasts. What was committed before binds whatever was queued (I8)."""
        worker = await self._lease.lasting()
        checked_s = self._clock.monotonic()
        changed, paused = await self._changed(batch), await self._paused(batch)
        now = self._clock.now()
        going: list[InFlight] = []
        stopped: list[Settlement] = []
        stale: list[InFlight] = []
        for in_flight in batch:
            if in_flight.worker != worker or in_flight.since + HELD_MS <= now:
                stale.append(in_flight)
            elif (stop := self._stop(in_flight, changed, paused, now)) is not None:
                stopped.append(stop)
            else:
                in_flight.checked_s = checked_s
                going.append(in_flight)
        return Rechecked(going, stopped, stale)

    async def again(self, batch: Sequence[InFlight]) -> Mapping[InFlight, Settlement]:
        """The messages that must not be sent now, each with the settlement that says why."""
        checked_s = self._clock.monotonic()
        changed = await self._changed(batch)
        if self._clock.monotonic() - checked_s > CHECK_FRESH_S:
            # Once, so that a store which always takes that long does not stop everything.
            changed = await self._changed(batch)
        paused, now = await self._paused(batch), self._clock.now()
        stops = {in_flight: self._stop(in_flight, changed, paused, now) for in_flight in batch}
        return {in_flight: stop for in_flight, stop in stops.items() if stop is not None}

    def is_fresh(self, batch: Sequence[InFlight]) -> bool:
        """Whether all were checked so lately that their call may start."""
        oldest_s = self._clock.monotonic() - CHECK_FRESH_S
        return all(in_flight.checked_s >= oldest_s for in_flight in batch)

    async def same(self, batch: Sequence[InFlight]) -> list[InFlight]:
        """The messages for which nothing has changed since they were planned."""
        worker = await self._lease.lasting()
        changed, paused = await self._changed(batch), await self._paused(batch)
        now = self._clock.now()
        return [
            in_flight
            for in_flight in batch
            if in_flight.worker == worker
            and in_flight.user.no not in changed
            and in_flight.message.event_id not in paused
            and in_flight.decision is not None
            and now < in_flight.decision.valid_until
        ]

    async def _changed(self, batch: Sequence[InFlight]) -> Mapping[UserNo, User | None]:
        return await self._users.changed([in_flight.user.seen for in_flight in batch])

    async def _paused(self, batch: Sequence[InFlight]) -> Set[EventId]:
        """Events of campaigns that are paused now."""
        events = {in_flight.message.event_id for in_flight in batch if in_flight.event.campaign}
        if not events:
            return frozenset()
        found = await self._campaigns.of_events(list(events))
        return {event for event, campaign in found.items() if campaign.paused}

    def _stop(
        self,
        in_flight: InFlight,
        changed: Mapping[UserNo, User | None],
        paused: Set[EventId],
        now: Instant,
    ) -> Settlement | None:
        if in_flight.message.event_id in paused:
            again = Instant(now + PAUSE_MS)
            return settle_unsent(
                in_flight.message, Status.DEFERRED, Reason.CAMPAIGN_PAUSED, now, due_at=again
            )
        try:
            return self._verdict(in_flight, changed.get(in_flight.user.no, in_flight.user), now)
        except Exception as fault:
            log.exception("decision_failed", workflow=in_flight.message.workflow, error=type(fault).__name__)
            return settle_unsent(in_flight.message, Status.FAILED, Reason.INTERNAL_ERROR, now)

    def _verdict(self, in_flight: InFlight, user: User | None, now: Instant) -> Settlement | None:
        message = in_flight.message
        if user is None:
            return settle_unsent(message, Status.SUPPRESSED, Reason.USER_DELETED, now)
        verdict = in_flight.decision
        if verdict is None or user is not in_flight.user or now >= verdict.valid_until:
            verdict = self._gate(message, user, in_flight.event, now)
            in_flight.user, in_flight.decision = user, verdict
        if verdict is None:
            return settle_unsent(message, Status.CANCELED, Reason.WORKFLOW_DELETED, now)
        if (later := self._local_time(in_flight, user, now)) is not None:
            return settle_unsent(message, Status.DEFERRED, Reason.SCHEDULED, now, due_at=later)
        if verdict.verdict == "send":
            return None
        return settle_unsent(
            message, verdict.status, verdict.reason or Reason.INTERNAL_ERROR, now, due_at=verdict.due_at
        )

    def _local_time(self, in_flight: InFlight, user: User, now: Instant) -> Instant | None:
        """When a message for a time on the clock of its person is due, who has moved west since it was planned; None: now."""
        event = in_flight.event
        if event.send_at_local is None or in_flight.message.attempt:
            return None
        tenant = self._setup.tenants.all().get(event.tenant)
        due = None if tenant is None else start(event, user, tenant)
        return due if due is not None and due > now else None

    def _gate(self, message: Message, user: User, event: Event, now: Instant) -> Decision | None:
        setup = setup_of(self._setup, message.tenant, message.workflow)
        if setup is None:
            return None
        tenant, workflow, category = setup
        return evaluate(
            tenant=tenant,
            category=category,
            workflow=workflow,
            user=user,
            channel=message.channel,
            now=now,
            expires_at=message.expires_at,
            addresses=addresses(message, user),
            live=event.live,
            topics=topics_for(event, user.no),
        )
