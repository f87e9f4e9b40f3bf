"""Numbers and costs of messages, added up by what somebody wants to tell apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, get_args

from clarion.model.ids import Instant
from clarion.model.retention import MessageTotal
from clarion.model.setup import Money
from clarion.model.spending import Spent

Key = Literal["day", "workflow", "channel", "status", "reason"]
KEYS: tuple[Key, ...] = get_args(Key)
SpentKey = Literal["day", "channel", "country", "integration"]
SPENT_KEYS: tuple[SpentKey, ...] = get_args(SpentKey)
DAY_MS = 86_400_000
_FIRST = date(1970, 1, 1)


def added_up(
    totals: Iterable[MessageTotal], by: Sequence[Key]
) -> Sequence[tuple[Mapping[Key, str | None], int]]:
    """One row for each combination of the keys, in their order, the newest day first."""
    counts: Counter[tuple[str | None, ...]] = Counter()
    for total in totals:
        counts[tuple([_value(total, key) for key in by])] += total.count
    rows = sorted(counts.items(), key=lambda row: tuple([text or "" for text in row[0]]))
    if "day" in by:
        place = by.index("day")
        rows.sort(key=lambda row: row[0][place] or "", reverse=True)
    return [(dict(zip(by, values, strict=True)), count) for values, count in rows]


def spent_up(
    spent: Iterable[Spent], by: Sequence[SpentKey]
) -> Sequence[tuple[Mapping[SpentKey, str | None], Money, int]]:
    """Costs and calls, one row for each combination of the keys and each currency, the newest day first."""
    sums: dict[tuple[tuple[str, ...], str], tuple[Decimal, int]] = {}
    for one in spent:
        key = tuple([str(getattr(one, name)) for name in by]), one.cost.currency
        amount, calls = sums.get(key, (Decimal(0), 0))
        sums[key] = amount + Decimal(one.cost.amount), calls + one.calls
    rows = sorted(sums.items())
    if "day" in by:
        place = by.index("day")
        rows.sort(key=lambda row: row[0][0][place], reverse=True)
    return [
        (
            {name: value or None for name, value in zip(by, values, strict=True)},
            Money(amount=f"{amount:f}", currency=currency),
            calls,
        )
        for (values, currency), (amount, calls) in rows
    ]


def day_of(at: Instant) -> int:
    """The day of a moment: days since 1970-01-01, UTC."""
    return at // DAY_MS


def day_text(day: int) -> str:
    """A day as people write it: `2026-05-04`."""
    return (_FIRST + timedelta(days=day)).isoformat()


def _value(total: MessageTotal, key: Key) -> str | None:
    if key == "day":
        return day_text(total.day)
    found = getattr(total, key)
    return None if found is None else str(found)
