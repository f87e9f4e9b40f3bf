"""What messages cost: the calls that are paid for, and their sums; what is known about ranges of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from clarion.adapters.ledgers.postgresql.database import Again, Database
from clarion.adapters.ledgers.postgresql.locks import SPENDING, lock
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
from clarion.model.ids import Instant, MessageId, TenantId
from clarion.model.settlement import Settlement
from clarion.model.spending import Charge, Charged, MessageCost, NumberRange, RangeLimit, Spent
from clarion.rules.exact import StoredSpending, charge, confirmed, given_back, is_blocked, unblocked

PAID = "SELECT message_id, attempt FROM charges WHERE message_id = ANY($1::bytea[])"
PAY = f"""
    INSERT INTO charges ({CHARGE})
    SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[])
    ON CONFLICT DO NOTHING RETURNING attempt
"""
GIVE_BACK = """
    DELETE FROM charges USING unnest($1::bytea[], $2::bigint[]) AS gone (message_id, attempt)
    WHERE charges.message_id = gone.message_id AND charges.attempt = gone.attempt
    RETURNING tenant, day, channel, country, integration, currency, amount
"""
COSTS = f"""
    SELECT {COST} FROM charges WHERE message_id = ANY($1::bytea[]) AND currency <> '' ORDER BY message_id, attempt
"""
SUM_ADD = """
    INSERT INTO spending (tenant, day, channel, country, integration, currency, amount, calls)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::bigint[])
    ON CONFLICT (tenant, day, channel, country, integration, currency) DO UPDATE SET
        amount = (spending.amount::numeric + excluded.amount::numeric)::text,
        calls = spending.calls + excluded.calls
"""
SUMS_EMPTY = """
    DELETE FROM spending USING unnest($1::bigint[], $2::text[]) AS gone (tenant, day)
    WHERE spending.tenant = gone.tenant AND spending.day = gone.day AND spending.calls = 0
"""
SPENT_ON = f"""
    SELECT {SPENT} FROM spending WHERE tenant = $1 AND day >= $2 AND day < $3
    ORDER BY day, channel, country, integration, currency
"""
RANGES = f"SELECT {RANGE} FROM number_ranges WHERE tenant = $1 AND digits = ANY($2::text[])"
BLOCKED = f"SELECT {RANGE} FROM number_ranges WHERE tenant = $1 AND blocked_until > $2 ORDER BY digits"
RANGES_ARE = f"""
    INSERT INTO number_ranges ({RANGE})
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bigint[])
    ON CONFLICT (tenant, digits) DO UPDATE SET level = excluded.level, at = excluded.at, sent = excluded.sent,
        confirmed = excluded.confirmed, blocked_at = excluded.blocked_at, blocked_until = excluded.blocked_until
"""
_JUST_BEHIND = "~"
"""Behind a day and everything that begins with it."""


class PostgresSpending:
    """Implements `ports.ledger.Spending`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charge(self, charges: Sequence[Charge]) -> Charged:
        if not charges:
            return Charged()
        return await self._database.write(lambda connection: _charge(connection, charges))

    async def spent(self, tenant: TenantId, since: str, until: str) -> Sequence[Spent]:
        return [spent_of(row) for row in await self._database.lists.rows(SPENT_ON, tenant, since, until)]

    async def costs(self, messages: Sequence[MessageId]) -> Sequence[MessageCost]:
        return costs_of(await self._database.rows(COSTS, messages)) if messages else []


class PostgresNumberRanges:
    """Implements `ports.ledger.NumberRanges`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirm(self, tenant: TenantId, ranges: Sequence[RangeLimit], at: Instant) -> None:
        async def confirm(connection: Any) -> None:
            await lock(connection, SPENDING, [tenant])
            known = await _ranges(connection, {tenant: [limit.digits for limit in ranges]})
            for limit in ranges:
                new = NumberRange(tenant=tenant, digits=limit.digits, at=at)
                before = known.get((tenant, limit.digits), new)
                known[tenant, limit.digits] = confirmed(before, limit, at)
            await _store(connection, known.values())

        await self._database.write(confirm)

    async def blocked(self, tenant: TenantId, at: Instant) -> Sequence[NumberRange]:
        return [range_of(row) for row in await self._database.rows(BLOCKED, tenant, at)]

    async def unblock(self, tenant: TenantId, digits: str, at: Instant) -> bool:
        async def unblock(connection: Any) -> bool:
            await lock(connection, SPENDING, [tenant])
            known = (await _ranges(connection, {tenant: [digits]})).get((tenant, digits))
            if known is None or not is_blocked(known, at):
                return False
            await _store(connection, [unblocked(known, at)])
            return True

        return await self._database.write(unblock)


async def give_back(connection: Any, settlements: Iterable[Settlement]) -> None:
    """In a transaction: what was paid for calls that sent nothing."""
    calls = sorted(given_back(settlements))
    if not calls:
        return
    sums: dict[Key, tuple[Decimal, int]] = {}
    for *key, amount in await connection.fetch(GIVE_BACK, *map(list, zip(*calls, strict=True))):
        if amount:
            before, count = sums.get(tuple(key), (Decimal(0), 0))
            sums[tuple(key)] = before - Decimal(amount), count - 1
    await _add(connection, sums)
    if sums:
        days = sorted({key[:2] for key in sums})
        await connection.execute(SUMS_EMPTY, *map(list, zip(*days, strict=True)))


async def _charge(connection: Any, charges: Sequence[Charge]) -> Charged:
    # What is left of a budget or a range is decided by one at a time; sums without a limit add up by themselves.
    await lock(connection, SPENDING, {one.tenant for one in charges if one.budgets or one.ranges})
    paid = await connection.fetch(PAID, [one.message_id for one in charges])
    spent = {
        (tenant, day): [
            spent_of(row) for row in await connection.fetch(SPENT_ON, tenant, day, day + _JUST_BEHIND)
        ]
        for tenant, day in {(one.tenant, one.day) for one in charges if one.budgets}
    }
    ranges = await _ranges(connection, ranges_asked(charges))
    decisions = charge(charges, StoredSpending({tuple(row) for row in paid}, spent, ranges))
    if decisions.paid:
        rows = sorted(charge_row(one) for one in decisions.paid)
        if len(await connection.fetch(PAY, *map(list, zip(*rows, strict=True)))) < len(rows):
            raise Again
    await _add(connection, sums_of(decisions.paid))
    await _store(connection, decisions.ranges)
    return decisions.result


async def _add(connection: Any, sums: dict[Key, tuple[Decimal, int]]) -> None:
    if sums:
        rows = [(*key, f"{amount:f}", calls) for key, (amount, calls) in sorted(sums.items())]
        await connection.execute(SUM_ADD, *map(list, zip(*rows, strict=True)))


async def _ranges(
    connection: Any, asked: dict[TenantId, list[str]]
) -> dict[tuple[TenantId, str], NumberRange]:
    found = [row for of in asked.items() for row in await connection.fetch(RANGES, *of)]
    return {(known.tenant, known.digits): known for known in map(range_of, found)}


async def _store(connection: Any, ranges: Iterable[NumberRange]) -> None:
    if rows := sorted(range_row(one) for one in ranges):
        await connection.execute(RANGES_ARE, *map(list, zip(*rows, strict=True)))
