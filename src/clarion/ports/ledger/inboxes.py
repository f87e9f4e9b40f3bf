"""The in-app inbox of a user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from clarion.model.ids import Instant, MessageId, UserNo
from clarion.model.inbox import InboxAction, InboxChange, InboxCounts, InboxItem


class Inboxes(Protocol):
    """The in-app inbox of a user."""

    async def page(
        self,
        user: UserNo,
        before: MessageId | None,
        limit: int,
        *,
        archived: bool = False,
        unread: bool = False,
    ) -> Sequence[InboxItem]:
        """Newest first."""

    async def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        """Items changed behind `offset`, offsets ascending: the replay."""

    async def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        """The newest offset and the counters at that offset."""

    async def unread(self, users: Sequence[UserNo]) -> Mapping[UserNo, int]:
        """How many items each of them has not read."""

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        """The ids of all that `page` would show, newest first."""

    async def mark(
        self,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        *,
        recorded: bool = False,
    ) -> InboxChange | None:
        """Mark the given items in one transaction; None when nothing changed. Also stamps the messages
        and cancels later rungs of ladders that were waiting for `seen` or `read`. `recorded`: the timeline of each
        message that changed says so, with the action as its outcome."""
