"""What one person would get on one channel, before anybody is sent anything."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from clarion.content import Renderer, segments
from clarion.dashboard.editor import place
from clarion.errors import ContentError
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
from clarion.model.setup import Template, Tenant
from clarion.model.user import User

KEPT = 40
"""Rendered emails that frames can still load."""
PUSH_BYTES = 4096
"""What Apple and Google accept, and what browsers must accept (RFC 8030, section 7.2)."""
CLIPPED_BYTES = 102 * 1024
"""Gmail hides what comes behind this much HTML."""


class Previews:
    """Renders drafts, and keeps the last emails for the frames that show them."""

    def __init__(self) -> None:
        self._renderer = Renderer(cache=16)
        self._documents: OrderedDict[str, bytes] = OrderedDict()

    async def of(
        self, template: Template, channel: Channel, user: User, tenant: Tenant, data: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What to show; when it cannot be rendered, where and why."""
        try:
            content = await asyncio.to_thread(
                self._renderer.render,
                template=template,
                channel=channel,
                user=user,
                tenant=tenant,
                event_data=dict(data),
            )
        except ContentError as wrong:
            return {"kind": "wrong", "line": wrong.line, **_refused(wrong)}
        return self._shown(content, tenant)

    def document(self, name: str) -> bytes | None:
        """A rendered email that is still kept."""
        return self._documents.get(name)

    def _shown(self, content: AnyContent, tenant: Tenant) -> dict[str, Any]:
        match content:
            case EmailContent():
                return self._email(content)
            case SmsContent(text=text):
                return {"kind": "sms", "text": text, **_billed(text, tenant.sms_prices)}
            case PushContent():
                size = len(msgspec.json.encode(content))
                return {
                    "kind": "push",
                    **_fields(content),
                    "size": size,
                    "too_large": size > PUSH_BYTES,
                    "limit": PUSH_BYTES,
                }
            case InAppContent():
                return {"kind": "in_app", **_fields(content)}
            case ChatContent():
                return {"kind": "chat", **_fields(content)}
            case VoiceContent(text=text):
                return {"kind": "voice", "text": text}
            case WebhookContent():
                return {"kind": "webhook", "type": content.type, "body": _indented(content.body)}

    def _email(self, email: EmailContent) -> dict[str, Any]:
        html = email.html.encode()
        name = ""
        if html:
            name = blake2b(html, digest_size=12).hexdigest()
            self._documents[name] = html
            self._documents.move_to_end(name)
            while len(self._documents) > KEPT:
                self._documents.popitem(last=False)
        return {
            "kind": "email",
            "frame": name,
            "clipped": len(html) > CLIPPED_BYTES,
            "size": f"{len(html) / 1024:.1f} KB",
            **_fields(email),
        }


def _refused(wrong: ContentError) -> dict[str, str]:
    """Where and why. The detail names the place for logs; here it stands above it already."""
    where = place(wrong.pointer or "")
    detail = wrong.detail
    if where["channel"] and detail.startswith("template `"):
        detail = detail.partition(": ")[2] or detail
    return {**where, "detail": detail[:1].upper() + detail[1:]}


def _fields(content: AnyContent) -> dict[str, Any]:
    return {name: getattr(content, name) for name in content.__struct_fields__}


def _billed(text: str, prices: Mapping[str, float]) -> dict[str, Any]:
    """Segments, what decides them, and what they cost where the tenant named a price."""
    cut = segments(text)
    return {
        "segments": cut.count,
        "encoding": cut.encoding,
        "units": cut.units,
        "prices": [
            {"country": country, "price": f"{price * cut.count:.4f}".rstrip("0").rstrip(".")}
            for country, price in sorted(prices.items())
        ],
    }


def _indented(body: str) -> str:
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except msgspec.DecodeError:
        return body
