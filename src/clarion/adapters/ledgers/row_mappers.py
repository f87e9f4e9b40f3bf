"""Makes values of the model from rows of the hot statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clarion.adapters.ledgers.joined_ids import split_ids
from clarion.adapters.ledgers.message_kinds import MessageKinds
from clarion.model.channel import Lane
from clarion.model.event import Entry
from clarion.model.ids import EventId, MessageId
from clarion.model.inbox import InboxItem
from clarion.model.message import Message
from clarion.model.status import Reason, Status

_STATUS = tuple(Status)
_REASON: dict[str | None, Reason | None] = {reason.value: reason for reason in Reason} | {None: None}


def entry(lane: Lane, row: Sequence[Any]) -> Entry:
    """Position, event id, tenant, workflow, whom it is sealed for, the sealed body and the set-up revision."""
    seq, event_id, tenant, workflow, sealed_for, sealed, setup_revision = row
    return Entry(
        event_id=EventId(event_id),
        tenant=tenant,
        lane=lane,
        workflow=workflow,
        sealed=sealed,
        sealed_for=sealed_for,
        setup_revision=setup_revision,
        seq=seq,
    )


def message(routes: MessageKinds, row: Sequence[Any]) -> Message:
    """Its columns as they are named below, with the number of its kind."""
    (
        message_id,
        user,
        event_id,
        route_no,
        status,
        created_at,
        reason,
        due_at,
        expires_at,
        attempt,
        unknowns,
        fence,
        later_rungs,
        waits_for,
        threaded,
        charged,
        updated_at,
        integration,
        sent_at,
        delivered_at,
        seen_at,
        read_at,
        clicked_at,
        archived_at,
        tried_at,
    ) = row
    route = routes[route_no]
    return Message(
        id=MessageId(message_id),
        tenant=route.tenant,
        user=user,
        event_id=EventId(event_id),
        workflow=route.workflow,
        workflow_version=route.workflow_version,
        category=route.category,
        step=route.step,
        template=route.template,
        template_version=route.template_version,
        channel=route.channel,
        lane=route.lane,
        status=_STATUS[status],
        created_at=created_at,
        reason=_REASON.get(reason, Reason.INTERNAL_ERROR),  # a newer version may know more of them
        due_at=due_at,
        expires_at=expires_at,
        attempt=attempt,
        unknowns=unknowns,
        fence=fence,
        until=route.until,
        later_rungs=split_ids(later_rungs),  # type: ignore[arg-type]
        waits_for=waits_for,
        threaded=bool(threaded),
        charged=bool(charged),
        updated_at=updated_at,
        integration=integration,
        sent_at=sent_at,
        delivered_at=delivered_at,
        seen_at=seen_at,
        read_at=read_at,
        clicked_at=clicked_at,
        archived_at=archived_at,
        tried_at=tried_at,
    )


def item(routes: MessageKinds, row: Sequence[Any]) -> InboxItem:
    """Its columns as they are named below, with the number of its kind."""
    user, offset, message_id, at, seen_at, read_at, archived_at, route_no, sealed = row
    route = routes[route_no]
    return InboxItem(
        tenant=route.tenant,
        user=user,
        message_id=MessageId(message_id),
        sealed=sealed,
        at=at,
        offset=offset,
        seen_at=seen_at,
        read_at=read_at,
        archived_at=archived_at,
        workflow=route.workflow,
        category=route.category,
    )
