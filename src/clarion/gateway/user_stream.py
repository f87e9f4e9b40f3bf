"""The inbox changes of one user, shared by all devices of that user."""

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
    from collections.abc import Callable, Sequence


log = structlog.get_logger(__name__)


class StreamLost(Exception):
    """The stream cannot go on without leaving something out; its devices have to start over."""


class StreamReader:
    """Turns what the ledger holds into what a stream sends.

    Ledger reads may see commits that are not published yet. So a state is always `head` first, then the items
    behind some offset *up to that head*: an item that moved beyond the head meanwhile is left out here and comes
    with its own change, which is behind the head and therefore still to be pushed. While a read is under way the stream
    may move on by itself: what it has told already is left out then. Nothing is lost or told twice.
    """

    def __init__(self, inboxes: Inboxes, vault: Vault, most: int) -> None:
        self._inboxes = inboxes
        self._vault = vault
        self._most = most

    async def catch_up(self, stream: UserStream, push: Callable[[UserStream, Frame], None]) -> None:
        """Move the stream at least to where the ledger stands now, and to everything announced meanwhile. `push` gets the
        frames that take its devices there."""
        async with stream.reading:
            while True:
                before, announced = stream.offset, stream.announced
                offset, counts = await self._inboxes.head(stream.user)
                if offset < max(before, announced):
                    raise StreamLost
                if offset > stream.offset:
                    changed = await self.changed(stream, stream.offset, offset)
                    if changed is None:
                        raise StreamLost
                    if offset > stream.offset:
                        untold = [item for item in changed if item.offset > stream.offset]
                        push(stream, self.advance(stream, untold, (), counts, offset))
                if stream.announced <= stream.offset:
                    return

    def advance(
        self,
        stream: UserStream,
        items: Sequence[InboxItem],
        content: Sequence[bytes],
        counts: InboxCounts,
        offset: int,
    ) -> Frame:
        """Move the stream over `items` to `offset`; the frame that takes its devices there."""
        frame = frames.items(
            before=stream.offset, offset=offset, items=self.shown(stream, items, content), counts=counts
        )
        stream.offset = offset
        stream.counts = counts
        return frame

    async def seek_to_head(self, stream: UserStream) -> None:
        """Move a stream nobody follows yet to the ledger's head."""
        stream.offset, stream.counts = await self._inboxes.head(stream.user)

    async def changed(self, stream: UserStream, after: int, upto: int) -> list[InboxItem] | None:
        """Items whose last change lies in (after, upto], offsets ascending; None when they are too many."""
        found = await self._inboxes.since(stream.user, after, self._most + 1)
        if len(found) > self._most:
            return None
        return [item for item in found if item.offset <= upto]

    async def newest(self, stream: UserStream, limit: int) -> Sequence[InboxItem]:
        """The newest unarchived items."""
        return await self._inboxes.page(stream.user, None, limit)

    def shown(
        self, stream: UserStream, items: Sequence[InboxItem], content: Sequence[bytes] = ()
    ) -> list[ShownItem]:
        """Items as the client sees them; `content` spares the opening where it is still in memory."""
        if len(content) == len(items):
            return list(map(shown, items, content))
        return [self._opened(stream, item) for item in items]

    def _opened(self, stream: UserStream, item: InboxItem) -> ShownItem:
        try:
            return shown(item, self._vault.open(stream.key, item.sealed) if item.sealed else b"")
        except (SealBroken, msgspec.DecodeError) as wrong:
            # One damaged item must not keep its owner from all the others.
            log.warning("inbox_item_unreadable", tenant=stream.tenant, error=type(wrong).__name__)
            return shown(item, b"{}")
