"""A push notification as it is sent, and how it counts against the size limit of push services."""

from __future__ import annotations

from typing import Any

import msgspec

from clarion.model.content import PushContent
from clarion.model.ids import MessageId, id_text

MOST_BYTES = 3_993
"""Bytes of JSON. Push services take 4,096 (RFC 8030, APNs, FCM); for browsers header, padding and tag of the encrypted
record are counted too (RFC 8188, RFC 8291)."""

_encode = msgspec.json.Encoder().encode


class _Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the service worker gets."""

    title: str
    body: str = ""
    url: str = ""
    image: str = ""
    actions: tuple[Any, ...] = ()
    data: dict[str, Any] = {}
    message_id: str = ""


def push_payload(content: PushContent, message: MessageId) -> bytes:
    """The notification as a service worker reads it; what is empty is left out."""
    return _encode(
        _Payload(
            title=content.title,
            body=content.body,
            url=content.url,
            image=content.image,
            actions=content.actions,
            data=content.data,
            message_id=id_text(message),
        )
    )


def push_bytes(content: PushContent) -> int:
    """How much of `MOST_BYTES` it takes; every message's id is as long as any other's."""
    return len(push_payload(content, MessageId(bytes(16))))
