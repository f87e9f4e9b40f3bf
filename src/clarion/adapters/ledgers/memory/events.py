"""Accepted events: their state, canceling them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from clarion.adapters.ledgers.memory.calls import shown
from clarion.adapters.ledgers.memory.log import MemoryLog
from clarion.adapters.ledgers.memory.records import MemoryRecords
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.runs import MemoryRuns
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.event import Entry, EventFound, EventKey, EventRecord, SetAside
from clarion.model.ids import EventId, Instant, MessageId, TenantId, children_range, first_id_at
from clarion.model.message import Message, MessageFilter, Run
from clarion.model.status import ACTIVE, Reason, Status


class MemoryEvents:
    """Implements `ports.ledger.Events`."""

    def __init__(
        self,
        tables: Tables,
        transactions: Transactions,
        log: MemoryLog,
        records: MemoryRecords,
        rows: MessageRows,
        runs: MemoryRuns,
    ) -> None:
        self._tables = tables
        self._transactions = transactions
        self._log = log
        self._records = records
        self._rows = rows
        self._waiting = runs

    async def page(
        self, tenant: TenantId, since: Instant | None, before: bytes, limit: int
    ) -> tuple[Sequence[EventRecord], bytes | None]:
        lowest = b"" if since is None else first_id_at(since)
        events: dict[EventId, list[Run]] = {}
        for run in sorted(self._tables.runs.values(), key=lambda run: run.id):
            if run.tenant == tenant and lowest <= run.id < before:
                events.setdefault(run.event_id, []).append(run)
        newest = sorted(events, reverse=True)
        shown = newest[:limit]
        # Events of one moment may share the range of ids of what came of them: they stay on one page.
        shown += [one for one in newest[limit:] if children_range(one) == children_range(shown[-1])]
        following = children_range(shown[-1])[0] if len(shown) < len(newest) else None
        return [self._record(one, events[one]) for one in shown], following

    async def found(
        self, tenant: TenantId, event_id: EventId, before: MessageId | None, limit: int, runs: int
    ) -> EventFound | None:
        waits = self._log.waits(tenant, event_id) or self._left(tenant, event_id)
        kept = self._set_aside(tenant, event_id)
        first = self._runs(tenant, event_id)[:runs]
        where = MessageFilter(event_id=event_id)
        messages, following = await self._records.page(tenant, where, before, limit)
        if not (waits or kept or first or messages):
            return None
        return EventFound(
            runs=first,
            messages=messages,
            following=following,
            waits=waits,
            active=any(m.status in ACTIVE for m in self._messages(event_id)),
            set_aside=kept,
        )

    async def bodies(self, wanted: Sequence[EventKey]) -> Mapping[EventKey, Entry]:
        return self._log.bodies({*wanted})

    async def known(self, tenant: TenantId, event_id: EventId) -> bool:
        return self._log.waits(tenant, event_id) or bool(self._runs(tenant, event_id))

    async def cancel(self, event_id: EventId, at: Instant, begun: Set[MessageId]) -> int:
        def cancel() -> int:
            self._tables.canceled[event_id] = at
            self._waiting.end_of_event(event_id, at)
            going = [m.id for m in self._messages(event_id) if m.id not in begun]
            return len(self._rows.stop(going, Status.CANCELED, Reason.CANCELED_BY_CALLER, at))

        return await self._transactions.write(cancel)

    async def counts(self, events: Sequence[EventId]) -> Mapping[EventId, Mapping[Status, int]]:
        found = {event: Counter(m.status for m in self._messages(event)) for event in events}
        return {event: counts for event, counts in found.items() if counts}

    def _left(self, tenant: TenantId, event_id: EventId) -> bool:
        tables, whose = self._tables, (event_id, tenant)
        return any((one.event_id, one.tenant) == whose for one in tables.continuations.values()) or any(
            row.due_at is not None and (row.event_id, row.tenant) == whose for row in tables.run_rows.values()
        )

    def _runs(self, tenant: TenantId, event_id: EventId) -> list[Run]:
        found = [r for r in self._tables.runs.values() if r.event_id == event_id and r.tenant == tenant]
        return sorted(found, key=lambda run: (run.part, run.id))

    def _messages(self, event_id: EventId) -> list[Message]:
        return [shown(self._tables, m) for m in self._tables.messages.values() if m.event_id == event_id]

    def _set_aside(self, tenant: TenantId, event_id: EventId) -> SetAside | None:
        found = [
            one
            for one in self._tables.set_aside.values()
            if one.event_id == event_id and one.tenant == tenant
        ]
        return max(found, key=lambda one: one.seq, default=None)

    def _record(self, event_id: EventId, runs: Sequence[Run]) -> EventRecord:
        return EventRecord(
            id=event_id,
            workflows=tuple(dict.fromkeys(run.workflow for run in runs)),
            lane=runs[-1].lane,
            counts=Counter(m.status for m in self._messages(event_id)),
            left=self._left(runs[-1].tenant, event_id),
        )
