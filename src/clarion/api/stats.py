"""`/v1/stats`: how many messages ended how, and what they have cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from clarion.api.guards import READ, Caller, Parts
from clarion.api.parameters import AnyOf, several
from clarion.api.problems import wrong_parameter
from clarion.api.times import instant_of
from clarion.model.ids import Instant
from clarion.model.setup import Money
from clarion.model.spending import Spent
from clarion.rules.time_format import rfc3339
from clarion.rules.totals import KEYS, SPENT_KEYS, added_up, day_of, day_text, spent_up

DAYS = 30
MOST_DAYS = 366

By = Annotated[
    str | None,
    Parameter(description="What to tell apart, with commas between: one row for each combination"),
    AnyOf(tuple(dict.fromkeys((*KEYS, *SPENT_KEYS)))),
]
Since = Annotated[
    str | None, Parameter(description="From the UTC day of this time on, RFC 3339; the default is 30 days")
]
Until = Annotated[
    str | None, Parameter(description="Up to this time, to whole UTC days, RFC 3339; the default is now")
]


Metrics = Annotated[
    str,
    Parameter(
        description="What to count: `messages` by the day on which their event came in, or `cost` by the day in the "
        "tenant's time zone on which it was spent"
    ),
    AnyOf(("messages", "cost")),
]


class StatsValues(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted; null: it was not asked for."""

    messages: int | None = None
    calls: int | None = None
    """Calls of providers that cost something."""
    cost: Money | None = None
    """One row for each currency."""


class StatsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number and what it is about."""

    keys: dict[str, str | None]
    """By the names in `by`. Messages can be told apart by day, workflow, channel, status and reason; costs by day,
    channel, country and integration."""
    values: StatsValues


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of messages."""

    rows: list[StatsRow]
    as_of: str
    """When they were counted."""


@get("/", opt=READ)
async def get_stats(
    caller: Caller,
    parts: Parts,
    metrics: Metrics = "messages",
    by: By = None,
    since: Since = None,
    until: Until = None,
) -> Stats:
    """How many messages there are by day, workflow, channel, status and reason, also of those that are not kept any
    more. Or what they have cost (`metrics=cost`) by day, channel, country and integration.

    At most 366 days at a time. Left out, `by` is `day,status` for messages and `day` for costs.
    """
    now = parts.clock.now()
    end = instant_of(until, "until")
    to = day_of(now if end is None else Instant(end - 1)) + 1
    begin = instant_of(since, "since")
    first = to - DAYS if begin is None else day_of(begin)
    if to - first > MOST_DAYS:
        raise wrong_parameter("since", f"ask for at most {MOST_DAYS} days at a time, these are {to - first}.")
    wanted = several(by or ("day" if metrics == "cost" else "day,status"))
    able = SPENT_KEYS if metrics == "cost" else KEYS
    if useless := [key for key in wanted if key not in able]:
        raise wrong_parameter(
            "by", f"`{metrics}` cannot be told apart by {useless[0]}: use {', '.join(able)}."
        )
    if metrics == "cost":
        spent = await parts.ledger.spending.spent(caller.tenant, day_text(first), day_text(to))
        return Stats(rows=_costs(spent, wanted), as_of=rfc3339(now))
    keys = [key for key in KEYS if key in wanted]
    rows = added_up(await parts.services.retention.totals(caller.tenant, first, to), keys)
    return Stats(
        rows=[
            StatsRow(
                keys={str(key): value for key, value in found.items()}, values=StatsValues(messages=count)
            )
            for found, count in rows
        ],
        as_of=rfc3339(now),
    )


def _costs(spent: Sequence[Spent], by: Sequence[str]) -> list[StatsRow]:
    keys = [key for key in SPENT_KEYS if key in by]
    return [
        StatsRow(
            keys={str(key): value for key, value in found.items()}, values=StatsValues(calls=calls, cost=cost)
        )
        for found, cost, calls in spent_up(spent, keys)
    ]


router = Router("/v1/stats", route_handlers=[get_stats], tags=["Messages"])
