"""Deletes old data, a few rows at a time, while nothing urgent is being done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import structlog

from clarion.errors import Busy, Unavailable
from clarion.flow.priority import PriorityGate
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Lane
from clarion.model.ids import Instant, TenantId
from clarion.model.retention import DEFAULT_DAYS, MessageTotal, RetentionKind
from clarion.ports.clock import Clock
from clarion.ports.ledger import Retention

log = structlog.get_logger(__name__)

EVERY_S = 3_600.0
FIRST_S = 60.0
"""After the start: whoever has just started has other things to do."""
PAUSE_S = 0.02
"""Between two slices, so that no other writer waits for more than one of them."""
PAUSES = 4
"""The pause is at least so many times as long as the slice took, its wait for the writer included: under load it goes slower."""
LONGEST_PAUSE_S = 1.0
DAY_MS = 86_400_000

# Inbox items before messages: a message stays as long as its item.
ORDER = (
    RetentionKind.INBOX,
    RetentionKind.MESSAGES,
    RetentionKind.EVENTS,
    RetentionKind.CAPTURES,
    RetentionKind.DELIVERIES,
    RetentionKind.DEVICES,
    RetentionKind.INBOUND,
    RetentionKind.QUARANTINE,
    RetentionKind.DEAD_RECORDS,
    RetentionKind.VERIFICATIONS,
    RetentionKind.OPERATIONS,
)


class RetentionService:
    """Deletes rows whose retention period ended, once an hour and on request."""

    def __init__(self, setup: SetupView, retention: Retention, priority: PriorityGate, clock: Clock) -> None:
        self._setup = setup
        self._retention = retention
        self._priority = priority
        self._clock = clock
        self._asked: dict[TenantId, None] = {}
        self._wake = asyncio.Event()
        self.deleted: Counter[RetentionKind] = Counter()
        """By this process; read by metrics."""

    async def run(self) -> None:
        """Once an hour for all tenants, until cancelled."""
        wait_s = FIRST_S
        while True:
            await self._clock.sleep(wait_s)
            swept = await self._swept([*self._setup.tenants.all()])
            wait_s = EVERY_S if swept else FIRST_S

    async def run_asked(self) -> None:
        """Whatever was requested from this process, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            asked = self.asked
            self._asked.clear()
            if not await self._swept(asked):
                self._asked = {**dict.fromkeys(asked), **self._asked}
                await self._clock.sleep(FIRST_S)
                self._wake.set()

    async def _swept(self, tenants: Sequence[TenantId]) -> bool:
        try:
            await self.sweep(tenants)
        except (Busy, Unavailable):
            log.warning("retention_waits")
            return False
        return True

    @property
    def asked(self) -> Sequence[TenantId]:
        """Tenants for whom a run was requested and has not begun."""
        return [*self._asked]

    def start(self, tenants: Iterable[TenantId]) -> None:
        """Delete the old rows of these tenants now instead of within the hour."""
        self._asked.update(dict.fromkeys(tenants))
        self._wake.set()

    async def expired(self, tenants: Sequence[TenantId]) -> Mapping[RetentionKind, int]:
        """How many of each kind of theirs would go now."""
        return await self._walk(tenants, dry=True)

    async def totals(self, tenant: TenantId, since: int, until: int) -> Sequence[MessageTotal]:
        """How many messages of those days ended how, kept or not (`ports.ledger.Retention`)."""
        return await self._retention.totals(tenant, since, until)

    async def sweep(self, tenants: Sequence[TenantId]) -> Mapping[RetentionKind, int]:
        """Delete the old rows of these tenants; returns how many of each kind."""
        deleted = await self._walk(tenants, dry=False)
        if any(deleted.values()):
            log.info("retention_deleted", **{kind.value: count for kind, count in deleted.items() if count})
        return deleted

    async def _walk(self, tenants: Sequence[TenantId], *, dry: bool) -> Mapping[RetentionKind, int]:
        counts: dict[RetentionKind, int] = {}
        for kind in ORDER:
            counts[kind] = 0
            after: bytes | None = None
            # Anew for each slice: who chooses to keep more, stops what is under way.
            while cutoffs := self._cutoffs(kind, tenants):
                await self._priority.turn(Lane.BULK)
                began_s = self._clock.monotonic()
                swept = await self._retention.sweep(kind, cutoffs, after, dry=dry)
                took_s = self._clock.monotonic() - began_s
                expired = sum(swept.expired.values())
                counts[kind] += expired
                if not dry:
                    self.deleted[kind] += expired
                    await self._clock.sleep(min(max(PAUSE_S, PAUSES * took_s), LONGEST_PAUSE_S))
                if (after := swept.following) is None:
                    break
        return counts

    def _cutoffs(self, kind: RetentionKind, tenants: Sequence[TenantId]) -> Mapping[TenantId, Instant]:
        """From before when it goes, for each tenant that does not keep it for ever."""
        now, known, cutoffs = self._clock.now(), self._setup.tenants.all(), {}
        for tenant in tenants:
            days = known[tenant].retention.get(kind, DEFAULT_DAYS[kind])
            if days is not None:
                cutoffs[tenant] = Instant(max(0, now - days * DAY_MS))
        return cutoffs
