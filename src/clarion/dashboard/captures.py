"""Shows captured messages as a phone, a mail program or a chat would: one row per kind of content here, one template each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from babel.dates import format_skeleton, format_time

from clarion.content.localise.render_target import babel
from clarion.content.sms.segmentation import segments
from clarion.dashboard.user_list import Person
from clarion.model.content import (
    AnyContent,
    ChatContent,
    EmailContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WhatsAppContent,
)
from clarion.model.ids import Instant

_TAG = re.compile(r"<[^>]*>")


class Kind(NamedTuple):
    """One panel of the page."""

    name: str
    """Names its template and its icon."""
    into: str
    """Id of its list."""
    title: str
    column: int
    """Where it stands in a wide window: below the inbox, in the middle, or beside them."""
    empty: str
    """What stands there before anything came; without it, the panel is hidden until then."""
    content: type[msgspec.Struct]
    values: Callable[[Any], Mapping[str, Any]]
    """What the template shows beside person, address and time."""


def _email(email: EmailContent) -> Mapping[str, Any]:
    return {"subject": email.subject, "text": email.text, "html": email.html}


def _sms(sms: SmsContent) -> Mapping[str, Any]:
    cut = segments(sms.text)
    return {
        "text": sms.text,
        "media": sms.media,
        "rcs_template": sms.rcs_template,
        "segments": cut.count,
        "encoding": cut.encoding,
        "length": len(sms.text),
    }


def _push(push: PushContent) -> Mapping[str, Any]:
    device = push.device
    return {
        "title": push.title,
        "body": push.body,
        "image": push.image,
        "actions": push.actions,
        "subtitle": device.subtitle if device else "",
        "badge": device.badge if device else None,
        "silent": device.background if device else False,
    }


def _chat(chat: ChatContent) -> Mapping[str, Any]:
    return {
        "title": chat.title,
        "text": chat.text,
        "url": chat.url,
        "image": chat.image,
        "facts": chat.fields,
        "actions": chat.actions,
    }


def _call(voice: VoiceContent) -> Mapping[str, Any]:
    return {"lines": transcript(voice.text)}


def _whatsapp(message: WhatsAppContent) -> Mapping[str, Any]:
    return {
        "text": message.text,
        "template": message.template,
        "language": message.language,
        "header": message.header,
        "parameters": message.parameters,
    }


KINDS = (
    Kind(
        name="email",
        into="emails",
        title="Email",
        column=1,
        empty="Captured emails appear here, as the recipient would see them.",
        content=EmailContent,
        values=_email,
    ),
    Kind(
        name="push",
        into="pushes",
        title="Push",
        column=2,
        empty="Captured push notifications appear here, as on a lock screen.",
        content=PushContent,
        values=_push,
    ),
    Kind(
        name="sms",
        into="texts",
        title="SMS",
        column=2,
        empty="Captured text messages appear here, with the number of segments a carrier would bill.",
        content=SmsContent,
        values=_sms,
    ),
    Kind(
        name="whatsapp",
        into="whatsapps",
        title="WhatsApp",
        column=1,
        empty="",
        content=WhatsAppContent,
        values=_whatsapp,
    ),
    Kind(name="voice", into="calls", title="Calls", column=0, empty="", content=VoiceContent, values=_call),
    Kind(name="chat", into="chats", title="Chat", column=1, empty="", content=ChatContent, values=_chat),
)
"""In the order of the page. Content of other types has no panel: the inbox shows its own."""

KIND_OF: Mapping[type[msgspec.Struct], Kind] = {kind.content: kind for kind in KINDS}


def card(content: AnyContent, person: Person, at: Instant) -> Mapping[str, Any]:
    """What a template shows of a content that has a kind; the clock is that of the person's own phone."""
    return {**KIND_OF[type(content)].values(content), **_their_clock(person, at)}


def transcript(text: str) -> list[str]:
    """What is said in a call, line by line, without the marks for the voice (SSML)."""
    plain = _TAG.sub("\n", text) if text.lstrip().startswith("<speak") else text
    return [line.strip() for line in plain.splitlines() if line.strip()]


def _their_clock(person: Person, at: Instant) -> Mapping[str, str]:
    """Time and day as the lock screen of a person's phone shows them."""
    there = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(person.zone))
    locale = babel(person.locale)
    return {
        "their_time": format_time(there, "short", locale=locale),
        "their_day": format_skeleton("MMMMEEEEd", there, locale=locale),
    }
