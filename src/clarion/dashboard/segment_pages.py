"""The pages of segments: the list, where a condition can be tried, and the members of one."""

from __future__ import annotations

from typing import Any

from clarion.dashboard import pages
from clarion.dashboard.context import Site
from clarion.dashboard.message_feed import when
from clarion.dashboard.person_pages import people_rows
from clarion.dashboard.request import PageRequest, Response
from clarion.dashboard.routing import PageRoutes
from clarion.errors import NotFound
from clarion.model.audience import Segment
from clarion.model.ids import NO_USER
from clarion.rules.audience import condition
from clarion.rules.expressions import ExpressionError
from clarion.services.segments import SegmentStatus

SHOWN = 20

route = PageRoutes()


@route("GET", "/ui/segments", page=True)
async def overview(site: Site, request: PageRequest, _: str) -> Response:
    """All segments, with how many people are in each."""
    return await _list(site)


@route("POST", "/ui/segments")
async def try_out(site: Site, request: PageRequest, _: str) -> Response:
    """How many people a condition chooses, and some of them. Nothing is stored."""
    where = "".join(request.form().get("where", ())).strip()
    tenant, service = site.tenant(), site.parts.services.segments
    try:
        wanted = condition(where, site.parts.ledger.setup.tenants.all()[tenant])
    except ExpressionError as wrong:
        return await _list(site, where=where, wrong=f"{wrong}.")
    found = await service.search(tenant, wanted, None, SHOWN)
    count = await service.count(tenant, wanted)
    return await _list(site, where=where, count=f"{count:,}", rows=people_rows(found))


@route("GET", "/ui/segments/*", page=True)
async def one(site: Site, request: PageRequest, key: str) -> Response:
    """Who is in a segment."""
    tenant, ledger = site.tenant(), site.parts.ledger
    segment = ledger.setup.segments.all(tenant).get(key)
    if segment is None:
        raise NotFound(f"There is no segment {key!r}.")
    status = (await site.parts.services.segments.statuses(tenant, [key]))[key]
    numbers = await site.parts.services.segments.members(tenant, key, NO_USER, SHOWN)
    users = await ledger.users.get(numbers)
    rows = people_rows([users[no] for no in numbers if no in users])
    body = pages.render("segment.html", here="segments", below=True, rows=rows, **_row(segment, status))
    return Response(body=body)


async def _list(site: Site, **tried: Any) -> Response:
    tenant, service = site.tenant(), site.parts.services.segments
    stored = site.parts.ledger.setup.segments.all(tenant)
    statuses = await service.statuses(tenant, sorted(stored))
    segments = [_row(stored[key], status) for key, status in statuses.items()]
    return Response(body=pages.render("segments.html", here="segments", segments=segments, **tried))


def _row(segment: Segment, status: SegmentStatus) -> dict[str, Any]:
    refresh = status.refresh
    return {
        "key": segment.key,
        "title": segment.name or segment.key,
        "condition": segment.where,
        "members": f"{status.members:,}",
        "progress": f"{refresh.done:,} of {refresh.total:,}"
        if refresh is not None and refresh.running
        else "",
        "refreshed": None if refresh is None or refresh.refreshed_at is None else when(refresh.refreshed_at),
    }
