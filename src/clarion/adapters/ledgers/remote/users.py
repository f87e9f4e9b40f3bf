"""The users of a store in another process, kept here as long as that tells of everybody who is written.

What it tells comes over the same connection as its answers, and before the answer to whoever wrote: so nobody who knows of
a write finds here what was before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clarion.adapters.ledgers.user_cache import UserCache
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import User, UserSeen

MOST = 20_000


class _Read:
    """One that is under way."""

    def __init__(self) -> None:
        self.written: set[UserNo] = set()
        """Who was written since it was asked."""
        self.lost = False
        """Nobody would have told of them."""


class RemoteUsers:
    """Implements what is asked most of `ports.ledger.Users`; the rest goes to the store."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._known = UserCache(MOST)
        self._told = False
        self._reads: list[_Read] = []
        self.put, self.delete, self.page = store.put, store.delete, store.page

    def written(self, numbers: Iterable[UserNo]) -> None:
        """The store tells that these are not as they were. It tells it of nobody at first, so that it is known to tell."""
        self._told = True
        for no in numbers:
            self._known.forget(no)
            for read in self._reads:
                read.written.add(no)

    def lost(self) -> None:
        """The connection is, and with it what it would have told."""
        self._told = False
        self._known.clear()
        for read in self._reads:
            read.lost = True

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        known = {user.id: user for one in ids if (user := self._known.find(tenant, one)) is not None}
        if missing := [one for one in ids if one not in known]:
            known.update(await self._read(self._store.find, tenant, missing))
        return known

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        known = {no: user for no in numbers if (user := self._known.get(no)) is not None}
        if missing := [no for no in numbers if no not in known]:
            known.update(await self._read(self._store.get, missing))
        return known

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        if not self._told:
            found: Mapping[UserNo, User | None] = await self._store.changed(seen)
            return found
        now = await self.get([before.no for before in seen])
        pairs = [(before, now.get(before.no)) for before in seen]
        return {before.no: user for before, user in pairs if user is None or user.seen != before}

    async def _read(self, method: Any, *arguments: Any) -> Mapping[Any, User]:
        read = _Read()
        self._reads.append(read)
        try:
            found: Mapping[Any, User] = await method(*arguments)
        finally:
            self._reads.remove(read)
        if self._told and not read.lost:
            self._known.keep(u for u in found.values() if u.no not in read.written and not u.unreadable)
        return found
