"""The fields of content on each channel, and what each may contain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from clarion.content import ssml
from clarion.content.mail.addresses import wire_address
from clarion.content.mail.invitations import moment
from clarion.content.mail.media_types import check_inline_id, media_type
from clarion.content.sanitize import WEB, app_scheme, app_schemes, clean, link, one_line
from clarion.errors import ContentError
from clarion.model.channel import Channel
from clarion.model.content import (
    Action,
    AnyContent,
    Attachment,
    ChatContent,
    DeviceOptions,
    EmailContent,
    InAppContent,
    Invitation,
    LiveOptions,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
    WhatsAppContent,
)

LONGEST_UID = 255
MOST_MEDIA = 10

Options = TypeVar("Options", DeviceOptions, LiveOptions)


class FieldKind(Enum):
    """What a field holds, and so how it is made safe."""

    LINE = "one line of text"
    NAME = "a name"
    TEXT = "text"
    HTML = "HTML: every value is escaped"
    LINK = "a link"
    MJML = "MJML, made into HTML when the template is compiled: every value is escaped"
    SSML = "SSML, marks for a voice: every value is escaped"
    OBJECT = "a JSON object"
    FACTS = "a JSON object of short texts"
    ACTIONS = "a JSON list of buttons: label and url"
    PARAMETERS = "a JSON list of texts"
    MEDIA = "a JSON list of links to files"
    ATTACHMENTS = "a JSON list of attachments: name, type, and url or content"
    CALENDAR = "a JSON object, an invitation: uid, start, end"
    DEVICE = "a JSON object, how a phone shows it: badge, sound, category, thread_id"
    LIVE = "a JSON object, how a phone shows a live resource: attributes_type, attributes, progress"
    DOCUMENT = "a JSON document, as text"


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one channel's content."""

    content: type[AnyContent]
    kinds: Mapping[str, FieldKind]
    needs: str = ""
    """This must be there and not blank."""
    needs_one_of: tuple[str, ...] = ()

    def unknown(self, field: str) -> str:
        """What to say about a field that is not one of these."""
        near = get_close_matches(field, self.kinds, n=1)
        return f"there is no field `{field}`; " + (
            f"did you mean `{near[0]}`?" if near else f"there are {', '.join(self.kinds)}"
        )

    def lacks(self, values: Mapping[str, Any]) -> str:
        """What is missing for a message, in words; empty when nothing is."""
        if self.needs and not values.get(self.needs, "").strip():
            return f"`{self.needs}` is missing or blank"
        if not self.needs_one_of:
            return ""
        for field in self.needs_one_of:
            if values.get(field, "").strip():
                return ""
        return f"one of {', '.join(f'`{field}`' for field in self.needs_one_of)} is needed"


Finish = Callable[[str], Any]
"""Makes of rendered text what the content holds. ValueError says what the text should have been."""


def finish(kind: FieldKind, source: str) -> Finish:
    """What to do with the text of a field whose source is `source`."""
    match kind:
        case FieldKind.LINK:
            return partial(link, schemes=app_scheme(source))
        case FieldKind.ACTIONS:
            return partial(_actions, schemes=app_schemes(source))
    return _FINISH[kind]


def _object(text: str) -> Any:
    return _json(text, dict[str, Any], "a JSON object")


def _document(text: str) -> str:
    _json(text, Any, "a JSON document")
    return text


def _facts(text: str) -> dict[str, str]:
    facts = _json(text, dict[str, str | int | float], "a JSON object of texts, label to value")
    return {one_line(label): clean(str(value)) for label, value in facts.items()}


def _actions(text: str, schemes: Collection[str]) -> tuple[Action, ...]:
    wanted = 'a JSON list of buttons like `[{"label": "Open", "url": "https://..."}]`'
    actions = _json(text, tuple[Action, ...], wanted)
    return tuple(Action(label=one_line(a.label), url=link(a.url, schemes)) for a in actions)


