"""Emails for tests: ordinary ones, which a test changes where it matters."""

from __future__ import annotations

from typing import Any

from clarion.content.mail import MimeBuilder
from clarion.model.channel import Channel, Lane
from clarion.model.content import EmailContent
from clarion.model.ids import EventId, Instant, MessageId, TenantId, UserNo
from clarion.model.message import Message
from clarion.model.status import Status
from clarion.ports.mail import OutgoingEmail, Sender

AT = Instant(1_767_614_400_123)
"""2026-01-05T12:00:00Z."""
SENDER = Sender(address="news@example.com", name="Example News")


def message(**changes: Any) -> Message:
    """A message on its way by email."""
    fields: dict[str, Any] = {
        "id": MessageId(bytes(range(16))),
        "tenant": TenantId(1),
        "user": UserNo(1),
        "event_id": EventId(bytes(16)),
        "workflow": "order-shipped",
        "workflow_version": 1,
        "category": "orders",
        "step": "send",
        "template": "shipped",
        "channel": Channel.EMAIL,
        "lane": Lane.NORMAL,
        "status": Status.QUEUED,
        "created_at": AT,
    }
    return Message(**{**fields, **changes})


def outgoing_email(subject: str = "Your order", **changes: Any) -> OutgoingEmail:
    """An email to Ada; `changes` are fields of it or of its content."""
    content = {name: changes.pop(name) for name in EmailContent.__struct_fields__ if name in changes}
    fields: dict[str, Any] = {"message": message(), "to": "ada@example.org", "at": AT, **changes}
    return OutgoingEmail(content=EmailContent(subject=subject, **({"text": "Hello Ada"} | content)), **fields)


def mime_builder() -> MimeBuilder:
    """A builder whose return paths carry the plain message id."""
    return MimeBuilder(lambda one: one.id.hex())


def made(one: OutgoingEmail | None = None, sender: Sender = SENDER) -> bytes:
    """The bytes of an email."""
    return mime_builder().make(sender, one or outgoing_email()).body
