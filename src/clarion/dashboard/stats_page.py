"""The page with numbers: how many messages of the last days ended how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.labels import status_name, tone
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.model.channel import Channel
from clarion.model.retention import MessageTotal
from clarion.model.status import Status
from clarion.rules.totals import Key, added_up, day_of

DAYS = 30

route = PageRoutes()


@route("GET", "/ui/stats", page=True)
async def stats(site: Site, request: PageRequest, _: str) -> Response:
    """By day, and by workflow and channel."""
    to = day_of(site.parts.clock.now()) + 1
    totals = await site.parts.services.retention.totals(site.tenant(), to - DAYS, to)
    found = {total.status for total in totals}
    shown = [status for status in Status if status in found]
    body = pages.render(
        "stats.html",
        here="stats",
        days=DAYS,
        statuses=[{"name": status_name(status), "tone": tone(status)} for status in shown],
        by_day=_table(totals, ("day",), shown),
        by_workflow=_table(totals, ("workflow", "channel"), shown),
    )
    return Response(body=body)


def _table(
    totals: Sequence[MessageTotal], by: Sequence[Key], shown: Sequence[Status]
) -> list[dict[str, Any]]:
    """One row for each combination of `by`, with a number for each status and their sum."""
    rows: dict[tuple[str, ...], dict[str, int]] = {}
    for keys, count in added_up(totals, [*by, "status"]):
        row = rows.setdefault(tuple([_name(key, keys) for key in by]), {})
        row[keys["status"] or ""] = count
    return [
        {"names": names, "counts": [f"{row.get(one, 0):,}" for one in shown], "sum": f"{sum(row.values()):,}"}
        for names, row in rows.items()
    ]


def _name(key: Key, keys: Mapping[Key, str | None]) -> str:
    found = keys[key] or ""
    return CHANNEL_NAMES[Channel(found)] if key == "channel" else found
