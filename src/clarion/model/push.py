"""A push notification as it is sent, and how it counts against the size limit of push services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from clarion.model.content import MOST_BADGE, DeviceOptions, LiveOptions, PushContent
from clarion.model.graphemes import cuts
from clarion.model.ids import Instant, MessageId, id_text
from clarion.model.live_update import LiveEvent, LiveUpdate

MOST_BYTES = 3_993
"""Bytes of JSON. Push services take 4,096 (RFC 8030, APNs, FCM); for browsers header, padding and tag of the encrypted
record are counted too (RFC 8188, RFC 8291)."""

APNS_BYTES = 4_096
"""Bytes of JSON that APNs takes."""
CHANNEL_BYTES = 5_120
"""The same on a broadcast channel."""
FCM_BYTES, FCM_TOPIC_BYTES = 4_096, 2_048
"""Of what is shown and of `data`, names and values."""
ELLIPSIS: Final = "…"
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


def push_payload(
    content: PushContent, message: MessageId, tag: str = "", live: LiveUpdate | None = None
) -> bytes:
    """The notification for browsers; what is empty is left out. It replaces what has the same `tag`; without one, what
    comes twice replaces itself."""
    buttons = enumerate(content.actions)
    return _encode(
        _Payload(
            notification=_Notification(
                title=content.title,
                body=content.body,
                navigate=content.url,
                tag=tag or id_text(message),
                image=content.image,
                actions=tuple(
                    _Button(action=str(n), title=one.label, navigate=one.url) for n, one in buttons
                ),
                data=content.data if live is None else {**content.data, "live": live_data(content, live)},
            )
        )
    )


def withdrawal_payload(tag: str) -> bytes:
    """What asks the service worker of a browser to close the notification with this `tag`."""
    return _encode({"withdraw": tag})


def app_withdrawal(message: MessageId, tag: str) -> dict[str, str]:
    """What asks an app to remove what it shows of a message; `tag`: what the system knows it by."""
    return {"withdraw": id_text(message), **({"tag": tag} if tag else {})}


def apns_payload(content: PushContent, message: MessageId, live: LiveUpdate | None = None) -> bytes:
    """The notification as APNs takes it: `aps`, and beside it what the app gets."""
    return _encode({"aps": aps(content, live), **app_data(content, message, live)})


def aps(content: PushContent, live: LiveUpdate | None = None) -> dict[str, Any]:
    """What the system shows (Apple: "Generating a remote notification"). Updates of a live resource disturb nobody."""
    options = content.device or _NO_OPTIONS
    if live is not None and live.event is LiveEvent.UPDATE:
        options = replace(options, sound="", interruption_level="passive")
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


def app_data(content: PushContent, message: MessageId, live: LiveUpdate | None = None) -> dict[str, Any]:
    """What the app gets beside what is shown: `data`, then `message_id`, `url`, `image` and `live`, whose names are taken."""
    links = {"url": content.url, "image": content.image}
    return {
        **content.data,
        "message_id": id_text(message),
        **{name: value for name, value in links.items() if value},
        **({} if live is None else {"live": live_data(content, live)}),
    }


def reserved_names(data: Mapping[str, Any]) -> Iterator[str]:
    """Names in `data` that the push services keep for themselves."""
    for name in data:
        if name == "aps" or name in FCM_RESERVED or name.startswith(FCM_RESERVED_PREFIXES):
            yield name


def activity_obstacle(content: PushContent, live: LiveUpdate | None, *, starts: bool) -> str:
    """Why no Live Activity can show this; empty: one can."""
    if live is None:
        return "only live resources go to Live Activities"
    if starts and live.event is LiveEvent.END:
        return "the live resource has ended: there is nothing to start"
    if starts and not (content.live and content.live.attributes_type):
        return "a Live Activity cannot be started without `attributes_type` in `live` of the template"
    return ""


def activity_payload(content: PushContent, live: LiveUpdate, *, starts: bool, message: MessageId) -> bytes:
    """A Live Activity as APNs takes it."""
    return _encode({"aps": activity_aps(content, live, starts=starts), "message_id": id_text(message)})


def activity_aps(content: PushContent, live: LiveUpdate, *, starts: bool) -> dict[str, Any]:
    """The same without what the app gets. `starts`: it goes to a push-to-start token (Apple: "Starting and updating Live
    Activities with ActivityKit push notifications")."""
    options, device = content.live or _NO_LIVE_OPTIONS, content.device or _NO_OPTIONS
    shown: dict[str, Any] = {
        "timestamp": live.at // 1000,
        "event": _activity_event(live.event, starts=starts),
        "content-state": options.content_state or {},
    }
    if live.stale_at is not None:
        shown["stale-date"] = live.stale_at // 1000
    if live.event is LiveEvent.END and live.dismiss_at is not None:
        shown["dismissal-date"] = live.dismiss_at // 1000
    if device.relevance_score is not None:
        shown["relevance-score"] = device.relevance_score
    if starts:
        shown |= {
            "attributes-type": options.attributes_type,
            "attributes": options.attributes,
            "input-push-token": 1,
        }
    if starts or options.alert:
        alert = {"title": content.title, "body": content.body, "sound": device.sound}
        shown["alert"] = {name: text for name, text in alert.items() if text}
    return shown


def _activity_event(event: LiveEvent, *, starts: bool) -> LiveEvent:
    """What runs already is not started, but updated."""
    if starts:
        return LiveEvent.START
    return LiveEvent.END if event is LiveEvent.END else LiveEvent.UPDATE


def live_data(content: PushContent, live: LiveUpdate) -> dict[str, Any]:
    """What an app needs to show a live resource itself; it shows no state whose `sequence` is below that of another."""
    options = content.live or _NO_LIVE_OPTIONS
    progress: dict[str, Any] = {
        "progress": options.progress,
        "segments": options.segments,
        "points": options.points,
        "short_text": options.short_text,
        "stale_at": live.stale_at,
    }
    return {
        "key": live.key,
        "event": live.event.value,
        "sequence": live.sequence,
        "at": live.at,
        "state": options.content_state or {},
        **{name: value for name, value in progress.items() if value not in (None, (), "")},
    }


def fcm_data(content: PushContent, message: MessageId, live: LiveUpdate | None = None) -> dict[str, str]:
    """What the app gets through FCM, which takes texts only: anything else is written as JSON."""
    return {name: _text(value) for name, value in app_data(content, message, live).items()}


def fcm_notification(content: PushContent) -> dict[str, str]:
    """What FCM shows."""
    shown = {"title": content.title, "body": content.body, "image": content.image}
    return {name: value for name, value in shown.items() if value}


def fcm_bytes(*texts: Mapping[str, str]) -> int:
    """How FCM counts: names and values."""
    return sum(len(name.encode()) + len(value.encode()) for each in texts for name, value in each.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def push_bytes(content: PushContent) -> int:
    """How much of `MOST_BYTES` it takes at the service that leaves it least room; ids of messages are of one length."""
    message = MessageId(bytes(16))
    if counts_unread(content):
        content = with_unread(content, MOST_BADGE)
    live = None if content.live is None else _LONGEST
    sizes = [
        len(push_payload(content, message, live=live)),
        len(apns_payload(content, message, live)) - (APNS_BYTES - MOST_BYTES),
        fcm_bytes(fcm_data(content, message, live), fcm_notification(content)) - (FCM_BYTES - MOST_BYTES),
    ]
    if live is not None:
        activity = activity_payload(content, live, starts=True, message=message)
        sizes.append(len(activity) - (APNS_BYTES - MOST_BYTES))
    return max(sizes)


def fitted(content: PushContent) -> PushContent:
    """The notification, its body cut where it would be too large for a push service. What is too large without a body
    stays as it is: it is refused."""
    if push_bytes(content) <= MOST_BYTES:
        return content
    body = content.body
    places = cuts(body, len(body))
    found, low, high = content, 0, len(places) - 1
    while low <= high:
        middle = (low + high) // 2
        shorter = replace(content, body=body[: places[middle]].rstrip() + ELLIPSIS)
        if push_bytes(shorter) <= MOST_BYTES:
            found, low = shorter, middle + 1
        else:
            high = middle - 1
    return found


_NO_OPTIONS = DeviceOptions()
_NO_LIVE_OPTIONS = LiveOptions()
_LONGEST = LiveUpdate(
    id=bytes(16),
    key="k" * 64,
    event=LiveEvent.UPDATE,
    sequence=2**53,
    at=Instant(10**13),
    stale_at=Instant(10**13),
)
"""An update whose numbers take most room."""
