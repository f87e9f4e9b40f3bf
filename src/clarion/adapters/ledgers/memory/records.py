"""Reads messages for people, and applies manual changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.calls import found, shown
from clarion.adapters.ledgers.memory.rows import MessageRows
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.withdrawals import ask
from clarion.model.ids import Instant, MessageId, TenantId, first_id_at
from clarion.model.message import Change, Message, MessageFilter
from clarion.model.status import FAILED_FOR_GOOD, RETRYABLE_BY_HAND, Reason, Status
from clarion.rules import ladder, withdrawals


class MemoryRecords:
    """Implements `ports.ledger.MessageRecords`."""

    def __init__(self, tables: Tables, transactions: Transactions, rows: MessageRows) -> None:
        self._tables = tables
        self._transactions = transactions
        self._rows = rows

    async def get(self, tenant: TenantId, message_id: MessageId) -> Message | None:
        message = found(self._tables, message_id)
        return message if message is not None and message.tenant == tenant else None

    async def page(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None, limit: int
    ) -> tuple[Sequence[Message], MessageId | None]:
        page = self.matching(tenant, where, before)[:limit]
        return page, page[-1].id if len(page) == limit else None

    async def changes(self, tenant: TenantId, message_id: MessageId) -> Sequence[Change]:
        timeline = [self._tables.changes[seq] for seq in self._tables.timelines.get(message_id, ())]
        return [change for change in timeline if change.tenant == tenant]

    async def tail(
        self, tenant: TenantId, after: int, limit: int, *, integration: str | None = None
    ) -> Sequence[Change]:
        ours = [
            change for seq, change in self._tables.changes.items() if seq > after and change.tenant == tenant
        ]
        ours.sort(key=lambda change: change.seq)
        if after < 0:
            return ours[-limit:]
        if integration is not None:
            ours = [change for change in ours if change.integration == integration or change is ours[-1]]
        return ours[:limit]

    async def cancel(
        self,
        tenant: TenantId,
        message_id: MessageId,
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> Status | None:
        def cancel() -> Status | None:
            message = found(self._tables, message_id)
            if message is None or message.tenant != tenant:
                return None
            self.canceled([message], at, begun, reason)
            return shown(self._tables, self._tables.messages[message_id]).status

        return await self._transactions.write(cancel)

    async def requeue(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        return await self._transactions.write(lambda: self.requeued(tenant, where, ids, at, limit, versions))

    def matching(
        self, tenant: TenantId, where: MessageFilter, before: MessageId | None = None
    ) -> list[Message]:
        """All that a filter lets through, newest first."""
        lowest = b"" if where.since is None else first_id_at(where.since)
        matching = [
            m
            for m in (shown(self._tables, one) for one in self._tables.messages.values())
            if m.tenant == tenant and m.id >= lowest
            if before is None or m.id < before
            if where.before is None or m.id < first_id_at(where.before)
            if where.user in (None, m.user) and where.event_id in (None, m.event_id)
            if not where.workflows or m.workflow in where.workflows
            if not where.channels or m.channel in where.channels
            if not where.statuses or m.status in where.statuses
            if not where.reasons or m.reason in where.reasons
        ]
        return sorted(matching, key=lambda m: m.id, reverse=True)

    # -- inside a transaction ---------------------------------------------------------------------------------

    def canceled(
        self,
        messages: Iterable[Message],
        at: Instant,
        begun: Set[MessageId],
        reason: Reason = Reason.CANCELED_BY_CALLER,
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, with the rungs behind them; all that were."""
        why = (Status.CANCELED, reason, at)
        going = [m for m in messages if m.id not in begun]
        stopped = set(self._rows.stop([m.id for m in going], *why))
        later = ladder.behind(m for m in going if m.id in stopped)
        stopped.update(self._rows.stop([rung for rung in later if rung not in begun], *why))
        return frozenset(stopped)

    def withdrawn(
        self, messages: Iterable[Message], at: Instant, begun: Set[MessageId]
    ) -> frozenset[MessageId]:
        """Cancel those that have not begun, and ask that the others are taken back; all of which something comes."""
        canceled = self.canceled(messages, at, begun, Reason.WITHDRAWN)
        out = withdrawals.asked(messages, at, begun)
        ask(self._tables, out)
        return canceled.union(one.message_id for one in out)

    def requeued(
        self,
        tenant: TenantId,
        where: MessageFilter,
        ids: Sequence[MessageId] | None,
        at: Instant,
        limit: int,
        versions: Mapping[str, int],
    ) -> frozenset[MessageId]:
        """As `requeue`."""
        if ids is None:
            failed = [m for m in self.matching(tenant, where) if m.status in FAILED_FOR_GOOD]
        else:
            named = {*ids}
            failed = [
                m for m in self.matching(tenant, where) if m.id in named and m.status in RETRYABLE_BY_HAND
            ]
        for m in failed[:limit]:
            back = replace(
                m,
                status=Status.QUEUED,
                reason=Reason.RETRIED,
                attempt=0,
                unknowns=0,
                due_at=at,
                fence=m.fence + 1,
                updated_at=at,
                tried_at=None,
                sent_at=None,
                waits_for=None,
                template_version=versions.get(m.template, m.template_version),
                charged=False,
            )
            self._rows.save(back, None, None)
            self._rows.note(back, at)
        return frozenset(m.id for m in failed[:limit])
