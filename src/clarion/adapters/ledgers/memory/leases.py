"""Worker leases: only a worker with a live lease may write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import call_of, drop_ended, shown
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.tables import Tables, WorkerRow
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import LANES
from clarion.model.ids import Instant, MessageId, WorkerId
from clarion.model.message import Message
from clarion.model.worker import Process, Reaped, Worker

SLICE = 500
"""Messages that are made due in one transaction."""


class MemoryLeases:
    """Implements `ports.ledger.Leases`."""

    def __init__(self, tables: Tables, transactions: Transactions, rows: MessageRows) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows

    async def open(self, process: Process, now: Instant, until: Instant) -> WorkerId:
        def begin() -> WorkerId:
            worker = WorkerId(self._tables.next("workers"))
            self._tables.workers[worker] = WorkerRow(process=process, started_at=now, lease_until=until)
            return worker

        return await self._transactions.write(begin)

    async def beat(self, worker: WorkerId, until: Instant, oldest: MessageId | None, held: int = 0) -> bool:
        def beat() -> bool:
            if not self.live(worker):
                return False
            self._tables.workers[worker] = replace(self._tables.workers[worker], lease_until=until, held=held)
            return True

        return await self._transactions.write(beat)

    async def reap(self, now: Instant) -> Reaped:
        return await self._transactions.write(lambda: self._reap(now))

    async def give_back(self, worker: WorkerId, messages: Sequence[Message], at: Instant) -> None:
        tables = self._tables
        fences = {message.id: message.fence for message in messages}

        def free() -> None:
            held = [one for one in fences if tables.holders.get(one) == worker]
            self._free((one for one in held if tables.messages[one].fence == fences[one]), at)
            drop_ended(tables)

        await self._transactions.write(free)

    async def workers(self) -> Sequence[Worker]:
        return [
            Worker(
                id=worker,
                process=row.process,
                started_at=row.started_at,
                lease_until=row.lease_until,
                held=row.held,
                draining=row.draining,
                plans=tuple(lane for lane in LANES if self._tables.planners.get(lane) == worker),
            )
            for worker, row in sorted(self._tables.workers.items())
            if not row.reaped
        ]

    async def drain(self, node: str) -> int:
        workers = self._tables.workers

        def drain() -> int:
            asked = [one for one, row in workers.items() if row.process.node == node and not row.reaped]
            for one in asked:
                workers[one] = replace(workers[one], draining=True)
            return len(asked)

        return await self._transactions.write(drain)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def live(self, worker: WorkerId) -> bool:
        """Whether it still holds what it holds."""
        row = self._tables.workers.get(worker)
        return row is not None and not row.reaped

    def _reap(self, now: Instant) -> Reaped:
        workers = self._tables.workers
        over = [worker for worker, row in workers.items() if row.lease_until < now and not row.reaped]
        for worker in over:
            workers[worker] = replace(workers[worker], reaped=True)
        dead = next((worker for worker, row in workers.items() if row.reaped), None)
        if dead is None:
            return Reaped(workers=len(over))
        for key in [key for key, holder in self._tables.continuing.items() if holder == dead]:
            del self._tables.continuing[key]
        for one in [one for one, holder in self._tables.campaign_holders.items() if holder == dead]:
            campaign = self._tables.campaigns[one]
            self._tables.campaigns[one] = replace(campaign, fence=campaign.fence + 1)
            del self._tables.campaign_holders[one]
        for place in [place for place, holder in self._tables.range_holders.items() if holder == dead]:
            part = self._tables.campaign_ranges[place]
            self._tables.campaign_ranges[place] = replace(part, fence=part.fence + 1)
            del self._tables.range_holders[place]
        for run in [run for run, holder in self._tables.run_holders.items() if holder == dead]:
            row = self._tables.run_rows[run]
            self._tables.run_rows[run] = replace(row, fence=row.fence + 1)
            del self._tables.run_holders[run]
        held = [one for one, holder in self._tables.holders.items() if holder == dead][:SLICE]
        self._free(held, now)
        if len(held) < SLICE:
            workers.pop(dead, None)
            drop_ended(self._tables)
        return Reaped(workers=len(over), messages=len(held), more=True)

    def _free(self, held: Iterable[MessageId], at: Instant) -> None:
        """What was being called says so from then on."""
        for message in [self._tables.messages[one] for one in held]:
            call = call_of(self._tables, message)
            freed = replace(
                shown(self._tables, message),
                integration=message.integration if call is None else call.integration,
                due_at=at,
                fence=message.fence + 1,
            )
            self._rows.save(freed, None, self._rows.counted_at(message))
