"""The event log, the cursor of what is planned, and the idempotency keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, Entry, EventKey, IdempotencyRecord, IdempotencyResult
from clarion.model.ids import EventId, Instant, TenantId, WorkerId
from clarion.ports.clock import Clock

Published = tuple[Sequence[Entry], Sequence[IdempotencyResult | None]]


class MemoryLog:
    """Implements `ports.ledger.EventLog` and `ports.ledger.Claims`."""

    def __init__(self, tables: Tables, transactions: Transactions, clock: Clock) -> None:
        self._tables = tables
        self._transactions = transactions
        self._clock = clock

    async def append(self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]) -> Published:
        return await self._transactions.write(lambda: self._append(entries, claims))

    async def take(self, lane: Lane, worker: WorkerId) -> bool:
        def take() -> bool:
            row = self._tables.workers.get(self._tables.planners.get(lane, worker))
            if row is not None and not row.reaped and self._tables.planners.get(lane, worker) != worker:
                return False
            self._tables.planners[lane] = worker
            return True

        return await self._transactions.write(take)

    async def read(self, lane: Lane, after: int, limit: int) -> Sequence[Entry]:
        return self._read(lane, after, limit)

    async def position(self, lane: Lane) -> int:
        return self._position(lane)

    async def end(self, lane: Lane) -> int:
        return self._end(lane)

    async def claimed(
        self, tenant: TenantId, keys: Sequence[bytes], now: Instant
    ) -> Mapping[bytes, IdempotencyResult]:
        found = ((key, self._tables.claims.get((tenant, key))) for key in keys)
        return {
            key: _result(claim, fresh=False)
            for key, claim in found
            if claim is not None and claim.expires_at > now
        }

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        return await self._transactions.write(lambda: self._claim(claim))

    def unplanned(self) -> Iterator[Entry]:
        """What waits in any lane."""
        for lane in LANES:
            yield from self._read(lane, self._position(lane), self._end(lane))

    def bodies(self, wanted: Set[EventKey]) -> Mapping[EventKey, Entry]:
        """The first of each that was published."""
        found: dict[EventKey, Entry] = {}
        for entry in self._tables.log.values():
            if entry.key in wanted:
                found.setdefault(entry.key, replace(entry, seq=0))
        return found

    def waits(self, tenant: TenantId, event_id: EventId) -> bool:
        """Whether something of the event is not planned yet."""
        return any(entry.event_id == event_id and entry.tenant == tenant for entry in self.unplanned())

    def _read(self, lane: Lane, after: int, limit: int) -> list[Entry]:
        log = self._tables.log
        ahead = self._tables.ahead
        seqs = range(after + 1, self._end(lane) + 1)
        left = (seq for seq in seqs if (lane, seq) in log and (lane, seq) not in ahead)
        return [log[lane, seq] for seq in islice(left, limit)]

    def _position(self, lane: Lane) -> int:
        return self._tables.positions.get(lane, 0)

    def _end(self, lane: Lane) -> int:
        return self._tables.numbers.get(lane, 0)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def add(self, entry: Entry) -> Entry:
        """Behind everything in its lane; with its position."""
        placed = replace(entry, seq=self._tables.next(entry.lane))
        self._tables.log[placed.lane, placed.seq] = replace(placed, event=None)
        return placed

    def add_planned(self, bodies: Sequence[Entry]) -> None:
        """Events that came by a broker of their own, unless they are here already."""
        known = self.bodies({body.key for body in bodies})
        for body in bodies:
            if body.key not in known:
                placed = self.add(body)
                self.advance(Consumed(placed.lane, (placed.seq,)))

    def any_planned(self, consumed: Consumed) -> bool:
        """Whether some of it is planned already."""
        position, ahead = self._position(consumed.lane), self._tables.ahead
        return any(seq <= position or (consumed.lane, seq) in ahead for seq in consumed.seqs)

    def advance(self, consumed: Consumed) -> None:
        """All of it is planned."""
        lane, ahead = consumed.lane, self._tables.ahead
        position = self._position(lane)
        for seq in consumed.seqs:
            if seq > position:
                ahead[lane, seq] = True
        while ahead.pop((lane, position + 1), False):
            position += 1
        self._tables.positions[lane] = position

    def _append(self, entries: Sequence[Entry], claims: Sequence[IdempotencyRecord | None]) -> Published:
        published: list[Entry] = []
        results: list[IdempotencyResult | None] = []
        ours: dict[IdempotencyRecord, IdempotencyResult] = {}
        for entry, claim in zip(entries, claims, strict=True):
            result = None
            if claim is not None:  # The entries of one submission share its claim.
                result = ours.get(claim) or self._claim(claim)
                if result.fresh:
                    ours[claim] = result
            results.append(result)
            if result is None or result.fresh:
                published.append(self.add(entry))
        return published, results

    def _claim(self, claim: IdempotencyRecord) -> IdempotencyResult:
        held = self._tables.claims.get((claim.tenant, claim.key))
        if held is not None and held.expires_at > self._clock.now():
            return _result(held, fresh=False)
        self._tables.claims[claim.tenant, claim.key] = claim
        return _result(claim, fresh=True)


def _result(claim: IdempotencyRecord, *, fresh: bool) -> IdempotencyResult:
    return IdempotencyResult(fresh=fresh, fingerprint=claim.fingerprint, answer=claim.answer)
