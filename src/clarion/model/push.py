"""A push notification as it is sent, and how it counts against the size limit of push services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from clarion.model.content import MOST_BADGE, DeviceOptions, PushContent
from clarion.model.ids import MessageId, id_text

MOST_BYTES = 3_993
"""Bytes of JSON. Push services take 4,096 (RFC 8030, APNs, FCM); for browsers header, padding and tag of the encrypted
record are counted too (RFC 8188, RFC 8291)."""

APNS_BYTES = 4_096
"""Bytes of JSON that APNs takes."""
FCM_RESERVED: Final = ("from", "message_type")
FCM_RESERVED_PREFIXES: Final = ("google.", "gcm.")

_encode = msgspec.json.Encoder().encode


DECLARATIVE: Final = 8030
"""Says that browsers may show it without a service worker (W3C Push API, declarative push messages)."""


class _Button(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    action: str
    title: str
    navigate: str = ""


class _Notification(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    title: str
    body: str = ""
    navigate: str = ""
    tag: str = ""
    image: str = ""
    actions: tuple[_Button, ...] = ()
    data: dict[str, Any] = {}


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser shows, or its service worker gets."""

    web_push: int = DECLARATIVE
    notification: _Notification


def counts_unread(content: PushContent) -> bool:
    """Whether its badge is the number of unread inbox items."""
    return content.device is not None and content.device.badge == "unread"


def with_unread(content: PushContent, unread: int) -> PushContent:
    """With the number in the place of `unread`."""
    assert content.device is not None
    return replace(content, device=replace(content.device, badge=min(unread, MOST_BADGE)))


def push_payload(content: PushContent, message: MessageId) -> bytes:
    """The notification for browsers; what is empty is left out. One that comes twice replaces itself, by its `tag`."""
    buttons = enumerate(content.actions)
    return _encode(
        _Payload(
            notification=_Notification(
                title=content.title,
                body=content.body,
                navigate=content.url,
                tag=id_text(message),
                image=content.image,
                actions=tuple(
                    _Button(action=str(n), title=one.label, navigate=one.url) for n, one in buttons
                ),
                data=content.data,
            )
        )
    )


def apns_payload(content: PushContent, message: MessageId) -> bytes:
    """The notification as APNs takes it: `aps`, and beside it what the app gets."""
    return _encode({"aps": aps(content), **app_data(content, message)})


def aps(content: PushContent) -> dict[str, Any]:
    """What the system shows (Apple: "Generating a remote notification")."""
    options = content.device or _NO_OPTIONS
    if options.background:
        return {"content-available": 1}
    alert: dict[str, Any] = {
        "title": content.title,
        "subtitle": options.subtitle,
        "body": content.body,
        "title-loc-key": options.title_loc_key,
        "title-loc-args": options.title_loc_args if options.title_loc_key else (),
        "loc-key": options.loc_key,
        "loc-args": options.loc_args if options.loc_key else (),
    }
    if options.title_loc_key:
        del alert["title"]
    if options.loc_key:
        del alert["body"]
    shown: dict[str, Any] = {
        "alert": {name: value for name, value in alert.items() if value},
        "sound": options.sound,
        "category": options.category,
        "thread-id": options.thread_id,
        "interruption-level": options.interruption_level,
        "mutable-content": int(options.mutable_content or bool(content.image)),
    }
    numbers = {"badge": options.badge, "relevance-score": options.relevance_score}
    return {name: value for name, value in shown.items() if value} | {
        name: value for name, value in numbers.items() if value is not None
    }


def app_data(content: PushContent, message: MessageId) -> dict[str, Any]:
    """What the app gets beside what is shown: `data`, then `message_id`, `url` and `image`, whose names are taken."""
    links = {"url": content.url, "image": content.image}
    return {
        **content.data,
        "message_id": id_text(message),
        **{name: value for name, value in links.items() if value},
    }


def reserved_names(data: Mapping[str, Any]) -> Iterator[str]:
    """Names in `data` that the push services keep for themselves."""
    for name in data:
        if name == "aps" or name in FCM_RESERVED or name.startswith(FCM_RESERVED_PREFIXES):
            yield name


def push_bytes(content: PushContent) -> int:
    """How much of `MOST_BYTES` it takes at the service that leaves it least room; ids of messages are of one length."""
    message = MessageId(bytes(16))
    if counts_unread(content):
        content = with_unread(content, MOST_BADGE)
    return max(
        len(push_payload(content, message)), len(apns_payload(content, message)) - (APNS_BYTES - MOST_BYTES)
    )


_NO_OPTIONS = DeviceOptions()
