"""Which fields the content of each channel has, and what each may hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any

import msgspec

from clarion.content.text import clean, link, one_line
from clarion.model.channel import Channel
from clarion.model.content import (
    AnyContent,
    ChatContent,
    EmailContent,
    InAppContent,
    PushContent,
    SmsContent,
    VoiceContent,
    WebhookContent,
)


class Kind(Enum):
    """What a field holds, and so how it is made safe."""

    LINE = "one line of text"
    TEXT = "text"
    HTML = "HTML: every value is escaped"
    LINK = "a link"
    OBJECT = "a JSON object"
    DOCUMENT = "a JSON document, as text"


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one channel's content."""

    content: type[AnyContent]
    kinds: Mapping[str, Kind]
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
        if self.needs_one_of and not any(values.get(field, "").strip() for field in self.needs_one_of):
            return f"one of {', '.join(f'`{field}`' for field in self.needs_one_of)} is needed"
        return ""


def _object(text: str) -> Any:
    return _json(text, dict[str, Any], "a JSON object")


def _document(text: str) -> str:
    _json(text, Any, "a JSON document")
    return text


def _json(text: str, type: Any, wanted: str) -> Any:
    try:
        return msgspec.json.decode(text, type=type)
    except (ValueError, RecursionError):
        raise ValueError(f"must render to {wanted}: write values as `{{{{ value|tojson }}}}`") from None


FINISH: Mapping[Kind, Callable[[str], Any]] = {
    Kind.LINE: one_line,
    Kind.TEXT: clean,
    Kind.HTML: clean,
    Kind.LINK: link,
    Kind.OBJECT: _object,
    Kind.DOCUMENT: _document,
}
"""Makes of rendered text what the content holds. ValueError says what the text should have been."""

LAYOUTS: Mapping[Channel, Layout] = {
    Channel.EMAIL: Layout(
        content=EmailContent,
        kinds={"subject": Kind.LINE, "preheader": Kind.LINE, "text": Kind.TEXT, "html": Kind.HTML},
        needs="subject",
        needs_one_of=("text", "html"),
    ),
    Channel.SMS: Layout(content=SmsContent, kinds={"text": Kind.TEXT}, needs="text"),
    Channel.PUSH: Layout(
        content=PushContent,
        kinds={
            "title": Kind.LINE,
            "body": Kind.TEXT,
            "url": Kind.LINK,
            "image": Kind.LINK,
            "data": Kind.OBJECT,
        },
        needs="title",
    ),
    Channel.IN_APP: Layout(
        content=InAppContent,
        kinds={"title": Kind.LINE, "body": Kind.TEXT, "url": Kind.LINK, "data": Kind.OBJECT},
        needs="title",
    ),
    Channel.CHAT: Layout(
        content=ChatContent,
        kinds={"text": Kind.TEXT, "title": Kind.LINE, "url": Kind.LINK},
        needs="text",
    ),
    Channel.WEBHOOK: Layout(content=WebhookContent, kinds={"type": Kind.LINE, "body": Kind.DOCUMENT}),
    Channel.VOICE: Layout(content=VoiceContent, kinds={"text": Kind.TEXT}, needs="text"),
}
