"""Where the inbox of a user stands: its newest offset and the counters there."""

from __future__ import annotations

from collections.abc import Sequence

from clarion.model.inbox import InboxChange, InboxCounts, InboxItem


class InboxHead:
    """Changed inside a transaction, item by item."""

    __slots__ = ("offset", "total", "unread", "unseen")

    def __init__(self, offset: int = 0, unseen: int = 0, unread: int = 0, total: int = 0) -> None:
        self.offset = offset
        self.unseen = unseen
        self.unread = unread
        self.total = total

    def next(self) -> int:
        """The offset of the next change."""
        self.offset += 1
        return self.offset

    def count(self, item: InboxItem, times: int) -> None:
        """The item is there once more (1) or once less (-1)."""
        if item.archived_at is None:
            self.total += times
            self.unseen += times if item.seen_at is None else 0
            self.unread += times if item.read_at is None else 0

    def counters(self) -> tuple[int, int, int]:
        """As they are stored."""
        return self.unseen, self.unread, self.total

    def counts(self) -> InboxCounts:
        """As everybody else knows them."""
        return InboxCounts(unseen=self.unseen, unread=self.unread, total=self.total)

    def change(self, items: Sequence[InboxItem]) -> InboxChange:
        """What to fan out when these were the last to change."""
        return InboxChange(
            tenant=items[0].tenant, user=items[0].user, items=tuple(items), counts=self.counts()
        )
