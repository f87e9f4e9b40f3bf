"""Inbox items: how what people do changes them, and how devices see them over HTTP, WebSocket and event streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from clarion.model.content import Action
from clarion.model.ids import Instant, id_text
from clarion.model.inbox import InboxAction, InboxItem, ShownItem
from clarion.model.setup import Success

ACTIONS: Mapping[InboxAction, Callable[[InboxItem, Instant], InboxItem]] = {
    "seen": lambda item, at: replace(item, seen_at=item.seen_at or at),
    "read": lambda item, at: replace(item, seen_at=item.seen_at or at, read_at=item.read_at or at),
    "unread": lambda item, at: replace(item, read_at=None),
    "archived": lambda item, at: replace(item, archived_at=item.archived_at or at),
    "unarchived": lambda item, at: replace(item, archived_at=None),
}
"""What becomes of an item by what a person does; the same item when nothing does."""


def after_mark(action: InboxAction, item: InboxItem, at: Instant) -> InboxItem:
    """The item after a person did this; the same item when nothing changes: a withdrawn one never does."""
    return ACTIONS[action](item, at) if item.sealed else item


def replaced(item: InboxItem, sealed: bytes, at: Instant) -> InboxItem:
    """The item with other content; without any it is withdrawn, and stands among those that are put away."""
    return replace(item, sealed=sealed, archived_at=item.archived_at if sealed else item.archived_at or at)


SATISFIES: Mapping[InboxAction, tuple[Success, ...]] = {
    "seen": (Success.SEEN,),
    "read": (Success.SEEN, Success.READ),
}
"""The ladders that end by it."""


class _Content(msgspec.Struct, frozen=True):
    """The inside of InAppContent; its data stays as it is."""

    title: str = ""
    body: str = ""
    url: str = ""
    actions: tuple[Action, ...] = ()
    data: msgspec.Raw = msgspec.Raw(b"{}")


_content = msgspec.json.Decoder(_Content)


def shown(stored: InboxItem, content: bytes) -> ShownItem:
    """A stored item and its opened content; msgspec.DecodeError when that is damaged."""
    inside = _content.decode(content) if stored.sealed else _Content()
    return ShownItem(
        id=id_text(stored.message_id),
        offset=stored.offset,
        title=inside.title,
        body=inside.body or None,
        url=inside.url or None,
        actions=inside.actions,
        data=inside.data,
        workflow=stored.workflow,
        category=stored.category,
        created_at=moment(stored.at) or "",
        seen_at=moment(stored.seen_at),
        read_at=moment(stored.read_at),
        archived_at=moment(stored.archived_at),
        withdrawn=not stored.sealed,
    )


@lru_cache(maxsize=1024)  # Items of one batch share their millisecond.
def moment(at: Instant | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
