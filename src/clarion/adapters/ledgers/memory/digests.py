"""Digests and their items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.digest import DigestClose, DigestRow, DigestTotal, StoredItem
from clarion.model.ids import EventId, Instant, TenantId, UserNo, WorkerId
from clarion.model.run import RunRow
from clarion.rules.exact import Slots


class MemoryDigests:
    """Implements `ports.ledger.Digests`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def close(
        self, worker: WorkerId, runs: Sequence[RunRow], moved: Mapping[EventId, Instant], now: Instant
    ) -> Sequence[DigestRow]:
        return await self._transactions.write(lambda: self._close(worker, runs, moved, now))

    async def items(self, ids: Sequence[EventId]) -> Sequence[StoredItem]:
        found = [item for item in self._tables.digest_items.values() if item.digest in ids]
        return sorted(found, key=lambda item: (item.digest, item.at, item.run))

    async def get(self, tenant: TenantId, ids: Sequence[EventId]) -> Sequence[DigestRow]:
        found = (self._tables.digests.get(one) for one in ids)
        return [row for row in found if row is not None and row.tenant == tenant]

    async def withdraw(
        self, tenant: TenantId, workflow: str, cancellation_key: bytes, at: Instant, limit: int
    ) -> int:
        def withdraw() -> int:
            digests = self._tables.digests
            found = [
                item
                for item in self._tables.digest_items.values()
                if item.cancellation_key == cancellation_key
                if (digests[item.digest].tenant, digests[item.digest].workflow) == (tenant, workflow)
            ]
            return self._withdraw(found, at, limit)

        return await self._transactions.write(withdraw)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def latest(self, slots: Iterable[bytes]) -> Mapping[bytes, DigestRow]:
        """The last digest of each slot."""
        wanted, found = {*slots}, dict[bytes, DigestRow]()
        for row in self._tables.digests.values() if wanted else ():
            if row.slot in wanted and (row.slot not in found or found[row.slot].number < row.number):
                found[row.slot] = row
        return found

    def store(self, decided: Slots) -> None:
        """What items made of digests."""
        tables = self._tables
        for run, at in decided.due.items():
            row = tables.run_rows[run]
            tables.run_rows[run] = replace(row, due_at=at, fence=row.fence + 1)
            tables.run_holders.pop(run, None)
        for digest in decided.rows.values():
            tables.digests[digest.id] = digest
        for item in decided.items:
            tables.digest_items[item.run] = item

    def tell(self, totals: Sequence[DigestTotal]) -> None:
        """The runs of digests that are over with this plan, or went on."""
        for one in totals:
            row = self._tables.digests.get(one.digest)
            if row is not None and row.total is None:
                closed_at = row.closes_at if row.closed_at is None else row.closed_at
                cause = row.cause or DigestClose.CANCELED
                self._tables.digests[row.id] = replace(row, total=one.total, closed_at=closed_at, cause=cause)
                self._empty(row.id)

    def withdraw_event(self, event_id: EventId, at: Instant) -> None:
        """Take the items of an event out of the digests that are open."""
        self._withdraw([one for one in self._tables.digest_items.values() if one.event_id == event_id], at)

    def end(self, ids: Iterable[EventId], at: Instant) -> None:
        """The runs of these are over before they told of them."""
        for one in ids:
            row = self._tables.digests.get(one)
            if row is not None and row.total is None:
                cause = DigestClose.CANCELED if row.closed_at is None else row.cause
                closed_at = at if row.closed_at is None else row.closed_at
                self._tables.digests[one] = replace(row, closed_at=closed_at, cause=cause, total=0)
                self._empty(one)

    def end_of_user(self, user: UserNo, at: Instant) -> None:
        """The person is deleted."""
        self.end([row.id for row in self._tables.digests.values() if row.user == user], at)

    def _close(
        self, worker: WorkerId, runs: Sequence[RunRow], moved: Mapping[EventId, Instant], now: Instant
    ) -> list[DigestRow]:
        tables = self._tables
        found = []
        for run in runs:
            row = tables.digests.get(run.event_id)
            if row is None:
                continue
            if row.closed_at is None:
                row = replace(row, closes_at=moved.get(row.id, row.closes_at))
                if row.closes_at <= now:
                    touched_at = max(row.touched_at, now)
                    row = replace(row, closed_at=row.closes_at, cause=DigestClose.TIME, touched_at=touched_at)
                tables.digests[row.id] = row
            held = tables.run_rows.get(run.id)
            claimed = held is not None and held.fence == run.fence and held.due_at is not None
            if row.closed_at is None and claimed and tables.run_holders.get(run.id) == worker and held:
                tables.run_rows[run.id] = replace(held, due_at=row.closes_at)
                del tables.run_holders[run.id]
            before = [
                one for one in tables.digests.values() if (one.slot, one.number) == (row.slot, row.number - 1)
            ]
            if before and row.slot is not None:
                told = {"previous_at": before[0].closed_at, "previous_total": before[0].total or 0}
                row = replace(row, **told)
            found.append(row)
        return found

    def _withdraw(self, items: Sequence[StoredItem], at: Instant, limit: int | None = None) -> int:
        tables = self._tables
        going = [
            item
            for item in items
            if item.withdrawn_at is None and tables.digests[item.digest].closed_at is None
        ][:limit]
        for item in going:
            gone = replace(item, withdrawn_at=at, sealed=None, cancellation_key=None)
            tables.digest_items[item.run] = gone
            digest = tables.digests[item.digest]
            tables.digests[digest.id] = replace(digest, withdrawn=digest.withdrawn + 1)
        return len(going)

    def _empty(self, digest: EventId) -> None:
        items = self._tables.digest_items
        for item in [one for one in items.values() if one.digest == digest]:
            items[item.run] = replace(item, sealed=None, cancellation_key=None)
