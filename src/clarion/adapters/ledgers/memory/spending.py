"""What messages cost: the calls that are paid for, and their sums; what is known about ranges of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.setup import Money
from clarion.model.spending import Charge, Charged, MessageCost, NumberRange, RangeLimit, Spent
from clarion.rules.exact import StoredSpending, charge, confirmed, given_back, is_blocked, unblocked


class MemorySpending:
    """Implements `ports.ledger.Spending`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        def pay() -> Charged:
            days = {(one.tenant, one.day) for one in charges}
            spent = {(tenant, day): self._of(tenant, day, day) for tenant, day in days}
            tables = self._tables
            decisions = charge(charges, StoredSpending(tables.charges.keys(), spent, tables.number_ranges))
            for one in decisions.paid:
                tables.charges[one.message_id, one.attempt] = one
                _add(tables, one, 1)
            for known in decisions.ranges:
                tables.number_ranges[known.tenant, known.digits] = known
            return decisions.result

        return await self._transactions.write(pay)

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        return [one for one in self._of(tenant, since, until) if one.day < until]

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        sums: dict[tuple[MessageId, str, str], Decimal] = {}
        for (message_id, _), one in sorted(self._tables.charges.items()):
            if message_id in messages and one.cost is not None:
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


class MemoryNumberRanges:
    """Implements `ports.ledger.NumberRanges`."""

    def __init__(self, tables: Tables, transactions: Transactions) -> None:
        self._tables = tables
        self._transactions = transactions

    async def confirm(self, tenant: TenantId, ranges: Sequence[RangeLimit], at: Instant) -> None:
        def confirm() -> None:
            table = self._tables.number_ranges
            for limit in ranges:
                key = (tenant, limit.digits)
                known = table.get(key) or NumberRange(tenant=tenant, digits=limit.digits, at=at)
                table[key] = confirmed(known, limit, at)

        await self._transactions.write(confirm)

    async def blocked(self, tenant: TenantId, at: Instant) -> Sequence[NumberRange]:
        found = [
            one for one in self._tables.number_ranges.values() if one.tenant == tenant and is_blocked(one, at)
        ]
        return sorted(found, key=lambda one: one.digits)

    async def unblock(self, tenant: TenantId, digits: str, at: Instant) -> bool:
        def unblock() -> bool:
            known = self._tables.number_ranges.get((tenant, digits))
            if known is None or not is_blocked(known, at):
                return False
            self._tables.number_ranges[tenant, digits] = unblocked(known, at)
            return True

        return await self._transactions.write(unblock)


def give_back(tables: Tables, settlements: Iterable[Settlement]) -> None:
    """What was paid for calls that sent nothing."""
    for call in given_back(settlements):
        gone = tables.charges.pop(call, None)
        if gone is not None:
            _add(tables, gone, -1)


def _add(tables: Tables, one: Charge, calls: int) -> None:
    if one.cost is None:
        return
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
