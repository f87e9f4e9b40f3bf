"""Rendered, localised content, one type per channel."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from clarion.model.user import Value


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="channel"):
    """Base of the channel contents; tagged with the channel's name on the wire."""


class Attachment(Value, frozen=True, kw_only=True):
    """An attachment of an email: uploaded (`content`), or fetched when the mail is sent (`url`)."""

    name: str
    type: str = "application/octet-stream"
    content: bytes = b""
    url: str = ""
    inline_id: str = ""
    """Id for use in the HTML, as `cid:<inline_id>`."""


class Action(Value, frozen=True, kw_only=True):
    """A button."""

    label: str
    url: str = ""


class Invitation(Value, frozen=True, kw_only=True):
    """A calendar invitation: a new meeting, a change or a cancellation."""

    uid: str
    """Id of the meeting. Use the same for later changes and for the cancellation."""
    start: str
    """A time with its offset (`2026-05-01T14:00:00+02:00`), or a day (`2026-05-01`)."""
    end: str = ""
    """Exclusive, so for days the first day after the meeting. Empty: one hour after the start, or the whole day."""
    summary: str = ""
    """Empty: the subject."""
    description: str = ""
    location: str = ""
    url: str = ""
    organizer: str = ""
    """Email address that receives the answers. Empty: the sender's."""
    organizer_name: str = ""
    method: Literal["request", "cancel"] = "request"
    sequence: int = 0
    """Greater with every change."""


class EmailContent(Content, frozen=True, kw_only=True, tag="email"):
    """An email before MIME."""

    subject: str
    text: str = ""
    html: str = ""
    preheader: str = ""
    attachments: tuple[Attachment, ...] = ()
    calendar: Invitation | None = None
    """Sent as a `text/calendar` part and as the attachment `invite.ics`."""


class SmsContent(Content, frozen=True, kw_only=True, tag="sms"):
    """A text message."""

    text: str


class PushContent(Content, frozen=True, kw_only=True, tag="push"):
    """A device or browser notification."""

    title: str
    body: str = ""
    url: str = ""
    image: str = ""
    actions: tuple[Action, ...] = ()
    data: dict[str, Any] = {}


class InAppContent(Content, frozen=True, kw_only=True, tag="in_app"):
    """An inbox item."""

    title: str
    body: str = ""
    url: str = ""
    actions: tuple[Action, ...] = ()
    data: dict[str, Any] = {}


class ChatContent(Content, frozen=True, kw_only=True, tag="chat"):
    """A chat message."""

    text: str
    title: str = ""
    url: str = ""
    image: str = ""
    fields: dict[str, str] = {}
    """Short facts shown side by side, label to value."""
    actions: tuple[Action, ...] = ()


class WebhookContent(Content, frozen=True, kw_only=True, tag="webhook"):
    """A JSON document for a webhook endpoint."""

    type: str = ""
    body: str = "{}"


class VoiceContent(Content, frozen=True, kw_only=True, tag="voice"):
    """Words to be spoken."""

    text: str


AnyContent = (
    EmailContent | SmsContent | PushContent | InAppContent | ChatContent | WebhookContent | VoiceContent
)
