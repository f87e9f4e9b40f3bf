"""How far the topics and queues of tenants were read, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import DeadRecord, DeadRecordFilter, Reading, ReadingKind, ReadingPlace


class MemoryReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def take(self, worker: WorkerId, place: ReadingPlace) -> Reading | None:
        def take() -> Reading | None:
            holder = self._tables.readers.get(place)
            others = holder is not None and holder != worker and self._leases.live(holder)
            if others or not self._leases.live(worker):
                return None
            before = self._tables.readings.get(place)
            taken = Reading() if before is None else replace(before, fence=before.fence + 1)
            self._tables.readings[place] = taken
            self._tables.readers[place] = worker
            return taken

        return await self._transactions.write(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Reading) -> bool:
        def move() -> bool:
            now = self._tables.readings.get(place)
            held = self._tables.readers.get(place) == worker and self._leases.live(worker)
            if now is None or not held or now.fence != to.fence:
                return False
            self._tables.readings[place] = replace(to, repeat=now.repeat)
            return True

        return await self._transactions.write(move)

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        def give_up() -> None:
            if self._tables.readers.get(place) == worker:
                del self._tables.readers[place]

        await self._transactions.write(give_up)

    async def rewind(
        self, place: ReadingPlace, position: Mapping[str, str], at: Instant, *, repeat: bool
    ) -> None:
        def rewind() -> None:
            now = self._tables.readings.get(place, Reading(fence=-1))
            self._tables.readings[place] = Reading(
                position=dict(position), fence=now.fence + 1, repeat=now.repeat + repeat, at=at
            )
            self._tables.readers.pop(place, None)

        await self._transactions.write(rewind)

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Reading]:
        return {
            place.key: reading
            for place, reading in self._tables.readings.items()
            if (place.tenant, place.kind) == (tenant, kind)
        }

    async def forget(self, place: ReadingPlace) -> None:
        def forget() -> None:
            self._tables.readings.pop(place, None)
            self._tables.readers.pop(place, None)

        await self._transactions.write(forget)


class MemoryDeadRecords:
    """Implements `ports.ledger.DeadRecords`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def keep(self, records: Sequence[DeadRecord]) -> None:
        def keep() -> None:
            known = {_identity(one) for one in self._tables.dead_records.values()}
            for one in records:
                if _identity(one) not in known:
                    known.add(_identity(one))
                    seq = self._tables.next("dead_records")
                    self._tables.dead_records[seq] = replace(one, seq=seq)

        await self._transactions.write(keep)

    async def page(
        self, tenant: TenantId, where: DeadRecordFilter, before: int | None, limit: int
    ) -> Sequence[DeadRecord]:
        return [one for one in self._of(tenant, where) if before is None or one.seq < before][:limit]

    async def named(self, tenant: TenantId, seqs: Sequence[int]) -> Sequence[DeadRecord]:
        found = (self._tables.dead_records.get(seq) for seq in dict.fromkeys(seqs))
        return [one for one in found if one is not None and one.tenant == tenant]

    async def drop(self, tenant: TenantId, seqs: Sequence[int]) -> int:
        def drop() -> int:
            found = [
                seq
                for seq in dict.fromkeys(seqs)
                if (one := self._tables.dead_records.get(seq)) is not None and one.tenant == tenant
            ]
            for seq in found:
                del self._tables.dead_records[seq]
            return len(found)

        return await self._transactions.write(drop)

    async def count(self, tenant: TenantId, where: DeadRecordFilter, most: int) -> int:
        return min(most, len(self._of(tenant, where)))

    def _of(self, tenant: TenantId, where: DeadRecordFilter) -> list[DeadRecord]:
        """Newest first."""
        found = [
            one
            for one in self._tables.dead_records.values()
            if one.tenant == tenant and where.kind in (None, one.kind) and where.origin in (None, one.origin)
        ]
        return sorted(found, key=lambda one: -one.seq)


def _identity(one: DeadRecord) -> tuple[object, ...]:
    return one.tenant, one.kind, one.origin, one.place
