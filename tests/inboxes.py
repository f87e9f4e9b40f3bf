"""Inboxes in a dict: the reference model the gateway is tested against, and the smallest ledger it can run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clarion.model.ids import Instant, MessageId, TenantId, UserNo
from clarion.model.inbox import InboxAction, InboxChange, InboxCounts, InboxItem
from clarion.model.user import Profile, User, UserPut, UserSeen
from clarion.ports.vault import Vault

ACME = TenantId(1)


class MemoryInboxes:
    """Implements `ports.ledger.Inboxes`; `deliver` is what settling an in-app message does."""

    def __init__(self) -> None:
        self._items: dict[UserNo, dict[MessageId, InboxItem]] = {}
        self._heads: dict[UserNo, int] = {}
        self._made = 0

    def deliver(
        self, user: User, sealed: Sequence[bytes], at: Instant, content: Sequence[bytes] = ()
    ) -> InboxChange:
        """New items, stored; the change to publish."""
        fresh = []
        for one in sealed:
            self._made += 1
            fresh.append(
                InboxItem(
                    tenant=user.tenant,
                    user=user.no,
                    message_id=MessageId(self._made.to_bytes(16, "big")),
                    sealed=one,
                    at=at,
                    workflow="order-shipped",
                    category="orders",
                )
            )
        return self._store(user.no, fresh, tuple(content))

    def _store(
        self, user: UserNo, items: Sequence[InboxItem], content: tuple[bytes, ...] = ()
    ) -> InboxChange:
        box = self._items.setdefault(user, {})
        head = self._heads.get(user, 0)
        moved = tuple(msgspec.structs.replace(item, offset=head + n) for n, item in enumerate(items, 1))
        box.update((item.message_id, item) for item in moved)
        self._heads[user] = head + len(moved)
        return InboxChange(
            tenant=moved[0].tenant, user=user, items=moved, content=content, counts=self.now(user)[1]
        )

    async def unread(self, users: Sequence[UserNo]) -> Mapping[UserNo, int]:
        return {user: self.now(user)[1].unread for user in users}

    def forget(self, user: UserNo) -> None:
        """The user was deleted."""
        self._items.pop(user, None)
        self._heads.pop(user, None)

    def everything(self, user: UserNo) -> Mapping[MessageId, InboxItem]:
        """The whole truth."""
        return self._items.get(user, {})

    async def page(
        self,
        user: UserNo,
        before: MessageId | None,
        limit: int,
        *,
        archived: bool = False,
        unread: bool = False,
    ) -> Sequence[InboxItem]:
        fits = [
            item
            for item in self._items.get(user, {}).values()
            if (archived or item.archived_at is None)
            and not (unread and item.read_at is not None)
            and (before is None or item.message_id < before)
        ]
        return sorted(fits, key=lambda item: item.message_id, reverse=True)[:limit]

    async def matching(
        self, user: UserNo, *, archived: bool = False, unread: bool = False
    ) -> Sequence[MessageId]:
        return [
            item.message_id
            for item in sorted(self._items.get(user, {}).values(), key=lambda i: i.message_id, reverse=True)
            if (item.archived_at is not None) is archived and not (unread and item.read_at is not None)
        ]

    async def since(self, user: UserNo, offset: int, limit: int) -> Sequence[InboxItem]:
        behind = [item for item in self._items.get(user, {}).values() if item.offset > offset]
        return sorted(behind, key=lambda item: item.offset)[:limit]

    async def head(self, user: UserNo) -> tuple[int, InboxCounts]:
        return self.now(user)

    def now(self, user: UserNo) -> tuple[int, InboxCounts]:
        """The newest offset and the counters at that offset."""
        alive = [item for item in self._items.get(user, {}).values() if item.archived_at is None]
        return self._heads.get(user, 0), InboxCounts(
            unseen=sum(item.seen_at is None for item in alive),
            unread=sum(item.read_at is None for item in alive),
            total=len(alive),
        )

    async def mark(
        self,
        user: UserNo,
        action: InboxAction,
        ids: Sequence[MessageId],
        at: Instant,
        *,
        recorded: bool = False,
    ) -> InboxChange | None:
        box = self._items.get(user, {})
        chosen = [i for i in box.values() if i.message_id in ids]
        marked = [after for item in chosen if (after := marked_as(item, action, at)) != item]
        return self._store(user, marked) if marked else None


def marked_as(item: InboxItem, action: InboxAction, at: Instant) -> InboxItem:
    """The item after the action, the same when it changes nothing."""
    every: dict[InboxAction, dict[str, Any]] = {
        "seen": {"seen_at": item.seen_at or at},
        "read": {"seen_at": item.seen_at or at, "read_at": item.read_at or at},
        "unread": {"read_at": None},
        "archived": {"archived_at": item.archived_at or at},
        "unarchived": {"archived_at": None},
    }
    return msgspec.structs.replace(item, **every[action])


class MemoryUsers:
    """The part of `ports.ledger.Users` that the gateway needs."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._users: dict[UserNo, User] = {}
        self._made = 0

    def add(self, user_id: str, tenant: TenantId = ACME) -> User:
        """A new user."""
        self._made += 1
        no = UserNo(self._made)
        key = no.to_bytes(32, "big")
        user = User(no=no, tenant=tenant, id=user_id, key=key, profile=Profile(), inbox_epoch=f"epoch-{no}")
        self._users[no] = user
        return user

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        wanted = set(ids)
        return {u.id: u for u in self._users.values() if u.tenant == tenant and u.id in wanted}

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        return {no: self._users[no] for no in numbers if no in self._users}

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        now = {before: self._users.get(before.no) for before in seen}
        return {before.no: user for before, user in now.items() if user is None or user.seen != before}

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        found = [no for no, u in self._users.items() if u.tenant == tenant and u.id == user_id]
        for no in found:
            del self._users[no]
        return bool(found)

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        raise NotImplementedError

    async def page(
        self, tenant: TenantId, before: UserNo | None, limit: int, *, reserved: bool = False
    ) -> Sequence[User]:
        raise NotImplementedError
