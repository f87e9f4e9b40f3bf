"""A broker in memory, as simple as the contract allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace

from clarion.model.channel import LANES, Lane
from clarion.model.event import Entry, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import TenantId
from clarion.ports.broker import Batch
from clarion.ports.clock import Clock


class MemoryLanes:
    """What a store keeps for brokers: the entries that are not acknowledged, and the claims."""

    def __init__(self) -> None:
        self.entries: dict[Lane, dict[int, Entry]] = {lane: {} for lane in LANES}
        """By position, in order."""
        self.claims: dict[tuple[TenantId, bytes], IdempotencyRecord] = {}
        self.last = 0
        """The newest entry's position."""


class MemoryBroker:
    """`ports.Broker` over `MemoryLanes`. A second one over the same lanes is a process that starts again."""

    def __init__(self, lanes: MemoryLanes, clock: Clock) -> None:
        self._lanes = lanes
        self._clock = clock
        self._taken: dict[Lane, set[int]] = {lane: set() for lane in LANES}
        self._published = {lane: asyncio.Event() for lane in LANES}
        self._closed = False

    async def publish(
        self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]
    ) -> Sequence[IdempotencyResult | None]:
        """See `ports.Broker.publish`; a call is one step of the event loop."""
        ours: dict[IdempotencyRecord, IdempotencyResult] = {}
        results = [None if claim is None else self._judged(claim, ours) for claim in claims]
        fresh = [e for e, result in zip(entries, results, strict=True) if result is None or result.fresh]
        for entry in fresh:
            self._lanes.last += 1
            self._lanes.entries[entry.lane][self._lanes.last] = replace(entry, seq=self._lanes.last)
        for entry in fresh:
            self._published[entry.lane].set()
        return results

    async def consume(self, lane: Lane, limit: int) -> AsyncGenerator[Batch]:
        """See `ports.Broker.consume`."""
        taken = self._taken[lane]
        taken.clear()
        while not self._closed:
            if entries := self._next(lane, limit):
                taken.update(entry.seq for entry in entries)
                yield Batch(lane=lane, entries=tuple(entries))
                continue
            self._published[lane].clear()
            await self._published[lane].wait()

    async def ack(self, batch: Batch) -> None:
        """See `ports.Broker.ack`."""
        for entry in batch.entries:
            self._lanes.entries[batch.lane].pop(entry.seq, None)
            self._taken[batch.lane].discard(entry.seq)

    async def depth(self, lane: Lane) -> int:
        """See `ports.Broker.depth`."""
        return len(self._lanes.entries[lane])

    async def close(self) -> None:
        """See `ports.Broker.close`."""
        self._closed = True
        for published in self._published.values():
            published.set()

    def _judged(
        self, claim: IdempotencyRecord, ours: dict[IdempotencyRecord, IdempotencyResult]
    ) -> IdempotencyResult:
        """Whether the claim is the first on its key; entries of one call that repeat a claim share its result."""
        if claim in ours:
            return ours[claim]
        key = (claim.tenant, claim.key)
        first = self._lanes.claims.get(key)
        fresh = first is None or first.expires_at <= self._clock.now()
        if first is None or fresh:
            first = self._lanes.claims[key] = claim
        result = IdempotencyResult(fresh=fresh, fingerprint=first.fingerprint, answer=first.answer)
        if fresh:
            ours[claim] = result
        return result

    def _next(self, lane: Lane, limit: int) -> list[Entry]:
        """The first entries that are not taken, one of each tenant at a time."""
        waiting: dict[TenantId, list[Entry]] = {}
        for seq, entry in self._lanes.entries[lane].items():
            if seq not in self._taken[lane]:
                waiting.setdefault(entry.tenant, []).append(entry)
        turns = [(turn, entry.seq, entry) for own in waiting.values() for turn, entry in enumerate(own)]
        return [entry for _, _, entry in sorted(turns)[:limit]]
