"""Retries entries that could not be planned, each alone, a few times; then sets them aside for manual review."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from clarion.errors import Unavailable
from clarion.flow.lease import GivenUp
from clarion.flow.lookups import reason_of
from clarion.flow.waiting import retry_until_stored
from clarion.model.event import Consumed, Entry, SetAside
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.ledger import SetAsides

log = structlog.get_logger(__name__)


PAUSES_S = (0.0, 0.1, 0.5)
"""Before each try."""


class Leftovers:
    """Keeps what cannot be planned from holding up its lane."""

    def __init__(self, set_aside: SetAsides, clock: Clock) -> None:
        self._set_aside = set_aside
        self._clock = clock
        self.given_up = 0

    async def plan(
        self, entries: Sequence[Entry], alone: Callable[[Entry], Awaitable[None]], *, in_ledger: bool
    ) -> None:
        """Returns when each is planned by `alone` or durably set aside. Raises Unavailable when it cannot tell, and GivenUp."""
        waiting = [(entry, Reason.INTERNAL_ERROR, "") for entry in entries]
        for pause in PAUSES_S:
            if waiting and pause:
                await self._clock.sleep(pause)
            failed = []
            for entry, *_ in waiting:
                try:
                    await alone(entry)
                except (Unavailable, GivenUp):
                    raise
                except Exception as fault:
                    log.exception("plan_failed", workflow=entry.workflow, error=type(fault).__name__)
                    failed.append((entry, reason_of(fault), type(fault).__name__))
            waiting = failed
        if waiting:
            await self._give_up(waiting, in_ledger)

    async def _give_up(self, failed: Sequence[tuple[Entry, Reason, str]], in_ledger: bool) -> None:
        now = self._clock.now()
        kept = [
            SetAside(
                event_id=entry.event_id,
                tenant=entry.tenant,
                lane=entry.lane,
                workflow=entry.workflow,
                reason=reason,
                detail=detail,
                at=now,
            )
            for entry, reason, detail in failed
        ]
        entries = [entry for entry, *_ in failed]
        consumed = [Consumed(entry.lane, (entry.seq,)) for entry in entries] if in_ledger else []
        bodies = [] if in_ledger else entries
        await retry_until_stored(
            "set_aside", lambda: self._set_aside.keep(kept, consumed, bodies), self._clock
        )
        self.given_up += len(kept)
        for one in kept:
            log.error("event_set_aside", tenant=one.tenant, workflow=one.workflow, reason=one.reason)
