"""The changes of one user's inbox as all devices of that user follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from clarion.errors import SealBroken
from clarion.gateway import frames
from clarion.gateway.device import UserStream
from clarion.gateway.frames import Frame
from clarion.model.inbox import InboxCounts, InboxItem, ShownItem
from clarion.ports.ledger import Inboxes
from clarion.ports.vault import Vault
from clarion.rules.inbox import shown

if TYPE_CHECKING:
    from collections.abc import Sequence


log = structlog.get_logger(__name__)


class StreamLost(Exception):
    """The feed cannot go on without leaving something out; its devices have to start over."""


class StreamReader:
    """Turns what the ledger holds into what a feed sends. No method gives way in the middle of a state.

    Ledger reads may see commits that are not published yet. So a state is always `head` first, then the items
    behind some offset *up to that head*: an item that moved beyond the head meanwhile is left out here and comes
    with its own change, which is behind the head and therefore still to be pushed. Nothing is lost or told twice.
    """

    def __init__(self, inboxes: Inboxes, vault: Vault, most: int) -> None:
        self._inboxes = inboxes
        self._vault = vault
        self._most = most

    def catch_up(self, feed: UserStream) -> Frame | None:
        """Move the feed to the ledger's head; the frame that takes its devices there, None when it was there."""
        offset, counts = self._inboxes.head(feed.user)
        if offset == feed.offset:
            return None
        if offset < feed.offset:
            raise StreamLost
        changed = self.changed(feed, feed.offset, offset)
        if changed is None:
            raise StreamLost
        return self.advance(feed, changed, (), counts, offset)

    def advance(
        self,
        feed: UserStream,
        items: Sequence[InboxItem],
        content: Sequence[bytes],
        counts: InboxCounts,
        offset: int,
    ) -> Frame:
        """Move the feed over `items` to `offset`; the frame that takes its devices there."""
        frame = frames.items(
            before=feed.offset, offset=offset, items=self.shown(feed, items, content), counts=counts
        )
        feed.offset = offset
        feed.counts = counts
        return frame

    def jump(self, feed: UserStream) -> None:
        """Move a feed nobody follows yet to the ledger's head."""
        feed.offset, feed.counts = self._inboxes.head(feed.user)

    def changed(self, feed: UserStream, after: int, upto: int) -> list[InboxItem] | None:
        """Items whose last change lies in (after, upto], offsets ascending; None when they are too many."""
        found = self._inboxes.since(feed.user, after, self._most + 1)
        if len(found) > self._most:
            return None
        return [item for item in found if item.offset <= upto]

    async def newest(self, feed: UserStream, limit: int) -> Sequence[InboxItem]:
        """The newest unarchived items; the only read that gives way."""
        return await self._inboxes.page(feed.user, None, limit)

    def shown(
        self, feed: UserStream, items: Sequence[InboxItem], content: Sequence[bytes] = ()
    ) -> list[ShownItem]:
        """Items as the client sees them; `content` spares the opening where it is still in memory."""
        if len(content) == len(items):
            return list(map(shown, items, content))
        return [self._opened(feed, item) for item in items]

    def _opened(self, feed: UserStream, item: InboxItem) -> ShownItem:
        try:
            return shown(item, self._vault.open(feed.key, item.sealed))
        except (SealBroken, msgspec.DecodeError) as wrong:
            # One damaged item must not keep its owner from all the others.
            log.warning("inbox_item_unreadable", tenant=feed.tenant, error=type(wrong).__name__)
            return shown(item, b"{}")