def _media(text: str) -> tuple[str, ...]:
    """Services fetch them, so each names its host. None where a condition leaves nothing."""
    if not text.strip():
        return ()
    links = _json(text, tuple[str, ...], 'a JSON list of links like `["https://example.com/a.png"]`')
    if len(links) > MOST_MEDIA:
        raise ValueError(f"a text message carries at most {MOST_MEDIA} files: there are {len(links)}")
    media = tuple(link(one, WEB) for one in links)
    if not all(one.lower().startswith("https://") for one in media):
        raise ValueError("every link of `media` starts with https://")
    return media


def _parameters(text: str) -> tuple[str, ...]:
    """WhatsApp refuses line breaks and rows of spaces. None where a condition leaves nothing."""
    if not text.strip():
        return ()
    values = _json(text, tuple[str | int | float, ...], 'a JSON list of texts like `["Ada", "A-1042"]`')
    return tuple(" ".join(clean(str(value)).split()) for value in values)


def _attachments(text: str) -> tuple[Attachment, ...]:
    wanted = 'a JSON list of attachments like `[{"name": "a.pdf", "url": "https://..."}]`'
    attachments: tuple[Attachment, ...] = _json(text, tuple[Attachment, ...], wanted)
    for attachment in attachments:
        if bool(attachment.url) == bool(attachment.content):
            raise ValueError("an attachment has either a `url` or its `content` in base64")
        media_type(attachment.type)
        if attachment.inline_id:
            check_inline_id(attachment.inline_id)
    shown = [attachment.inline_id for attachment in attachments if attachment.inline_id]
    if len(shown) != len(set(shown)):
        raise ValueError("two attachments have the same `inline_id`")
    return tuple(structs.replace(a, name=one_line(a.name), url=link(a.url, WEB)) for a in attachments)


def _invitation(text: str) -> Invitation | None:
    """None where a condition leaves nothing."""
    if not text.strip():
        return None
    wanted = 'a JSON object, an invitation like `{"uid": "m-1", "start": "2026-05-01T14:00:00Z"}`'
    invitation: Invitation = _json(text, Invitation, wanted)
    if not invitation.uid.strip() or len(invitation.uid) > LONGEST_UID:
        raise ValueError(f"the `uid` of an invitation has 1 to {LONGEST_UID} characters")
    if not 0 <= invitation.sequence < 2**31:
        raise ValueError("the `sequence` of an invitation is 0 or a positive number")
    start = _moment("start", invitation.start)
    if invitation.end:
        end = _moment("end", invitation.end)
        if isinstance(start, datetime) != isinstance(end, datetime):
            raise ValueError("`start` and `end` of an invitation are both days, or both times")
        if not end > start:
            raise ValueError("the `end` of an invitation comes after its `start`")
    if invitation.organizer:
        try:
            wire_address(invitation.organizer)
        except ContentError:
            raise ValueError("the `organizer` of an invitation is an email address") from None
    return structs.replace(
        invitation,
        uid=one_line(invitation.uid),
        summary=one_line(invitation.summary),
        url=link(invitation.url, WEB),
    )


def _device(text: str) -> DeviceOptions | None:
    """None where a condition leaves nothing."""
    if not text.strip():
        return None
    options = _options(text, DeviceOptions, '{"badge": 1, "sound": "default"}')
    return structs.replace(options, subtitle=one_line(options.subtitle))


def _live(text: str) -> LiveOptions | None:
    """None where a condition leaves nothing."""
    if not text.strip():
        return None
    options = _options(text, LiveOptions, '{"attributes_type": "OrderAttributes", "progress": 0.5}')
    return structs.replace(options, short_text=one_line(options.short_text))


def _options(text: str, type: type[Options], example: str) -> Options:
    try:
        return msgspec.json.decode(text, type=type)
    except msgspec.ValidationError as wrong:
        raise ValueError(f"{wrong}; there are {', '.join(type.__struct_fields__)}") from None
    except (ValueError, RecursionError):
        raise ValueError(
            f"must render to a JSON object like `{example}`: write values as `{{{{ value|tojson }}}}`"
        ) from None


