"""What a provider is given to send: rendered, localised content per channel."""

from __future__ import annotations

from typing import Any

import msgspec


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="channel"):
    """Base of the channel contents; tagged with the channel's name on the wire."""


class EmailContent(Content, frozen=True, kw_only=True, tag="email"):
    """An email before MIME."""

    subject: str
    text: str = ""
    html: str = ""
    preheader: str = ""


class SmsContent(Content, frozen=True, kw_only=True, tag="sms"):
    """A text message."""

    text: str


class PushContent(Content, frozen=True, kw_only=True, tag="push"):
    """A device or browser notification."""

    title: str
    body: str = ""
    url: str = ""
    image: str = ""
    data: dict[str, Any] = {}


class InAppContent(Content, frozen=True, kw_only=True, tag="in_app"):
    """An inbox item."""

    title: str
    body: str = ""
    url: str = ""
    data: dict[str, Any] = {}


class ChatContent(Content, frozen=True, kw_only=True, tag="chat"):
    """A chat message."""

    text: str
    title: str = ""
    url: str = ""


class WebhookContent(Content, frozen=True, kw_only=True, tag="webhook"):
    """A JSON document for a receiver of the user's."""

    type: str = ""
    body: str = "{}"


class VoiceContent(Content, frozen=True, kw_only=True, tag="voice"):
    """Words to be spoken."""

    text: str


AnyContent = (
    EmailContent | SmsContent | PushContent | InAppContent | ChatContent | WebhookContent | VoiceContent
)
