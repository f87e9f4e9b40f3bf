"""Messages ready to go, for tests of providers."""

from __future__ import annotations

from typing import Any

from clarion.model.channel import Channel, Lane
from clarion.model.content import AnyContent
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.outgoing import Outgoing
from clarion.model.status import Status
from clarion.model.user import Contact, Profile, User
from clarion.testing.ports import MONDAY_NOON


def outgoing(
    content: AnyContent,
    number: int = 1,
    *,
    channel: Channel,
    address: str | None = None,
    lane: Lane = Lane.NORMAL,
    expires_at: Instant | None = None,
    **more: Any,
) -> Outgoing:
    """Message `number` to somebody's only contact."""
    return Outgoing(
        message=Message(
            id=MessageId(number.to_bytes(16, "big")),
            tenant=TenantId(1),
            user=UserNo(1),
            event_id=EventId(number.to_bytes(16, "big")),
            workflow="order-shipped",
            workflow_version=1,
            category="order_updates",
            step="tell",
            template="order-shipped",
            channel=channel,
            lane=lane,
            status=Status.QUEUED,
            created_at=MONDAY_NOON,
            expires_at=expires_at,
        ),
        user=User(no=UserNo(1), tenant=TenantId(1), id="ada", key=bytes(32), profile=Profile()),
        contact=None if address is None else Contact(channel=channel, address=address),
        content=content,
        **more,
    )
