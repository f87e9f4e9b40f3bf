"""What messages cost: the calls that are paid for, and their sums."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from clarion.adapters.ledgers.sqlite.files import write
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.channel import Channel
from clarion.model.ids import MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.setup import Money
from clarion.model.spending import Charge, Charged, MessageCost, Spent
from clarion.rules.exact import StoredSpending, charge, given_back

PAID = f"SELECT message_id, attempt FROM charges WHERE message_id IN {IDS}"
PAY = """
    INSERT INTO charges (message_id, attempt, tenant, day, channel, country, integration, amount, currency)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
GIVE_BACK = """
    DELETE FROM charges WHERE message_id = ? AND attempt = ?
    RETURNING tenant, day, channel, country, integration, currency, amount
"""
COSTS = f"SELECT message_id, country, currency, amount FROM charges WHERE message_id IN {IDS} ORDER BY message_id, attempt"
SUM = """
    SELECT amount, calls FROM spending
    WHERE tenant = ? AND day = ? AND channel = ? AND country = ? AND integration = ? AND currency = ?
"""
SUM_IS = "INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
SUM_DROP = """
    DELETE FROM spending
    WHERE tenant = ? AND day = ? AND channel = ? AND country = ? AND integration = ? AND currency = ?
"""
SPENT = """
    SELECT day, channel, country, integration, currency, amount, calls FROM spending
    WHERE tenant = ?1 AND day >= ?2 AND day < ?3 ORDER BY day, channel, country, integration, currency
"""
_JUST_BEHIND = "~"
"""Behind a day and everything that begins with it."""

Key = tuple[Any, ...]


class SqliteSpending:
    """Implements `ports.ledger.Spending`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        if not charges:
            return Charged()
        charged: Charged = await self._writer.do(_charge, charges, rows=len(charges))
        return charged

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        return await self._readers.call(partial(_spent, tenant=tenant, since=since, until=until))

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        return await self._readers.call(partial(_costs, messages=messages)) if messages else []


def give_back(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
    """What was paid for calls that sent nothing."""
    for call in given_back(settlements):
        gone = connection.execute(GIVE_BACK, call).fetchone()
        if gone is not None:
            _add(connection, gone[:-1], -Decimal(gone[-1]), -1)


def _charge(
    connection: sqlite3.Connection, items: Sequence[Sequence[Charge]], careful: bool
) -> Sequence[Charged]:
    return [_charge_all(connection, charges) for charges in items]


def _charge_all(connection: sqlite3.Connection, charges: Sequence[Charge]) -> Charged:
    paid = connection.execute(PAID, keys(one.message_id for one in charges)).fetchall()
    days = {(one.tenant, one.day) for one in charges if one.budgets}
    spent = {(of, day): _spent(connection, of, day, day + _JUST_BEHIND) for of, day in days}
    decisions = charge(charges, StoredSpending(frozenset(paid), spent))
    write(connection, PAY, [_row(one) for one in decisions.paid])
    sums: dict[Key, tuple[Decimal, int]] = {}
    for one in decisions.paid:
        key = _key(one)
        amount, calls = sums.get(key, (Decimal(0), 0))
        sums[key] = amount + Decimal(one.cost.amount), calls + 1
    for key, (amount, calls) in sums.items():
        _add(connection, key, amount, calls)
    return decisions.result


def _add(connection: sqlite3.Connection, key: Key, amount: Decimal, calls: int) -> None:
    before = connection.execute(SUM, key).fetchone()
    if before is not None:
        amount, calls = amount + Decimal(before[0]), calls + before[1]
    if calls:
        connection.execute(SUM_IS, (*key, f"{amount:f}", calls))
    else:
        connection.execute(SUM_DROP, key)


def _spent(connection: sqlite3.Connection, tenant: TenantId, since: str, until: str) -> list[Spent]:
    return [
        Spent(
            day=day,
            channel=Channel(channel),
            country=country,
            integration=integration,
            cost=Money(amount=amount, currency=currency),
            calls=calls,
        )
        for day, channel, country, integration, currency, amount, calls in connection.execute(
            SPENT, (tenant, since, until)
        ).fetchall()
    ]


def _costs(connection: sqlite3.Connection, messages: Sequence[MessageId]) -> list[MessageCost]:
    sums: dict[tuple[bytes, str, str], Decimal] = {}
    for message_id, country, currency, amount in connection.execute(COSTS, keys(messages)).fetchall():
        key = (message_id, country, currency)
        sums[key] = sums.get(key, Decimal(0)) + Decimal(amount)
    return [
        MessageCost(
            message_id=MessageId(message_id),
            country=country,
            cost=Money(amount=f"{amount:f}", currency=currency),
        )
        for (message_id, country, currency), amount in sums.items()
    ]


def _row(one: Charge) -> tuple[Any, ...]:
    """As `PAY`."""
    where = (one.tenant, one.day, one.channel.value, one.country, one.integration)
    return (one.message_id, one.attempt, *where, one.cost.amount, one.cost.currency)


def _key(one: Charge) -> Key:
    return (one.tenant, one.day, one.channel.value, one.country, one.integration, one.cost.currency)
