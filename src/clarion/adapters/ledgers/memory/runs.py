"""Runs that wait between two steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec.structs import replace

from clarion.adapters.ledgers.memory import signals, throttles
from clarion.adapters.ledgers.memory.digests import MemoryDigests
from clarion.adapters.ledgers.memory.leases import MemoryLeases
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.run_rows import claimed, lost, waiting_of, woken
from clarion.model.channel import Lane
from clarion.model.ids import EventId, Instant, MessageId, RunId, TenantId, UserNo, WorkerId
from clarion.model.plan import PlanCommit
from clarion.model.run import RunFilter, RunRow, RunStatus
from clarion.model.status import Reason, Status


class MemoryRuns:
    """Implements `ports.ledger.Runs`."""

    def __init__(
        self,
        tables: Tables,
        transactions: Transactions,
        rows: MessageRows,
        leases: MemoryLeases,
        digests: MemoryDigests,
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows
        self._leases = leases
        self._digests = digests

    async def claim(
        self, worker: WorkerId, lane: Lane, limit: int, now: Instant, besides: Sequence[RunId] = ()
    ) -> Sequence[RunRow]:
        def claim() -> list[RunRow]:
            if not self._leases.live(worker):
                return []
            tables = self._tables
            due = [
                (row.due_at, row.id, row)
                for row in tables.run_rows.values()
                if row.lane is lane and row.due_at is not None and row.due_at <= now
                if tables.run_holders.get(row.id, worker) == worker and row.id not in besides
            ]
            turns, taken = Counter[TenantId](), []
            for at, id_, row in sorted(due):
                taken.append((turns[row.tenant], at, id_, row))
                turns[row.tenant] += 1
            found = [replace(row, fence=row.fence + 1) for *_, row in sorted(taken)[:limit]]
            for row in found:
                tables.run_rows[row.id] = row
                tables.run_holders[row.id] = worker
            passed = {(run, part) for _, run, part in tables.throttle_uses}
            return woken(found, signals.wakes(tables, [row.id for row in found]), passed)

        return await self._transactions.write(claim)

    async def get(self, tenant: TenantId, run_id: RunId) -> RunRow | None:
        row = self._tables.run_rows.get(run_id)
        return row if row is not None and row.tenant == tenant else None

    async def page(
        self, tenant: TenantId, where: RunFilter, before: RunId | None, limit: int
    ) -> tuple[Sequence[RunRow], RunId | None]:
        found = [
            row
            for row in self._tables.run_rows.values()
            if row.tenant == tenant and (before is None or row.id < before) and where.fits(row)
        ]
        shown = sorted(found, key=lambda row: row.id, reverse=True)[:limit]
        return shown, shown[-1].id if len(shown) == limit else None

    async def cancel(
        self,
        tenant: TenantId,
        where: RunFilter,
        at: Instant,
        limit: int,
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Sequence[RunRow]:
        def cancel() -> list[RunRow]:
            found = [row for row in self._waiting() if row.tenant == tenant and where.fits(row)]
            return self.end(sorted(found, key=lambda row: row.id)[:limit], reason, at)

        return await self._transactions.write(cancel)

    async def change(
        self, row: RunRow, stop: Sequence[MessageId] = (), why: Reason = Reason.CANCELED_BY_CALLER
    ) -> RunRow | None:
        def change() -> RunRow | None:
            before = self._tables.run_rows.get(row.id)
            if before is None or (before.fence, before.part) != (row.fence, row.part):
                return None
            failed = before.status is RunStatus.FAILED
            if before.due_at is None and not failed:
                return None
            if failed:
                throttles.again(self._tables, row.id, row.part)
            changed = replace(row, part=row.part + failed, fence=row.fence + 1, wakes=(), passes=False)
            self._tables.run_rows[row.id] = changed
            self._tables.run_holders.pop(row.id, None)
            self._rows.stop(stop, Status.CANCELED, why, row.updated_at)
            return changed

        return await self._transactions.write(change)

    async def waiting(
        self, tenant: TenantId, workflow: str | None = None
    ) -> Mapping[str, Mapping[tuple[int, str], int]]:
        counts = Counter(
            (row.workflow, row.version, row.step)
            for row in self._waiting()
            if row.tenant == tenant and workflow in (None, row.workflow)
        )
        return waiting_of((*place, count) for place, count in counts.items())

    # -- inside a transaction ---------------------------------------------------------------------------------

    def lost(self, plan: PlanCommit) -> Set[bytes]:
        """What the plan goes on with although its worker does not hold it any more."""
        rows, holders = self._tables.run_rows, self._tables.run_holders
        held = {
            one
            for one, (worker, fence) in claimed([plan]).items()
            if one in rows and rows[one].fence == fence and holders.get(one) == worker
        }
        return lost([plan], held)

    def store(self, rows: Iterable[RunRow]) -> None:
        """As plans left them: nobody holds them. What is over stays so."""
        for row in rows:
            before = self._tables.run_rows.get(row.id)
            if before is None or before.due_at is not None:
                user = self._tables.users.get(row.user)
                moved = row.zoned is not None and user is not None and user.revision != row.zoned
                kept = replace(row, waits=(), wakes=(), use=None, passes=False, stops=())
                self._tables.run_rows[row.id] = replace(kept, due_at=row.updated_at) if moved else kept
                self._tables.run_holders.pop(row.id, None)
                signals.listen(self._tables, row)
                throttles.count(self._tables, row)

    def look_again(self, user: UserNo, at: Instant) -> None:
        """Their clock shows another time now: what waits by it is due, so that its time is computed again."""
        for row in self._waiting():
            if row.user == user and row.zoned is not None and row.due_at is not None and row.due_at > at:
                self._tables.run_rows[row.id] = replace(row, due_at=at, fence=row.fence + 1)
                self._tables.run_holders.pop(row.id, None)

    def end(self, rows: Iterable[RunRow], reason: Reason, at: Instant) -> list[RunRow]:
        """These wait no more."""
        ended = [
            replace(
                row,
                status=RunStatus.CANCELED,
                reason=reason,
                due_at=None,
                sealed=None,
                updated_at=at,
                fence=row.fence + 1,
            )
            for row in rows
        ]
        self.store(ended)
        self._digests.end([row.event_id for row in ended], at)
        return ended

    def end_of_event(self, event_id: EventId, at: Instant) -> None:
        """Nothing more of the event happens."""
        rows = [row for row in self._waiting() if row.event_id == event_id]
        self.end(rows, Reason.CANCELED_BY_CALLER, at)
        self._digests.withdraw_event(event_id, at)

    def end_of_user(self, user: UserNo, at: Instant) -> None:
        """The person is deleted."""
        self.end([row for row in self._waiting() if row.user == user], Reason.USER_DELETED, at)
        self._digests.end_of_user(user, at)

    def _waiting(self) -> Iterable[RunRow]:
        return [row for row in self._tables.run_rows.values() if row.due_at is not None]
