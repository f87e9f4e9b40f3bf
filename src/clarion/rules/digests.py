"""What a digest tells of its items: the event that its run goes on with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from clarion.model.channel import Lane
from clarion.model.digest import DigestRow, DigestTold, ItemContent, StoredItem
from clarion.model.event import Event
from clarion.model.ids import Instant, id_text
from clarion.model.setup import KeptItems, Step
from clarion.rules.time_format import rfc3339

EVENT_TYPE = "clarion.digest"
KEPT = KeptItems(first=100)
"""Where the step does not say it."""
ACTORS = 100
EVENTS = 20
"""Named in the explanation; all of them are listed with the run."""

_encode = msgspec.json.Encoder().encode


class OpenedItem(NamedTuple):
    """An item that was not withdrawn."""

    stored: StoredItem
    content: ItemContent


def told(
    row: DigestRow,
    step: Step,
    items: Sequence[OpenedItem],
    lane: Lane,
    now: Instant,
) -> tuple[Event, DigestTold]:
    """The event of a closed digest: its items in the order of their events, without those whose time is over."""
    closed_at = now if row.closed_at is None else row.closed_at
    live = [one for one in items if one.content.expires_at is None or one.content.expires_at > now]
    live.sort(key=_place)
    total = sum(one.content.stands_for for one in live)
    data = {
        "items": [_item(one) for one in _kept(live, step.keep or KEPT)],
        "total": total,
        "first_at": rfc3339(live[0].stored.at) if live else None,
        "last_at": rfc3339(live[-1].stored.at) if live else None,
        "actors": list(dict.fromkeys(one.content.actor for one in live if one.content.actor))[:ACTORS],
        "previous": _previous(row),
    }
    event = Event(
        id=row.id,
        tenant=row.tenant,
        lane=lane,
        workflow=row.workflow,
        at=closed_at,
        users=(row.user,),
        data=msgspec.Raw(_encode(data)),
        type=EVENT_TYPE,
        digest_of=total,
    )
    events = tuple(dict.fromkeys(one.stored.event_id for one in live[:EVENTS]))
    return event, DigestTold(row=row, total=total, expired=len(items) - len(live), events=events)


def _place(one: OpenedItem) -> tuple[object, ...]:
    """Numbers come before texts, and what has neither comes last."""
    order, stored = one.content.order, one.stored
    kind = 2 if order is None else int(isinstance(order, str))
    return (kind, order or 0 if kind != 1 else order, stored.at, stored.event_id, stored.run)


def _kept(live: Sequence[OpenedItem], keep: KeptItems) -> Sequence[OpenedItem]:
    return live[: keep.first] if keep.first is not None else live[-(keep.last or 1) :]


def _item(one: OpenedItem) -> dict[str, Any]:
    content = one.content
    return {
        "id": id_text(one.stored.event_id),
        "at": rfc3339(one.stored.at),
        "data": content.data,
        "actor": content.actor,
        "steps": content.outputs,
    }


def _previous(row: DigestRow) -> dict[str, Any] | None:
    if row.previous_at is None:
        return None
    return {"closed_at": rfc3339(row.previous_at), "total": row.previous_total}
