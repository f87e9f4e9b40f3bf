"""Deletes rows whose retention period has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.cutoffs import Cutoffs, bound, day_of
from clarion.adapters.ledgers.memory.devices import drop
from clarion.adapters.ledgers.memory.tables import Table, Tables, lacking
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.message import Message
from clarion.model.retention import MessageTotal, RetentionKind, Swept
from clarion.model.status import ACTIVE, Reason, Status
from clarion.ports.clock import Clock

LOOK = 500

Total = tuple[TenantId, int, str, Channel, Status, Reason | None]


class MemoryRetention:
    """Implements `ports.ledger.Retention`. A slice is the first rows that are old; there are no places to go on from."""

    def __init__(self, tables: Tables, transactions: Transactions, clock: Clock) -> None:
        self._tables = tables
        self._transactions = transactions
        self._clock = clock
        self._kinds: Mapping[RetentionKind, Callable[[Cutoffs], Counter[TenantId]]] = {
            RetentionKind.EVENTS: self._events,
            RetentionKind.MESSAGES: self._messages,
            RetentionKind.INBOX: self._items,
            RetentionKind.CAPTURES: lambda cutoffs: _by_time(self._tables.captures, cutoffs),
            RetentionKind.DELIVERIES: lambda cutoffs: _by_time(self._tables.deliveries, cutoffs),
            RetentionKind.DEVICES: self._old_devices,
            RetentionKind.VERIFICATIONS: self._verifications,
            RetentionKind.OPERATIONS: self._operations,
            RetentionKind.INBOUND: lambda cutoffs: _by_time(self._tables.inbound, cutoffs),
            RetentionKind.QUARANTINE: lambda cutoffs: _by_time(self._tables.quarantine, cutoffs),
            RetentionKind.DEAD_RECORDS: lambda cutoffs: _by_time(self._tables.dead_records, cutoffs),
        }

    async def sweep(self, kind: RetentionKind, cutoffs: Cutoffs, after: bytes | None, *, dry: bool) -> Swept:
        sweep = self._kinds[kind]
        if dry:
            return Swept(expired=await self._transactions.dry_run(lambda: sweep(cutoffs)))
        expired = await self._transactions.write(lambda: sweep(cutoffs))
        return Swept(expired=expired, following=b"again" if expired.total() >= LOOK else None)

    async def totals(self, tenant: TenantId, since: int, until: int) -> Sequence[MessageTotal]:
        counts = Counter(map(_total, self._tables.messages.values()))
        counts.update(self._tables.totals)
        return [
            MessageTotal(
                tenant=tenant,
                day=day,
                workflow=workflow,
                channel=channel,
                status=status,
                reason=reason,
                count=count,
            )
            for (of, day, workflow, channel, status, reason), count in sorted(counts.items(), key=str)
            if of == tenant and since <= day < until
        ]

    # -- inside a transaction ---------------------------------------------------------------------------------

    def _events(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        tables = self._tables
        asked = {
            (one.event_id, one.workflow) for one in tables.set_aside.values() if one.discarded_at is None
        }
        needed = {message.event_id for message in tables.messages.values() if message.status in ACTIVE}
        needed |= {row.event_id for row in tables.run_rows.values() if row.due_at is not None}
        old = [
            (place, entry.tenant)
            for place, entry in tables.log.items()
            if entry.event_id < bound(cutoffs, entry.tenant)
            if place[1] <= tables.positions.get(place[0], 0)
            if entry.key not in asked
            and entry.key not in tables.continuations
            and entry.event_id not in needed
        ]
        gone = [tables.log[place].event_id for place, _ in old[:LOOK]]
        expired = _dropped(tables.log, old)
        for event_id in gone:
            tables.canceled.pop(event_id, None)
        return expired

    def _messages(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        tables = self._tables
        old = [
            (message.id, message.tenant)
            for message in tables.messages.values()
            if message.status not in ACTIVE and message.id < bound(cutoffs, message.tenant)
            if message.id not in tables.inboxes.get(message.user, {})
        ][:LOOK]
        for message_id, _ in old:
            self._forget(tables.messages[message_id])
        for run in [run for run in tables.runs.values() if run.id < bound(cutoffs, run.tenant)]:
            if not any(plan.message_id in tables.messages for plan in run.channels):
                del tables.runs[run.id]
                tables.canceled.pop(run.event_id, None)
        for row in [row for row in tables.run_rows.values() if row.due_at is None]:
            if row.id < bound(cutoffs, row.tenant):
                del tables.run_rows[row.id]
        for digest in [one for one in tables.digests.values() if one.total is not None]:
            if digest.id < bound(cutoffs, digest.tenant):
                del tables.digests[digest.id]
                for item in [one for one in tables.digest_items.values() if one.digest == digest.id]:
                    del tables.digest_items[item.run]
        return Counter(tenant for _, tenant in old)

    def _forget(self, message: Message) -> None:
        tables, message_id = self._tables, message.id
        total = _total(message)
        tables.totals[total] = tables.totals.get(total, 0) + 1
        for seq in tables.timelines.pop(message_id, ()):
            del tables.changes[seq]
        tables.counted[message.user] = lacking(tables.counted.get(message.user, {}), message_id)
        for pointers in (tables.collapses, tables.threads):
            for key in [key for key, newest in pointers.items() if newest == message_id]:
                del pointers[key]
        for call in [call for call in tables.charges if call[0] == message_id]:
            del tables.charges[call]
        del tables.messages[message_id]

    def _verifications(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        tables = self._tables
        for key, known in [*tables.number_ranges.items()]:
            if known.at < cutoffs.get(known.tenant, 0):
                del tables.number_ranges[key]
        old = [
            (one.id, one.tenant)
            for one in tables.verifications.values()
            if one.expires_at < cutoffs.get(one.tenant, 0)
        ]
        return _dropped(tables.verifications, old)

    def _operations(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        tables = self._tables
        old = [
            (one.id, one.tenant)
            for one in tables.operations.values()
            if one.finished_at is not None and one.file_until is None
            if one.finished_at < cutoffs.get(one.tenant, 0)
        ]
        for operation_id, _ in old[:LOOK]:
            tables.errors.pop(operation_id, None)
        return _dropped(tables.operations, old)

    def _old_devices(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        old = [
            state for state in self._tables.devices.values() if state.seen_at < cutoffs.get(state.tenant, 0)
        ]
        for state in old[:LOOK]:
            drop(self._tables, state, self._clock.now())
        return Counter(state.tenant for state in old[:LOOK])

    def _items(self, cutoffs: Cutoffs) -> Counter[TenantId]:
        tables = self._tables
        expired: Counter[TenantId] = Counter()
        for user, items in [*tables.inboxes.items()]:
            old = [
                item.message_id for item in items.values() if item.message_id < bound(cutoffs, item.tenant)
            ]
            expired.update(items[one].tenant for one in old)
            if old:
                tables.inboxes[user] = {one: item for one, item in items.items() if one not in {*old}}
        return expired


def _total(message: Message) -> Total:
    """What a message counts as."""
    return (
        message.tenant,
        day_of(message.id),
        message.workflow,
        message.channel,
        message.status,
        message.reason,
    )


def _by_time(table: Table[int, Any], cutoffs: Cutoffs) -> Counter[TenantId]:
    return _dropped(
        table, [(seq, one.tenant) for seq, one in table.items() if one.at < cutoffs.get(one.tenant, 0)]
    )


def _dropped(table: Table[Any, Any], old: Iterable[tuple[Any, TenantId]]) -> Counter[TenantId]:
    some = [*old][:LOOK]
    for key, _ in some:
        del table[key]
    return Counter(tenant for _, tenant in some)
