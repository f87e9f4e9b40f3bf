"""`GET /v1/events`: events, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec
from litestar import Router, get

from clarion.api.dependencies import ApiParts
from clarion.api.guards import READ, Caller, Parts
from clarion.api.messages import Since, Until
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.times import instant_of, text_or_none
from clarion.errors import SealBroken
from clarion.flow.lookups import UNMATCHED
from clarion.flow.sealing import opened
from clarion.model.channel import Lane
from clarion.model.event import Event, EventRecord
from clarion.model.ids import BEHIND_ALL, NO_USER, EventId, first_id_at, id_text, time_of
from clarion.model.status import ACTIVE, Status
from clarion.rules.time_format import rfc3339


class EventLine(msgspec.Struct, frozen=True, kw_only=True):
    """An event in a list."""

    id: str
    workflows: tuple[str, ...]
    """Those it started."""
    lane: Lane
    type: str | None
    """From the CloudEvent, like the next three fields. Null if the only recipient was deleted."""
    source: str | None
    subject: str | None
    time: str | None
    created_at: str
    status: Literal["in_progress", "done"]
    """`in_progress`: at least one message is not finished, or not all members of its topics are planned yet."""
    counts: Mapping[Status, int]
    """How many of its messages are in each status."""


@get("/", opt=READ)
async def list_events(
    caller: Caller,
    parts: Parts,
    since: Since = None,
    until: Until = None,
    limit: Limit = PAGE,
    cursor: Cursor = START,
) -> Page[EventLine]:
    """Events, newest first. An event appears once it is planned, a moment after its 202. A page may be short:
    continue while `next_cursor` is set."""
    to = instant_of(until, "until")
    before = cursor.after(BEHIND_ALL if to is None else first_id_at(to))
    found, following = await parts.ledger.events.page(
        caller.tenant, instant_of(since, "since"), before, limit
    )
    events = await _opened(parts, found)
    return Page(items=[_line(one, events.get(one.id)) for one in found], next_cursor=cursor.to(following))


async def _opened(parts: ApiParts, found: Sequence[EventRecord]) -> dict[EventId, Event]:
    """What was sent to us, as far as it can still be read."""
    keys = [(one.id, workflow) for one in found for workflow in one.workflows]
    entries = (await parts.ledger.events.bodies(keys)).values()
    users = await parts.ledger.users.get([one.sealed_for for one in entries if one.sealed_for != NO_USER])
    read: dict[EventId, Event] = {}
    for one in entries:
        with suppress(SealBroken, msgspec.DecodeError):
            if (event := opened(one, users, parts.vault)) is not None:
                read[one.event_id] = event
    return read


def _line(one: EventRecord, event: Event | None) -> EventLine:
    return EventLine(
        id=id_text(one.id),
        workflows=tuple(key for key in one.workflows if key != UNMATCHED.key),
        lane=one.lane,
        type=(event.type or None) if event else None,
        source=(event.source or None) if event else None,
        subject=(event.subject or None) if event else None,
        time=text_or_none(event.time) if event else None,
        created_at=rfc3339(time_of(one.id)),
        status="in_progress" if one.left or ACTIVE & one.counts.keys() else "done",
        counts=one.counts,
    )


router = Router("/v1/events", route_handlers=[list_events], tags=["Events"])
