"""What messages cost: the calls that are paid for, and their sums; what is known about ranges of numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from clarion.adapters.ledgers.spending_rows import (
    CHARGE,
    COST,
    RANGE,
    SPENT,
    Key,
    charge_row,
    costs_of,
    range_of,
    range_row,
    ranges_asked,
    spent_of,
    sums_of,
)
from clarion.adapters.ledgers.sqlite.files import write
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import IDS, encoded, keys
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.spending import Charge, Charged, MessageCost, NumberRange, RangeLimit, Spent
from clarion.rules.exact import StoredSpending, charge, confirmed, given_back, is_blocked, unblocked

PAID = f"SELECT message_id, attempt FROM charges WHERE message_id IN {IDS}"
PAY = f"INSERT INTO charges ({CHARGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
GIVE_BACK = """
    DELETE FROM charges WHERE message_id = ? AND attempt = ?
    RETURNING tenant, day, channel, country, integration, currency, amount
"""
COSTS = f"SELECT {COST} FROM charges WHERE message_id IN {IDS} AND currency <> '' ORDER BY 1, attempt"
SUM = """
    SELECT amount, calls FROM spending
    WHERE tenant = ? AND day = ? AND channel = ? AND country = ? AND integration = ? AND currency = ?
"""
SUM_IS = "INSERT OR REPLACE INTO spending VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
SUM_DROP = """
    DELETE FROM spending
    WHERE tenant = ? AND day = ? AND channel = ? AND country = ? AND integration = ? AND currency = ?
"""
SPENT_ON = f"""
    SELECT {SPENT} FROM spending
    WHERE tenant = ?1 AND day >= ?2 AND day < ?3 ORDER BY day, channel, country, integration, currency
"""
RANGES = (
    f"SELECT {RANGE} FROM number_ranges WHERE tenant = ?1 AND digits IN (SELECT value FROM json_each(?2))"
)
RANGES_BLOCKED = f"SELECT {RANGE} FROM number_ranges WHERE tenant = ?1 AND blocked_until > ?2 ORDER BY digits"
RANGE_IS = f"INSERT OR REPLACE INTO number_ranges ({RANGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_JUST_BEHIND = "~"
"""Behind a day and everything that begins with it."""


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


class SqliteNumberRanges:
    """Implements `ports.ledger.NumberRanges`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def confirm(self, tenant: TenantId, ranges: Sequence[RangeLimit], at: Instant) -> None:
        def confirm(connection: sqlite3.Connection) -> None:
            digits = encoded([limit.digits for limit in ranges])
            known = {one.digits: one for one in _known(connection, RANGES, (tenant, digits))}
            for limit in ranges:
                before = known.get(limit.digits) or NumberRange(tenant=tenant, digits=limit.digits, at=at)
                connection.execute(RANGE_IS, range_row(confirmed(before, limit, at)))

        await self._writer.call(confirm)

    async def blocked(self, tenant: TenantId, at: Instant) -> Sequence[NumberRange]:
        return await self._readers.call(lambda connection: _known(connection, RANGES_BLOCKED, (tenant, at)))

    async def unblock(self, tenant: TenantId, digits: str, at: Instant) -> bool:
        def unblock(connection: sqlite3.Connection) -> bool:
            known = _known(connection, RANGES, (tenant, encoded([digits])))
            if not known or not is_blocked(known[0], at):
                return False
            connection.execute(RANGE_IS, range_row(unblocked(known[0], at)))
            return True

        return bool(await self._writer.call(unblock))


def give_back(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
    """What was paid for calls that sent nothing."""
    for call in given_back(settlements):
        gone = connection.execute(GIVE_BACK, call).fetchone()
        if gone is not None and gone[-1]:
            _add(connection, gone[:-1], -Decimal(gone[-1]), -1)


def _charge(
    connection: sqlite3.Connection, items: Sequence[Sequence[Charge]], careful: bool
) -> Sequence[Charged]:
    return [_charge_all(connection, charges) for charges in items]


def _charge_all(connection: sqlite3.Connection, charges: Sequence[Charge]) -> Charged:
    paid = connection.execute(PAID, keys(one.message_id for one in charges)).fetchall()
    days = {(one.tenant, one.day) for one in charges if one.budgets}
    spent = {(of, day): _spent(connection, of, day, day + _JUST_BEHIND) for of, day in days}
    decisions = charge(charges, StoredSpending(frozenset(paid), spent, _ranges(connection, charges)))
    write(connection, PAY, [charge_row(one) for one in decisions.paid])
    for key, (amount, calls) in sums_of(decisions.paid).items():
        _add(connection, key, amount, calls)
    write(connection, RANGE_IS, [range_row(known) for known in decisions.ranges])
    return decisions.result


def _ranges(
    connection: sqlite3.Connection, charges: Sequence[Charge]
) -> dict[tuple[TenantId, str], NumberRange]:
    return {
        (known.tenant, known.digits): known
        for tenant, digits in ranges_asked(charges).items()
        for known in _known(connection, RANGES, (tenant, encoded(digits)))
    }


def _known(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[NumberRange]:
    return [range_of(row) for row in connection.execute(sql, values).fetchall()]


def _add(connection: sqlite3.Connection, key: Key, amount: Decimal, calls: int) -> None:
    before = connection.execute(SUM, key).fetchone()
    if before is not None:
        amount, calls = amount + Decimal(before[0]), calls + before[1]
    if calls:
        connection.execute(SUM_IS, (*key, f"{amount:f}", calls))
    else:
        connection.execute(SUM_DROP, key)


def _spent(connection: sqlite3.Connection, tenant: TenantId, since: str, until: str) -> list[Spent]:
    return [spent_of(row) for row in connection.execute(SPENT_ON, (tenant, since, until)).fetchall()]


def _costs(connection: sqlite3.Connection, messages: Sequence[MessageId]) -> list[MessageCost]:
    return costs_of(connection.execute(COSTS, keys(messages)).fetchall())
