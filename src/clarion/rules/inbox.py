"""An inbox item as devices see it, in one form for HTTP, WebSocket and event streams."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from clarion.model.content import Action
from clarion.model.ids import Instant, id_text
from clarion.model.inbox import InboxItem, ShownItem


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
    inside = _content.decode(content)
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
    )


@lru_cache(maxsize=1024)  # Items of one batch share their millisecond.
def moment(at: Instant | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
