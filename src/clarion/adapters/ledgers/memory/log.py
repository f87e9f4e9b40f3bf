"""The event log, the cursor of what is planned, and the idempotency keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import islice

from msgspec.structs import replace

from clarion.adapters.ledgers.claims import reserve
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import LANES, Lane
from clarion.model.event import Consumed, Entry, EventKey, IdempotencyRecord, IdempotencyResult, Reserved
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

    def on_append(self, told: Callable[[Lane, int], None]) -> None:
        """Nobody else appends."""

    async def end(self, lane: Lane) -> int:
        return self._end(lane)

    async def claimed(
        self, tenant: TenantId, keys: Sequence[bytes], now: Instant
    ) -> Mapping[bytes, IdempotencyResult]:
        found = {key: self._held(tenant, key, now) for key in keys}
        return {key: held for key, held in found.items() if held is not None and held.confirmed}

    async def hold(self, claim: IdempotencyRecord) -> IdempotencyResult:
        return await self._transactions.write(lambda: self._claim(claim))

    async def reserve(self, claims: Sequence[IdempotencyRecord], published: Sequence[int]) -> Reserved:
        return await self._transactions.write(lambda: self._reserve(claims, published))

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
        held = self._held(claim.tenant, claim.key, self._clock.now())
        if held is not None and held.confirmed:
            return held
        self._tables.claims[claim.tenant, claim.key] = claim
        self._tables.reserved.pop((claim.tenant, claim.key), None)
        return IdempotencyResult(fresh=True, fingerprint=claim.fingerprint, answer=claim.answer)

    def _reserve(self, claims: Sequence[IdempotencyRecord], published: Sequence[int]) -> Reserved:
        tables, now = self._tables, self._clock.now()
        for number, ends_at in list(tables.reservations.items()):
            if number in published or ends_at <= now:
                del tables.reservations[number]
        keys = {(c.tenant, c.key) for c in claims}
        found = {key: self._held(*key, now) for key in keys}
        results, new, again = reserve(claims, {key: held for key, held in found.items() if held is not None})
        if not new and not again:
            return Reserved(number=0, results=results)
        number = tables.next("reservations")
        tables.reservations[number] = max(c.expires_at for c in claims)
        for claim in new:
            tables.claims[claim.tenant, claim.key] = claim
        for claim in (*new, *again):
            tables.reserved[claim.tenant, claim.key] = number
        return Reserved(number=number, results=results)

    def _held(self, tenant: TenantId, key: bytes, now: Instant) -> IdempotencyResult | None:
        claim = self._tables.claims.get((tenant, key))
        if claim is None or claim.expires_at <= now:
            return None
        return IdempotencyResult(
            fresh=False,
            fingerprint=claim.fingerprint,
            answer=claim.answer,
            confirmed=self._tables.reserved.get((tenant, key)) not in self._tables.reservations,
        )
