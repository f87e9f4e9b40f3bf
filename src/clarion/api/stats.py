"""`/v1/stats`: how many messages ended how."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Router, get
from litestar.params import Parameter

from clarion.api.guards import READ, Caller, Parts
from clarion.api.parameters import AnyOf, several
from clarion.api.problems import wrong_parameter
from clarion.api.times import instant_of
from clarion.model.ids import Instant
from clarion.rules.time_format import rfc3339
from clarion.rules.totals import KEYS, added_up, day_of

DAYS = 30
MOST_DAYS = 366

By = Annotated[
    str,
    Parameter(description="What to tell apart, with commas between: one row for each combination"),
    AnyOf(KEYS),
]
Since = Annotated[
    str | None, Parameter(description="From the UTC day of this time on, RFC 3339; the default is 30 days")
]
Until = Annotated[
    str | None, Parameter(description="Up to this time, to whole UTC days, RFC 3339; the default is now")
]


class StatsValues(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted."""

    messages: int


class StatsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number and what it is about."""

    keys: dict[str, str | None]
    """By the names in `by`. `day`: the UTC day on which the event came in."""
    values: StatsValues


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of messages."""

    rows: list[StatsRow]
    as_of: str
    """When they were counted."""


@get("/", opt=READ)
async def get_stats(
    caller: Caller, parts: Parts, by: By = "day,status", since: Since = None, until: Until = None
) -> Stats:
    """How many messages there are by day, workflow, channel, status and reason, also of those that are not kept any more.

    A day is that on which the event came in, in UTC. At most 366 days at a time.
    """
    now = parts.clock.now()
    end = instant_of(until, "until")
    to = day_of(now if end is None else Instant(end - 1)) + 1
    begin = instant_of(since, "since")
    first = to - DAYS if begin is None else day_of(begin)
    if to - first > MOST_DAYS:
        raise wrong_parameter("since", f"ask for at most {MOST_DAYS} days at a time, these are {to - first}.")
    keys = [key for key in KEYS if key in several(by)]
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


router = Router("/v1/stats", route_handlers=[get_stats], tags=["Messages"])
