"""Rate limits of providers, of which the database hears a few times a second instead of with every batch.

The database grants every token, so the limits hold whatever becomes of Redis. Whoever finds the pool empty takes tokens for
a quarter of a second from the database, uses what it needs and leaves the rest for others. A process takes from the
pool what it needs, or what it used up in 100 ms lately if that is more, so that most batches ask nobody. Critical messages, limits of a
day and slow limits take from the database as ever; and so does everything while Redis is away.
"""

from __future__ import annotations

import math
from itertools import accumulate

import msgspec
from msgspec.structs import replace

from clarion.adapters.redis.token_pool import LASTS_MS, PoolTokens, TokenPool
from clarion.model.ids import Instant, TenantId
from clarion.model.quota import QuotaAsk, QuotaGrant
from clarion.ports.clock import Clock
from clarion.ports.ledger import Quotas

SLOW = 20.0
"""Calls a second up to which the database may as well be asked each time."""
AHEAD_S = 0.1
"""For how long a process takes tokens, and how long it keeps them."""
BLOCK_S = LASTS_MS / 1_000
"""For how long the pool is filled, and how long it keeps them."""
HELD_S = AHEAD_S + BLOCK_S
"""How long tokens may be unused in all: the database lets so much less of them pile up."""
DRY_S = 0.02
"""How long a process asks nobody again when there were too few."""


class Held(msgspec.Struct):
    """What a process has of one limit."""

    tokens: int = 0
    until_s: float = 0.0
    dry_until_s: float = 0.0
    spent: int = 0
    """Since it last asked the pool."""
    asked_s: float = 0.0
    used: int = 0
    """Calls of the day, as the database said last."""

    def at(self, now_s: float) -> int:
        """Tokens that are worth something now."""
        return self.tokens if now_s < self.until_s else 0

    def ahead(self, now_s: float) -> int:
        """Tokens that it will need in `AHEAD_S`, if it goes on like this: twice those that did not last so long."""
        return math.ceil(self.spent * min(2.0, AHEAD_S / max(1e-3, now_s - self.asked_s)))

    def keep(self, tokens: int, until_s: float, now_s: float) -> None:
        """With others that may end earlier all of them end then."""
        had = self.at(now_s)
        self.until_s = min(self.until_s, until_s) if had else until_s
        self.tokens = had + tokens


class RedisQuotas:
    """Implements `ports.ledger.Quotas` on top of the database's own."""

    def __init__(self, quotas: Quotas, pool: TokenPool, clock: Clock) -> None:
        self._quotas = quotas
        self._pool = pool
        self._clock = clock
        self._held: dict[tuple[TenantId, str], Held] = {}

    async def take(self, tenant: TenantId, integration: str, ask: QuotaAsk, now: Instant) -> QuotaGrant:
        """See `ports.ledger.Quotas`."""
        rate = ask.per_second or 0.0
        if rate <= SLOW or ask.per_day is not None:
            return await self._quotas.take(tenant, integration, ask, now)
        ask = replace(ask, held_s=HELD_S)
        if not ask.reserve or max(ask.costs, default=0) > rate * AHEAD_S:
            return await self._quotas.take(tenant, integration, ask, now)
        held = self._held.setdefault((tenant, integration), Held())
        need, fresh, wait_ms = sum(ask.costs), 0, 0
        now_s = self._clock.monotonic()
        if held.at(now_s) < need:
            if now_s < held.dry_until_s:
                wait_ms = math.ceil((held.dry_until_s - now_s) * 1_000)
            elif (taken := await self._from_pool(tenant, integration, held, need, rate)) is None:
                return await self._quotas.take(tenant, integration, ask, now)
            elif (missing := need - held.at(self._clock.monotonic())) > 0:
                fresh, wait_ms = await self._from_database(
                    tenant, integration, ask, now, held, missing, taken
                )
        return self._spend(held, ask, fresh, wait_ms)

    async def _from_pool(
        self, tenant: TenantId, integration: str, held: Held, need: int, rate: float
    ) -> PoolTokens | None:
        asked_s = self._clock.monotonic()
        want = max(need - held.at(asked_s), min(held.ahead(asked_s), math.ceil(rate * AHEAD_S)))
        held.spent, held.asked_s = 0, asked_s
        taken = await self._pool.take(f"{tenant}/{integration}", want)
        if taken is not None:
            held.keep(taken.tokens, asked_s + AHEAD_S, self._clock.monotonic())
        return taken

    async def _from_database(
        self,
        tenant: TenantId,
        integration: str,
        ask: QuotaAsk,
        now: Instant,
        held: Held,
        missing: int,
        taken: PoolTokens,
    ) -> tuple[int, int]:
        """Tokens to be used at once, and how long to wait for those that there are not. Only whose turn it is asks, for others
        too."""
        fresh, wait_ms = 0, 0
        if taken.turn:
            want = max(missing, math.ceil((ask.per_second or 0.0) * BLOCK_S))
            grant = await self._quotas.take(tenant, integration, replace(ask, costs=(1,) * want), now)
            held.used = grant.used
            fresh, wait_ms = min(grant.granted, missing), grant.wait_ms
            if grant.granted > fresh:
                await self._pool.put(f"{tenant}/{integration}", grant.granted - fresh, taken)
        if fresh == missing:
            return fresh, 0
        held.dry_until_s = self._clock.monotonic() + DRY_S
        return fresh, max(wait_ms, math.ceil(DRY_S * 1_000))

    def _spend(self, held: Held, ask: QuotaAsk, fresh: int, wait_ms: int) -> QuotaGrant:
        """As many of the messages, in order, as the tokens are enough for."""
        have = held.at(self._clock.monotonic())
        granted = sum(1 for total in accumulate(ask.costs) if total <= have + fresh)
        spent = sum(ask.costs[:granted])
        held.tokens = max(0, have - max(0, spent - fresh))
        held.spent += spent
        return QuotaGrant(
            granted=granted, wait_ms=0 if granted == len(ask.costs) else wait_ms, used=held.used
        )