def _moment(name: str, text: str) -> date | datetime:
    try:
        return moment(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"the `{name}` of an invitation is a time with its offset like `2026-05-01T14:00:00+02:00`, "
            "or a day like `2026-05-01`"
        ) from None


def _json(text: str, type: Any, wanted: str) -> Any:
    try:
        return msgspec.json.decode(text, type=type)
    except (ValueError, RecursionError):
        raise ValueError(f"must render to {wanted}: write values as `{{{{ value|tojson }}}}`") from None


_FINISH: Mapping[FieldKind, Finish] = {
    FieldKind.LINE: one_line,
    FieldKind.NAME: one_line,
    FieldKind.TEXT: clean,
    FieldKind.HTML: clean,
    FieldKind.MJML: clean,
    FieldKind.SSML: ssml.checked,
    FieldKind.OBJECT: _object,
    FieldKind.DOCUMENT: _document,
    FieldKind.FACTS: _facts,
    FieldKind.PARAMETERS: _parameters,
    FieldKind.MEDIA: _media,
    FieldKind.ATTACHMENTS: _attachments,
    FieldKind.CALENDAR: _invitation,
    FieldKind.DEVICE: _device,
    FieldKind.LIVE: _live,
}

LAYOUTS: Mapping[Channel, Layout] = {
    Channel.EMAIL: Layout(
        content=EmailContent,
        kinds={
            "subject": FieldKind.LINE,
            "preheader": FieldKind.LINE,
            "html": FieldKind.HTML,
            "mjml": FieldKind.MJML,
            "text": FieldKind.TEXT,
            "attachments": FieldKind.ATTACHMENTS,
            "calendar": FieldKind.CALENDAR,
        },
        needs="subject",
        needs_one_of=("html", "mjml", "text"),
    ),
    Channel.SMS: Layout(
        content=SmsContent,
        kinds={
            "text": FieldKind.TEXT,
            "media": FieldKind.MEDIA,
            "rcs_template": FieldKind.NAME,
            "rcs_parameters": FieldKind.PARAMETERS,
        },
        needs="text",
    ),
    Channel.PUSH: Layout(
        content=PushContent,
        kinds={
            "title": FieldKind.LINE,
            "body": FieldKind.TEXT,
            "url": FieldKind.LINK,
            "image": FieldKind.LINK,
            "actions": FieldKind.ACTIONS,
            "data": FieldKind.OBJECT,
            "device": FieldKind.DEVICE,
            "live": FieldKind.LIVE,
        },
        needs="title",
    ),
    Channel.IN_APP: Layout(
        content=InAppContent,
        kinds={
            "title": FieldKind.LINE,
            "body": FieldKind.TEXT,
            "url": FieldKind.LINK,
            "actions": FieldKind.ACTIONS,
            "data": FieldKind.OBJECT,
        },
        needs="title",
    ),
    Channel.CHAT: Layout(
        content=ChatContent,
        kinds={
            "text": FieldKind.TEXT,
            "title": FieldKind.LINE,
            "url": FieldKind.LINK,
            "image": FieldKind.LINK,
            "fields": FieldKind.FACTS,
            "actions": FieldKind.ACTIONS,
        },
        needs="text",
    ),
    Channel.WEBHOOK: Layout(
        content=WebhookContent, kinds={"type": FieldKind.LINE, "body": FieldKind.DOCUMENT}
    ),
    Channel.VOICE: Layout(
        content=VoiceContent,
        kinds={
            "text": FieldKind.TEXT,
            "ssml": FieldKind.SSML,
            "acknowledge": FieldKind.LINE,
            "language": FieldKind.NAME,
        },
        needs_one_of=("ssml", "text"),
    ),
    Channel.WHATSAPP: Layout(
        content=WhatsAppContent,
        kinds={
            "text": FieldKind.TEXT,
            "template": FieldKind.NAME,
            "language": FieldKind.NAME,
            "header": FieldKind.LINE,
            "parameters": FieldKind.PARAMETERS,
            "buttons": FieldKind.PARAMETERS,
        },
        needs_one_of=("template", "text"),
    ),
}
