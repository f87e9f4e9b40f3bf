"""How far the topics and queues of tenants were read, and what of it waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, TenantId, WorkerId
from clarion.model.reading import (
    WHOLE,
    DeadRecord,
    DeadRecordFilter,
    Reading,
    ReadingKind,
    ReadingPlace,
)


class MemoryReadings:
    """Implements `ports.ledger.Readings`."""

    def __init__(self, tables: Tables, transactions: Transactions, leases: MemoryLeases) -> None:
        self._tables = tables
        self._transactions = transactions
        self._leases = leases

    async def take(
        self,
        worker: WorkerId,
        place: ReadingPlace,
        wanted: Mapping[str, WorkerId | None],
        new: Mapping[str, Mapping[str, str]],
    ) -> Mapping[str, Reading]:
        def take() -> Mapping[str, Reading]:
            here = self._tables.readings.get(place) or {}
            whole = here.get(WHOLE)
            ends = bool(new) and WHOLE not in new and whole is not None
            if not self._leases.live(worker) or (ends and whole is not None and whole.reader != worker):
                return {}
            begun = {partition: Reading(position=dict(position)) for partition, position in new.items()}
            here = begun | {one: reading for one, reading in here.items() if one != WHOLE or not ends}
            taken = {
                partition: replace(here[partition], fence=here[partition].fence + 1, reader=worker)
                for partition, from_ in wanted.items()
                if partition in here and self._free(here[partition].reader, worker, from_)
            }
            self._tables.readings[place] = here | taken
            return taken

        return await self._transactions.write(take)

    async def move(self, worker: WorkerId, place: ReadingPlace, to: Mapping[str, Reading]) -> frozenset[str]:
        def move() -> frozenset[str]:
            here = self._tables.readings.get(place) or {}
            moved = {
                partition: replace(reading, repeat=here[partition].repeat, reader=worker)
                for partition, reading in to.items()
                if partition in here
                and (here[partition].reader, here[partition].fence) == (worker, reading.fence)
                and self._leases.live(worker)
            }
            if moved:
                self._tables.readings[place] = {**here, **moved}
            return frozenset(moved)

        return await self._transactions.write(move)

    async def give_up(self, worker: WorkerId, place: ReadingPlace) -> None:
        def give_up() -> None:
            here = self._tables.readings.get(place)
            if here is not None:
                self._tables.readings[place] = {
                    partition: replace(reading, reader=None) if reading.reader == worker else reading
                    for partition, reading in here.items()
                }

        await self._transactions.write(give_up)

    async def rewind(
        self, place: ReadingPlace, to: Mapping[str, Mapping[str, str]], at: Instant, *, repeat: bool
    ) -> None:
        def rewind() -> None:
            before = (self._tables.readings.get(place) or {}).values()
            fence = max((one.fence for one in before), default=-1) + 1
            repeats = max((one.repeat for one in before), default=0) + repeat
            self._tables.readings[place] = {
                partition: Reading(position=dict(position), fence=fence, repeat=repeats, at=at)
                for partition, position in to.items()
            }

        await self._transactions.write(rewind)

    async def of(self, tenant: TenantId, kind: ReadingKind) -> Mapping[str, Mapping[str, Reading]]:
        return {
            place.key: {
                partition: replace(one, reader=one.reader if self._live(one.reader) else None)
                for partition, one in readings.items()
            }
            for place, readings in self._tables.readings.items()
            if (place.tenant, place.kind) == (tenant, kind)
        }

    async def forget(self, place: ReadingPlace) -> None:
        def forget() -> None:
            self._tables.readings.pop(place, None)

        await self._transactions.write(forget)

    def _free(self, reader: WorkerId | None, worker: WorkerId, from_: WorkerId | None) -> bool:
        return reader in (worker, from_) or not self._live(reader)

    def _live(self, worker: WorkerId | None) -> bool:
        return worker is not None and self._leases.live(worker)


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
