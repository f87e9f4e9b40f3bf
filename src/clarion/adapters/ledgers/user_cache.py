"""A cache of decrypted users on the event loop. Every write updates it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from clarion.model.ids import TenantId, UserNo
from clarion.model.user import User


class UserCache:
    """At most `most` users, the least recently used one leaves first.

    A user stays the same object until something about them changes.
    """

    def __init__(self, most: int, changed: Callable[[UserNo], None] = lambda no: None) -> None:
        """`changed` is told of everybody who was written, whether they are in here or not."""
        self._most = most
        self.changed = changed
        self._users: OrderedDict[UserNo, User] = OrderedDict()
        self._numbers: dict[tuple[TenantId, str], UserNo] = {}

    def __len__(self) -> int:
        return len(self._users)

    def get(self, no: UserNo) -> User | None:
        """By number."""
        user = self._users.get(no)
        if user is not None:
            self._users.move_to_end(no)
        return user

    def find(self, tenant: TenantId, id: str) -> User | None:
        """By the caller's id."""
        no = self._numbers.get((tenant, id))
        return None if no is None else self.get(no)

    def write(self, users: Iterable[User]) -> None:
        """As they have just been stored."""
        written = list(users)
        self.keep(written)
        for user in written:
            self.changed(user.no)

    def keep(self, users: Iterable[User]) -> None:
        """As they were read."""
        for user in users:
            before = self._numbers.get((user.tenant, user.id), user.no)
            if before != user.no:
                self._users.pop(before, None)  # erased, and here again as somebody new
            self._users[user.no] = user
            self._users.move_to_end(user.no)
            self._numbers[user.tenant, user.id] = user.no
        while len(self._users) > self._most:
            _, left = self._users.popitem(last=False)
            del self._numbers[left.tenant, left.id]

    def drop(self, no: UserNo) -> None:
        """Deleted."""
        self.changed(no)
        self.forget(no)

    def forget(self, no: UserNo) -> None:
        """Somebody else knows better."""
        user = self._users.pop(no, None)
        if user is not None:
            del self._numbers[user.tenant, user.id]

    def suppress(self, no: UserNo, hash: bytes) -> None:
        """One of the user's contacts must not be used any more."""
        self.changed(no)
        user = self._users.get(no)
        if user is not None and hash not in user.suppressed:
            self._users[no] = replace(user, suppressed=user.suppressed | {hash})

    def allow(self, no: UserNo, hash: bytes) -> None:
        """It may be used again."""
        self.changed(no)
        user = self._users.get(no)
        if user is not None and hash in user.suppressed:
            self._users[no] = replace(user, suppressed=user.suppressed - {hash})

    def clear(self) -> None:
        """Nobody is known."""
        self._users.clear()
        self._numbers.clear()
