"""Inbox items, inbox changes and captured messages, as the ledger stores them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from clarion.model.channel import Channel
from clarion.model.content import Action
from clarion.model.ids import Instant, MessageId, TenantId, UserNo


class InboxItem(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """One item of a user's inbox in its latest state.

    `offset` is the item's place in the user's stream of changes: it grows by one with every new item and with
    every change of an item (seen, read, archived), which moves the item to the new offset. So "all items with
    an offset above N" is exactly what a client that stopped at N has missed.
    """

    tenant: TenantId
    user: UserNo
    message_id: MessageId
    sealed: bytes
    """The InAppContent as JSON, sealed under the user's key."""
    at: Instant
    offset: int = 0
    seen_at: Instant | None = None
    read_at: Instant | None = None
    archived_at: Instant | None = None
    workflow: str = ""
    category: str = ""


class InboxCard(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """An inbox item that shows a live resource: there is one for each person, and every newer state takes its place."""

    item: InboxItem
    """It comes in when there is none yet; else the content of the one that is there is replaced."""
    live: bytes
    """What it shows, as a keyed hash."""
    sequence: int | None
    """Of the state. An older one than that which is there changes nothing. None: it is newer than what is there."""

    @property
    def message_id(self) -> MessageId:
        """The message that brings it."""
        return self.item.message_id


class InboxReplacement(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """What an item of an inbox holds from now on. A withdrawn one holds nothing, stands in no list, and stays so."""

    user: UserNo
    message_id: MessageId
    sealed: bytes
    """The InAppContent as JSON, sealed under the user's key; empty: it is withdrawn."""


class ShownItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an inbox, the same over HTTP, WebSocket and event streams."""

    id: str
    offset: int
    """Where it stands among the changes of the inbox: grows with every change of it."""
    title: str
    body: str | None
    url: str | None
    """Where it leads."""
    actions: tuple[Action, ...]
    """Its buttons."""
    data: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]
    """For programs, as the template gave it."""
    workflow: str
    category: str
    created_at: str
    seen_at: str | None
    read_at: str | None
    archived_at: str | None
    snoozed_until: str | None = None
    """Always null: items cannot be put off yet."""
    withdrawn: bool = False
    """The sender took it back: there is nothing in it any more, and it is to be removed from every list."""


class InboxCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Exact counters over items that are not archived."""

    unseen: int
    unread: int
    total: int


class InboxFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects items of an inbox. Empty: all items that are not archived."""

    archived: bool = False
    """The archive instead of the live items."""
    unread: bool = False
    """Only what is unread."""


class InboxChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A committed change of one user's inbox: fanned out to the user's connected devices."""

    tenant: TenantId
    user: UserNo
    items: tuple[InboxItem, ...]
    """The changed items in their new state, offsets ascending and without gaps. Empty and without `upto`: the inbox is
    gone with its user."""
    counts: InboxCounts | None = None
    """The counters after this change, where the store knows them for free; None: read them."""
    content: tuple[bytes, ...] = ()
    """Content JSON per item while it is still in memory (fresh deliveries); empty: open `sealed`."""
    upto: int = 0
    """Where the inbox stands, if the items were left out on the way: read them from the ledger."""

    @property
    def offset(self) -> int:
        """Where the inbox stands after this change; 0: it is gone."""
        return self.items[-1].offset if self.items else self.upto


class Captured(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """What a provider would have received."""

    tenant: TenantId
    user: UserNo
    message_id: MessageId
    channel: Channel
    integration: str
    sealed: bytes
    """JSON `{"to": ..., "content": {...}}`, sealed under the user's key."""
    at: Instant
    seq: int = 0


InboxAction = Literal["seen", "read", "unread", "archived", "unarchived"]
MARKS: tuple[InboxAction, ...] = get_args(InboxAction)
"""Everything that people do with the items of their inbox."""


class CaptureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All given fields must match."""

    user: UserNo | None = None
    channels: frozenset[Channel] = frozenset()
    """Any of these; empty: whatever channel."""
    since: Instant | None = None
    before: Instant | None = None
