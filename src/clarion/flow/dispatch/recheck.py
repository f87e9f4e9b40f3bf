"""The last look at messages before they go: what has changed since they were planned still counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from clarion.flow.lanes import HELD_MS, InFlight
from clarion.flow.lease import WorkerLease
from clarion.flow.ledger import Ledger
from clarion.flow.lookups import setup_of
from clarion.model.ids import Instant, UserNo
from clarion.model.message import Message
from clarion.model.settlement import Settlement
from clarion.model.status import Reason, Status
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.rules.eligibility import Decision, gate
from clarion.rules.endpoints import addresses
from clarion.rules.outcomes import settle_unsent

log = structlog.get_logger(__name__)


class Rechecked(NamedTuple):
    """A batch after the last look."""

    going: list[InFlight]
    stopped: list[Settlement]
    """What became of those that must not go now."""
    stale: list[InFlight]
    """Not ours any more, or in memory for too long: whoever claims them next sends them."""


class Recheck:
    """Decides again where the person, the set-up or the hour is another one by now."""

    def __init__(self, ledger: Ledger, lease: WorkerLease, clock: Clock) -> None:
        self._users = ledger.users
        self._setup = ledger.setup
        self._lease = lease
        self._clock = clock

    async def batch(self, batch: Sequence[InFlight]) -> Rechecked:
        """Which may go. Waits until the lease surely lasts. What was committed before binds whatever was queued (I8)."""
        worker = await self._lease.lasting()
        changed, now = await self._changed(batch), self._clock.now()
        going: list[InFlight] = []
        stopped: list[Settlement] = []
        stale: list[InFlight] = []
        for held in batch:
            if held.worker != worker or held.since + HELD_MS <= now:
                stale.append(held)
            elif (stop := self._stop(held, changed, now)) is not None:
                stopped.append(stop)
            else:
                going.append(held)
        return Rechecked(going, stopped, stale)

    async def again(self, batch: Sequence[InFlight]) -> Mapping[InFlight, Settlement]:
        """Why some of them must not go now."""
        changed = await self._changed(batch)
        now = self._clock.now()
        stops = {held: self._stop(held, changed, now) for held in batch}
        return {held: stop for held, stop in stops.items() if stop is not None}

    async def same(self, batch: Sequence[InFlight]) -> list[InFlight]:
        """Those of whom nothing has changed since they were planned: the person is the same, and the hour as good."""
        worker = await self._lease.lasting()
        changed, now = await self._changed(batch), self._clock.now()
        return [
            held
            for held in batch
            if held.worker == worker
            and held.user.no not in changed
            and held.gate is not None
            and now < held.gate.valid_until
        ]

    async def _changed(self, batch: Sequence[InFlight]) -> Mapping[UserNo, User | None]:
        return await self._users.changed([held.user.seen for held in batch])

    def _stop(self, held: InFlight, changed: Mapping[UserNo, User | None], now: Instant) -> Settlement | None:
        try:
            return self._verdict(held, changed.get(held.user.no, held.user), now)
        except Exception as fault:
            log.exception("decision_failed", workflow=held.message.workflow, error=type(fault).__name__)
            return settle_unsent(held.message, Status.FAILED, Reason.INTERNAL_ERROR, now)

    def _verdict(self, held: InFlight, user: User | None, now: Instant) -> Settlement | None:
        message = held.message
        if user is None:
            return settle_unsent(message, Status.SUPPRESSED, Reason.USER_DELETED, now)
        verdict = held.gate
        if verdict is None or user is not held.user or now >= verdict.valid_until:
            verdict = self._gate(message, user, now)
            held.user, held.gate = user, verdict
        if verdict is None:
            return settle_unsent(message, Status.CANCELED, Reason.WORKFLOW_DELETED, now)
        if verdict.verdict == "send":
            return None
        return settle_unsent(
            message, verdict.status, verdict.reason or Reason.INTERNAL_ERROR, now, due_at=verdict.due_at
        )

    def _gate(self, message: Message, user: User, now: Instant) -> Decision | None:
        setup = setup_of(self._setup, message.tenant, message.workflow)
        if setup is None:
            return None
        tenant, workflow, category = setup
        return gate(
            tenant=tenant,
            category=category,
            workflow=workflow,
            user=user,
            channel=message.channel,
            now=now,
            expires_at=message.expires_at,
            addresses=addresses(message, user),
        )
