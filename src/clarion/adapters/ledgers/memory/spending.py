"""What messages cost: the calls that are paid for, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.setup import Money
from clarion.model.spending import Charge, Charged, MessageCost, Spent
from clarion.rules.exact import StoredSpending, charge, given_back


class MemorySpending:
    """Implements `ports.ledger.Spending`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        def pay() -> Charged:
            days = {(one.tenant, one.day) for one in charges}
            spent = {(tenant, day): self._of(tenant, day, day) for tenant, day in days}
            decisions = charge(charges, StoredSpending(self._tables.charges.keys(), spent))
            for one in decisions.paid:
                self._tables.charges[one.message_id, one.attempt] = one
                _add(self._tables, one, 1)
            return decisions.result

        return await self._transactions.write(pay)

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        return [one for one in self._of(tenant, since, until) if one.day < until]

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        sums: dict[tuple[MessageId, str, str], Decimal] = {}
        for (message_id, _), one in sorted(self._tables.charges.items()):
            if message_id in messages:
                key = (message_id, one.country, one.cost.currency)
                sums[key] = sums.get(key, Decimal(0)) + Decimal(one.cost.amount)
        return [
            MessageCost(message_id=of, country=country, cost=Money(amount=f"{amount:f}", currency=currency))
            for (of, country, currency), amount in sums.items()
        ]

    def _of(self, tenant: TenantId, first: str, last: str) -> list[Spent]:
        found = [
            (key, one)
            for key, one in self._tables.spending.items()
            if key[0] == tenant and first <= one.day <= last
        ]
        return [one for _, one in sorted(found, key=lambda row: row[0])]


def give_back(tables: Tables, settlements: Iterable[Settlement]) -> None:
    """What was paid for calls that sent nothing."""
    for call in given_back(settlements):
        gone = tables.charges.pop(call, None)
        if gone is not None:
            _add(tables, gone, -1)


def _add(tables: Tables, one: Charge, calls: int) -> None:
    key = (one.tenant, one.day, one.channel.value, one.country, one.integration, one.cost.currency)
    before = tables.spending.get(key)
    amount = Decimal(one.cost.amount) * calls
    if before is not None:
        amount, calls = amount + Decimal(before.cost.amount), calls + before.calls
    if not calls:
        del tables.spending[key]
        return
    tables.spending[key] = Spent(
        day=one.day,
        channel=one.channel,
        country=one.country,
        integration=one.integration,
        cost=Money(amount=f"{amount:f}", currency=one.cost.currency),
        calls=calls,
    )
