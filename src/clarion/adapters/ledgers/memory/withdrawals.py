"""Messages that are out and are to be withdrawn or edited."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from clarion.adapters.ledgers.memory.inboxes import MemoryInboxes
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, MessageId
from clarion.model.inbox import InboxChange, InboxReplacement
from clarion.model.withdrawal import Withdrawal


class MemoryWithdrawals:
    """Implements `ports.ledger.Withdrawals`."""

    def __init__(self, tables: Tables, transactions: Transactions, inboxes: MemoryInboxes) -> None:
        self._tables = tables
        self._transactions = transactions
        self._inboxes = inboxes

    async def ask(self, withdrawals: Sequence[Withdrawal]) -> None:
        await self._transactions.write(lambda: ask(self._tables, withdrawals))

    async def waiting(self, ids: Sequence[MessageId]) -> Sequence[Withdrawal]:
        return [self._tables.withdrawals[one] for one in ids if one in self._tables.withdrawals]

    async def claim(self, now: Instant, until: Instant, limit: int) -> Sequence[Withdrawal]:
        def claim() -> list[Withdrawal]:
            waiting = sorted(self._tables.withdrawals.values(), key=lambda one: (one.due_at, one.message_id))
            due = [one for one in waiting if one.due_at <= now][:limit]
            self._store([replace(one, due_at=until) for one in due])
            return due

        return await self._transactions.write(claim)

    async def put_off(self, withdrawals: Sequence[Withdrawal]) -> None:
        await self._transactions.write(lambda: self._store(self._same(withdrawals)))

    async def end(
        self, withdrawals: Sequence[Withdrawal], items: Sequence[InboxReplacement], at: Instant
    ) -> Sequence[InboxChange]:
        def end() -> Sequence[InboxChange]:
            for one in self._same(withdrawals):
                del self._tables.withdrawals[one.message_id]
            return self._inboxes.replaced(items, at)

        return await self._transactions.write(end)

    def _same(self, withdrawals: Sequence[Withdrawal]) -> list[Withdrawal]:
        """Those of which nothing else was asked meanwhile."""
        there = self._tables.withdrawals
        return [
            one
            for one in withdrawals
            if one.message_id in there and there[one.message_id].asked_at == one.asked_at
        ]

    def _store(self, withdrawals: Sequence[Withdrawal]) -> None:
        for one in withdrawals:
            self._tables.withdrawals[one.message_id] = one


def ask(tables: Tables, withdrawals: Sequence[Withdrawal]) -> None:
    """Inside a transaction: as `Withdrawals.ask`."""
    for one in withdrawals:
        before = tables.withdrawals.get(one.message_id)
        later = one.asked_at if before is None else Instant(max(one.asked_at, before.asked_at + 1))
        tables.withdrawals[one.message_id] = replace(one, asked_at=later)
