"""What messages cost, and what is known about ranges of numbers, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from clarion.model.channel import Channel
from clarion.model.ids import MessageId, TenantId
from clarion.model.setup import Money
from clarion.model.spending import Charge, MessageCost, NumberRange, Spent

CHARGE = "message_id, attempt, tenant, day, channel, country, integration, amount, currency"
SPENT = "day, channel, country, integration, currency, amount, calls"
COST = "message_id, country, currency, amount"
RANGE = "tenant, digits, level, at, sent, confirmed, blocked_at, blocked_until"

Key = tuple[Any, ...]
"""Tenant, day, channel, country, integration and currency: what calls are added up by."""


def charge_row(one: Charge) -> tuple[Any, ...]:
    """In the order of `CHARGE`. What costs nothing has no currency."""
    cost = one.cost or Money(amount="", currency="")
    return (one.message_id, one.attempt, *_where(one), cost.amount, cost.currency)


def sums_of(charges: Iterable[Charge]) -> dict[Key, tuple[Decimal, int]]:
    """Amount and calls of those that cost something."""
    sums: dict[Key, tuple[Decimal, int]] = {}
    for one in charges:
        if one.cost is not None:
            key = (*_where(one), one.cost.currency)
            amount, calls = sums.get(key, (Decimal(0), 0))
            sums[key] = amount + Decimal(one.cost.amount), calls + 1
    return sums


def spent_of(row: Sequence[Any]) -> Spent:
    """From a row of `SPENT`."""
    day, channel, country, integration, currency, amount, calls = row
    return Spent(
        day=day,
        channel=Channel(channel),
        country=country,
        integration=integration,
        cost=Money(amount=amount, currency=currency),
        calls=calls,
    )


def costs_of(rows: Iterable[Sequence[Any]]) -> list[MessageCost]:
    """From rows of `COST`: the calls of a message are one cost by country and currency."""
    sums: dict[tuple[bytes, str, str], Decimal] = {}
    for message_id, country, currency, amount in rows:
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


def ranges_asked(charges: Iterable[Charge]) -> dict[TenantId, list[str]]:
    """The digits of the ranges that these charges are counted in."""
    asked: dict[TenantId, set[str]] = {}
    for one in charges:
        if one.ranges:
            asked.setdefault(one.tenant, set()).update(limit.digits for limit in one.ranges)
    return {tenant: sorted(digits) for tenant, digits in asked.items()}


def range_row(one: NumberRange) -> tuple[Any, ...]:
    """In the order of `RANGE`."""
    counts = (one.level, one.at, one.sent, one.confirmed)
    return (one.tenant, one.digits, *counts, one.blocked_at, one.blocked_until)


def range_of(row: Sequence[Any]) -> NumberRange:
    """From a row of `RANGE`."""
    tenant, digits, level, at, sent, confirmed, blocked_at, blocked_until = row
    return NumberRange(
        tenant=tenant,
        digits=digits,
        level=level,
        at=at,
        sent=sent,
        confirmed=confirmed,
        blocked_at=blocked_at,
        blocked_until=blocked_until,
    )


def _where(one: Charge) -> Key:
    return (one.tenant, one.day, one.channel.value, one.country, one.integration)
