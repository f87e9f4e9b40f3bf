"""The page with numbers: how many messages of the last days ended how, and how each integration does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.labels import status_name, tone, workflow_name
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.dashboard.trigger_form import CHANNEL_NAMES
from clarion.flow.dispatch.integrations import IntegrationHealth
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
        integrations=[_integration(one) for one in site.parts.pipeline.integrations.health(site.tenant())],
    )
    return Response(body=body)


def _integration(one: IntegrationHealth) -> dict[str, Any]:
    """One row of the table of integrations."""
    standing, used = one.standing, one.integration.enabled and not one.trouble
    return {
        "key": one.integration.key,
        "channel": CHANNEL_NAMES[one.integration.channel],
        "state": "Works" if used else "Off" if not one.integration.enabled else "Not used",
        "tone": "good" if used else "bad" if one.integration.enabled else "",
        "trouble": one.trouble,
        "share": f"{one.share:.0%}",
        "messages": f"{standing.calls:,}",
        "today": "" if one.per_day is None else f"{one.used_today:,} of {one.per_day:,}",
        "success": f"{standing.success:.1%}",
        "latency": "" if standing.latency_ms is None else f"{standing.latency_ms:,.0f} ms",
        "receipts": "" if standing.reported is None else f"{standing.receipts:.0%}",
    }


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
    if key == "workflow":
        return workflow_name(None, found)
    return CHANNEL_NAMES[Channel(found)] if key == "channel" else found
