"""One integration in use: its provider, circuit breaker, limits and slots per lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from clarion.flow.provider_scores import Place
from clarion.flow.waiting import retry_until_stored
from clarion.model.channel import LANES, Channel, Lane
from clarion.model.ids import TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant
from clarion.model.setup import Integration
from clarion.model.status import Reason
from clarion.ports.clock import Clock
from clarion.ports.ledger import Quotas
from clarion.ports.provider import Provider, ProviderPlugin
from clarion.rules import breaker
from clarion.rules.provider_limits import day_limit

log = structlog.get_logger(__name__)

URGENT_SHARE = 0.2
"""Part of a rate limit that only the critical lane may use up."""
IN_PROCESS = 8
"""Batches of one lane under way at once, if nothing else is set."""
LONGEST_PAUSE_S = 3_600.0
"""However long a provider asks to wait, it is tried again after that."""


Share = Callable[[Lane, Channel, int], int]
"""The part of a number for all workers that is for this process."""


class Closed(NamedTuple):
    """Why nothing goes through an integration now."""

    reason: Reason
    wait_s: float
    said: str
    """In a sentence behind its name."""


class LiveIntegration:
    """An integration in use. One per tenant and key; replaced when its configuration changes."""

    def __init__(
        self,
        tenant: TenantId,
        integration: Integration,
        plugin: ProviderPlugin,
        provider: Provider,
        share: Share,
        *,
        stores: bool = False,
    ) -> None:
        """`stores`: all its provider does is make what is stored (`ProviderPlugin.stores`)."""
        self.place: Place = tenant, integration.key
        limits = integration.limits
        self.integration = integration
        self.stores = stores
        self.plugin = plugin
        self.provider = provider
        self._share = share
        self.health = breaker.Breaker()
        self.limited = bool(limits.per_second) or limits.per_day is not None or limits.warm_up is not None
        """Whether calls take from a budget that all processes share."""
        self.used: tuple[str, int] = "", 0
        """A day, and how many calls of it were made by then, as of the last time somebody asked."""
        self._asked_until_s = float("-inf")
        self._used_up_until_s = float("-inf")
        self._busy = dict.fromkeys(LANES, 0)
        self._retired = False

    @property
    def key(self) -> str:
        """The integration's key."""
        return self.integration.key

    @property
    def seconds_each(self) -> float:
        """Seconds per message at the rate limit; 0 without one."""
        per_second = self.integration.limits.per_second
        return 1.0 / per_second if per_second else 0.0

    def closed_for_s(self, now_s: float) -> float:
        """How long its circuit will not let anything through."""
        return breaker.open_for_s(self.health, now_s)

    def closed(self, now_s: float) -> Closed | None:
        """Why nothing goes through it now; None: it can be used."""
        if breaker.state(self.health, now_s) == "open":
            return Closed(Reason.CIRCUIT_OPEN, self.closed_for_s(now_s), "its circuit is open")
        if now_s < self._used_up_until_s:
            wait_s = self._used_up_until_s - now_s
            return Closed(Reason.DAILY_QUOTA, wait_s, "its quota of the day is used up")
        if now_s < self._asked_until_s:
            return Closed(Reason.RATE_LIMITED, self._asked_until_s - now_s, "its provider asked to wait")
        return None

    def pause(self, now_s: float, asked_s: float) -> None:
        """Call nobody for as long as its provider asked for (`Retry-After`)."""
        self._asked_until_s = max(self._asked_until_s, now_s + min(asked_s, LONGEST_PAUSE_S))

    def has_slot(self, lane: Lane, now_s: float) -> bool:
        """Whether another batch of `lane` may start."""
        whole = self.integration.limits.concurrency
        most = IN_PROCESS if whole is None else self._share(lane, self.integration.channel, whole)
        if self._busy[lane] >= most:
            return False
        return breaker.probes_left(self.health, now_s, sum(self._busy.values())) != 0

    def begin(self, lane: Lane) -> None:
        """Take a slot for a batch."""
        self._busy[lane] += 1

    async def end(self, lane: Lane) -> None:
        """Return the slot of a batch. A replaced integration closes after its last batch."""
        self._busy[lane] -= 1
        if self._retired and not any(self._busy.values()):
            await self.provider.close()

    async def retire(self) -> None:
        """Accept no new batches, and close when nothing runs."""
        self._retired = True
        if not any(self._busy.values()):
            await self.provider.close()

    async def grant(self, lane: Lane, calls: Sequence[int], quotas: Quotas, clock: Clock) -> QuotaGrant:
        """How many of the messages that need so many calls its limits let through now."""
        limits, now = self.integration.limits, clock.now()
        of_day = day_limit(limits, now)
        ask = QuotaAsk(
            costs=tuple(calls),
            per_second=limits.per_second or None,
            reserve=0.0 if lane is Lane.CRITICAL else URGENT_SHARE * max(1.0, limits.per_second or 0.0),
            per_day=of_day.per_day,
            day=of_day.day,
            resets_at=of_day.resets_at,
        )
        grant = await retry_until_stored("quota", lambda: quotas.take(*self.place, ask, now), clock)
        self.used = of_day.day, grant.used
        if grant.by_day:
            self._used_up_until_s = clock.monotonic() + grant.wait_ms / 1_000
        return grant

    def record(self, now_s: float, *, ok: int, failed: int) -> None:
        """Record the results of a batch in the circuit breaker."""
        before = breaker.state(self.health, now_s)
        self.health = breaker.record(self.health, now_s, ok, failed)
        self._tell(before, now_s)

    def trip(self, now_s: float) -> None:
        """Open the circuit at once: the provider says it is set up wrongly."""
        before = breaker.state(self.health, now_s)
        self.health = breaker.trip(self.health, now_s)
        self._tell(before, now_s)

    def _tell(self, before: str, now_s: float) -> None:
        after = breaker.state(self.health, now_s)
        if after != before:
            log.warning("circuit_changed", integration=self.key, before=before, after=after)
