"""Users: one row each; personal data is encrypted in one piece with the user's own key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.sqlite import consents, journal, open_users, runs
from clarion.adapters.ledgers.sqlite import user_statements as sql
from clarion.adapters.ledgers.sqlite.erasure import Eraser
from clarion.adapters.ledgers.sqlite.files import one, rows
from clarion.adapters.ledgers.sqlite.keyring import Keyring
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import BlobTail, encoded
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.adapters.ledgers.user_sealing import (
    EMPTY,
    UserSealing,
    contacts,
    hashes,
    tell_unreadable,
    with_profile,
)
from clarion.errors import InvalidInput, SealBroken
from clarion.model.channel import Channel
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.user import Profile, User, UserPut, UserSeen
from clarion.ports import terms
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules.exact import rezoned, user_changes

LAST = 2**63 - 1
"""Behind every number."""


class SqliteUsers:
    """Implements `ports.ledger.Users`."""

    def __init__(
        self,
        writer: Writer,
        local: sqlite3.Connection,
        readers: Readers,
        user_cache: UserCache,
        user_rows: UserRows,
    ) -> None:
        self._writer = writer
        self._local = local
        self._readers = readers
        self._user_cache = user_cache
        self._user_rows = user_rows

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        known = {user_id: self._user_cache.find(tenant, user_id) for user_id in ids}
        found = {user_id: user for user_id, user in known.items() if user is not None and not user.unreadable}
        if len(found) == len(ids):
            return found
        # SQLite ends a text at a NUL: such an id would find somebody else.
        missing = [user_id for user_id in ids if user_id not in found and "\0" not in user_id]
        if missing:
            read = self._user_rows.by_id(self._local, tenant, missing)
            self._user_cache.keep(read)
            found.update((user.id, user) for user in read)
        return found

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        known = {no: self._user_cache.get(no) for no in numbers}
        found = {no: user for no, user in known.items() if user is not None and not user.unreadable}
        if len(found) == len(numbers):
            return found
        missing = [no for no in numbers if no not in found]
        if missing:
            read = self._user_rows.opened(self._local, sql.USERS_BY_NUMBER, (encoded(missing),))
            self._user_cache.keep(read)
            found.update((user.no, user) for user in read)
        return found

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        changed: dict[UserNo, User | None] = {}
        unknown: list[UserSeen] = []
        for before in seen:
            user = self._user_cache.get(before.no)
            if user is None:
                unknown.append(before)
            elif user.revision != before.revision or user.suppressed != before.suppressed:
                changed[user.no] = user
        if unknown:
            read = await self.get([before.no for before in unknown])
            for before in unknown:
                user = read.get(before.no)
                if user is None or user.seen != before:
                    changed[before.no] = user
        return changed

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        if not users:
            return ()
        if any("\0" in put.id for put in users):
            raise InvalidInput("a user id must not contain the NUL character", pointer="#/user_id")
        return await self._writer.call(
            lambda connection: self._user_rows.put(connection, tenant, users),
            rows=len(users),
            after=self._user_cache.write,
        )

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        if "\0" in user_id:
            return False
        return (
            await self._writer.do(
                self._deletions, (tenant, user_id, terms.dry_running()), after=self._deleted
            )
            is not None
        )

    def _deletions(
        self, connection: sqlite3.Connection, items: Sequence[tuple[TenantId, str, bool]], careful: bool
    ) -> Sequence[UserNo | None]:
        numbers = [self._user_rows.number(connection, tenant, user_id) for tenant, user_id, _ in items]
        # Asked for twice at once, somebody is there only once.
        numbers = [None if no in numbers[:place] else no for place, no in enumerate(numbers)]
        for no, (tenant, user_id, _) in zip(numbers, items, strict=True):
            if no is not None:
                self._user_rows.record_erasure(connection, tenant, no, user_id)
        # A key that is destroyed is gone for good: a dry run leaves it.
        self._user_rows.erase(connection, [no for no in numbers if no is not None], keys=not items[0][2])
        return numbers

    async def page(
        self, tenant: TenantId, before: UserNo | None, limit: int, *, reserved: bool = False
    ) -> Sequence[User]:
        wanted = (tenant, LAST if before is None else before, limit, reserved)
        return await self._readers.call(
            lambda connection: self._user_rows.opened(connection, sql.USERS_PAGE, wanted)
        )

    def _deleted(self, no: UserNo | None) -> None:
        if no is not None:
            self._user_cache.drop(no)
            self._writer.scrub()


class UserRows:
    """Opens and seals the rows of users, on whatever connection and thread."""

    def __init__(self, vault: Vault, keyring: Keyring, clock: Clock, random: Random, erase: Eraser) -> None:
        self._sealing = UserSealing(vault, random)
        self._keyring = keyring
        self._clock = clock
        self.erase = erase

    def number(self, connection: sqlite3.Connection, tenant: TenantId, user_id: str) -> UserNo | None:
        """Who it is, without a look at their key and profile, which may be beyond opening."""
        no = one(connection, sql.USER_NUMBER, (tenant, user_id))
        return None if no is None else UserNo(no)

    def by_id(self, connection: sqlite3.Connection, tenant: TenantId, ids: Sequence[str]) -> list[User]:
        """Those that exist."""
        return self.opened(connection, sql.USERS_BY_ID, (encoded(ids), tenant))

    def by_number(self, connection: sqlite3.Connection, numbers: Sequence[UserNo]) -> list[User]:
        """Those that exist."""
        return self.opened(connection, sql.USERS_BY_NUMBER, (encoded(numbers),))

    def opened(self, connection: sqlite3.Connection, statement: str, parameters: Any) -> list[User]:
        """The users a statement finds, with their keys, profiles and suppressions; none whose key was destroyed.

        Whoever cannot be opened comes as `unreadable`, and spoils nobody else.
        """
        users = [user for row in rows(connection, statement, parameters) if (user := self._open(row))]
        return self._with_suppressions(connection, users)

    def put(self, connection: sqlite3.Connection, tenant: TenantId, puts: Sequence[UserPut]) -> list[User]:
        """Creates or replaces, in a transaction of the writer."""
        now = self._clock.now()
        wanted = (encoded(list({put.id for put in puts})), tenant)
        found = {row[0]: self._open(row) for row in rows(connection, sql.USERS_BY_ID, wanted)}
        self.erase(connection, [no for no, user in found.items() if user is None])  # what a full disk cut off
        read = [user for user in found.values() if user is not None]
        stored = {user.id: user for user in self._with_suppressions(connection, read)}
        users, said = self._sealing.put(stored, tenant, puts, now)
        added = self._numbered(connection, [user for user in users.values() if user.id not in stored])
        changed = [user for user in users.values() if user.id in stored and user is not stored[user.id]]
        self._add(connection, added)
        self._change(connection, changed)
        written = self._with_suppressions(connection, [*added, *changed])
        _replace_contacts(connection, written, changed)
        pairs = [(stored.get(user.id), user) for user in written]
        self._record(connection, tenant, pairs, now)
        runs.look_again(connection, rezoned(pairs), now)
        users.update((user.id, user) for user in written)
        new = [one for name, records in said.items() for one in self._sealing.consents(users[name], records)]
        consents.add(connection, new)
        return [users[put.id] for put in puts]

    def with_profiles(
        self, connection: sqlite3.Connection, profiles: Sequence[tuple[User, Profile]]
    ) -> list[User]:
        """The users with other profiles, in a transaction of the writer."""
        now = self._clock.now()
        users = [with_profile(user, profile, now) for user, profile in profiles]
        self._change(connection, users)
        written = self._with_suppressions(connection, users)
        _replace_contacts(connection, written, written)
        if users:
            pairs = [(before, after) for (before, _), after in zip(profiles, written, strict=True)]
            self._record(connection, users[0].tenant, pairs, now)
            runs.look_again(connection, rezoned(pairs), now)
        return written

    def record_erasure(
        self, connection: sqlite3.Connection, tenant: TenantId, user: UserNo, user_id: str
    ) -> None:
        """In a transaction of the writer, if anybody is told."""
        if journal.follows_users(connection, tenant):
            erased = self._sealing.erased(tenant, user, user_id, self._clock.now())
            journal.add_user_changes(connection, erased)

    def _record(
        self,
        connection: sqlite3.Connection,
        tenant: TenantId,
        pairs: Sequence[tuple[User | None, User]],
        now: Instant,
    ) -> None:
        """What became of these users, as they were and are, if anybody is told."""
        if pairs and journal.follows_users(connection, tenant):
            said = [change for before, after in pairs for change in user_changes(before, after, now)]
            journal.add_user_changes(connection, said)

    def hash_of(self, tenant: TenantId, channel: Channel, address: str) -> bytes:
        """What an address is recognised by."""
        return self._sealing.hash_of(tenant, channel, address)

    def rehash(
        self, connection: sqlite3.Connection, numbers: Iterable[int]
    ) -> list[tuple[TenantId, Channel, bytes, bytes]]:
        """Recognise contacts by how addresses are spelled today, in a transaction: each that changed, before and after."""
        moved: list[tuple[TenantId, Channel, bytes, bytes]] = []
        changed: list[User] = []
        for user in self.by_number(connection, list(map(UserNo, numbers))):
            profile = self._sealing.hashed(user.tenant, user.profile)
            pairs = zip(user.profile.contacts, profile.contacts, strict=True)
            other = [(user.tenant, old.channel, old.hash, new.hash) for old, new in pairs if old != new]
            if other:
                moved += other
                changed.append(replace(user, profile=profile))
        self._change(connection, changed)
        _replace_contacts(connection, changed, changed)
        return moved

    def _numbered(self, connection: sqlite3.Connection, users: Sequence[User]) -> list[User]:
        if not users:
            return []
        first = self._keyring.take(len(users), above=one(connection, sql.LAST_USER) or 0)
        return [replace(user, no=UserNo(first + place)) for place, user in enumerate(users)]

    def _add(self, connection: sqlite3.Connection, users: Sequence[User]) -> None:
        if not users:
            return
        tail, opened = BlobTail(), open_users.opened(connection, users)
        packed = []
        for user in users:
            key, profile = self._keyring.wrap(user.no, user.key), self._sealing.sealed(user)
            assert key is not None, "the number is new"
            packed.append(
                (
                    user.no,
                    user.tenant,
                    user.id,
                    user.revision,
                    user.inbox_epoch,
                    user.created_at,
                    tail.add(key),
                    len(key),
                    tail.add(profile),
                    len(profile),
                    opened[user.no],
                )
            )
        connection.execute(sql.USERS_ADD, (encoded(packed), tail.joined()))
        open_users.changed(connection, users[0].tenant, [user.no for user in users])

    def _change(self, connection: sqlite3.Connection, users: Sequence[User]) -> None:
        if not users:
            return
        tail, opened = BlobTail(), open_users.opened(connection, users)
        packed = []
        for user in users:
            profile = self._sealing.sealed(user)
            place = (tail.add(profile), len(profile))
            packed.append((user.no, user.revision, user.updated_at, *place, opened[user.no]))
        connection.execute(sql.USERS_REPLACE, (encoded(packed), tail.joined()))
        for tenant in dict.fromkeys(user.tenant for user in users):
            numbers = [user.no for user in users if user.tenant == tenant]
            open_users.changed(connection, tenant, numbers)

    def _open(self, row: list[Any]) -> User | None:
        no, tenant, user_id, wrapped, profile, revision, inbox_epoch, created_at, updated_at = row
        key, opened = b"", None
        try:
            unwrapped = self._keyring.unwrap(no, bytes.fromhex(wrapped))
            if unwrapped is None:
                return None
            key = unwrapped
            opened = self._sealing.profile(no, tenant, key, bytes.fromhex(profile))
        except (SealBroken, ValueError) as fault:
            tell_unreadable(no, tenant, fault)
        return User(
            no=no,
            tenant=tenant,
            id=user_id,
            key=key,
            profile=EMPTY if opened is None else opened,
            unreadable=opened is None,
            revision=revision,
            inbox_epoch=inbox_epoch,
            created_at=created_at,
            updated_at=updated_at,
        )

    def _with_suppressions(self, connection: sqlite3.Connection, users: list[User]) -> list[User]:
        addresses = [(user.tenant, digest) for user in users for _, digest in user.profile.addresses()]
        if not addresses:
            return users
        wanted = (encoded([tenant for tenant, _ in addresses]), b"".join(digest for _, digest in addresses))
        gone = frozenset(bytes.fromhex(row[0]) for row in rows(connection, sql.SUPPRESSED, wanted))
        return [replace(user, suppressed=hashes(user) & gone) if gone else user for user in users]


def _replace_contacts(connection: sqlite3.Connection, users: Iterable[User], changed: Sequence[User]) -> None:
    if changed:
        connection.execute(sql.CONTACTS_DROP, (encoded([user.no for user in changed]),))
    if ordered := contacts(users):
        parameters = (
            encoded([(tenant, channel, no) for tenant, channel, no, _ in ordered]),
            b"".join(contact[3] for contact in ordered),
        )
        connection.execute(sql.CONTACTS_ADD, parameters)
