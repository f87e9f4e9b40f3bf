"""Users: one row each; personal data is encrypted in one piece with the user's own key, which the vault wraps.

What a process has opened it keeps, and asks each time whether it is still so: a user's revision and suppressed
addresses come with every look, the profile only when it is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from clarion.adapters.ledgers.postgresql import consents, journal, open_users, runs
from clarion.adapters.ledgers.postgresql.database import Again, Database
from clarion.adapters.ledgers.postgresql.erasure import PostgresEraser
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.adapters.ledgers.user_sealing import (
    EMPTY,
    UserSealing,
    contacts,
    hashes,
    tell_unreadable,
    with_profile,
)
from clarion.errors import ConfigError, InvalidInput, SealBroken
from clarion.model.ids import TenantId, UserNo
from clarion.model.user import RESERVED, Profile, User, UserPut, UserSeen
from clarion.ports.clock import Clock, Random
from clarion.ports.vault import Vault
from clarion.rules.exact import rezoned, user_changes

LAST = 2**63 - 1
"""Behind every number."""

SUPPRESSED_OF = """ARRAY(
    SELECT s.hash FROM contact_hashes AS c
    JOIN suppressions AS s ON s.tenant = c.tenant AND s.hash = c.hash AND s.channel = c.channel
    WHERE c."user" = u.no
)"""
_REST = f"""u.inbox_epoch, u.created_at, u.updated_at, {SUPPRESSED_OF} AS suppressed"""
_USER = f"u.no, u.tenant, u.user_id, u.revision, u.wrapped_key, u.profile, {_REST}"
_IF_NEW = f"""u.no, u.tenant, u.user_id, u.revision,
    CASE WHEN u.revision = k.revision AND u.no = k.no THEN NULL ELSE u.wrapped_key END AS wrapped_key,
    CASE WHEN u.revision = k.revision AND u.no = k.no THEN NULL ELSE u.profile END AS profile, {_REST}"""

FIND = f"""
    SELECT {_IF_NEW} FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS k (user_id, no, revision)
    JOIN users AS u ON u.tenant = $1 AND u.user_id = k.user_id
"""
GET = f"""
    SELECT {_IF_NEW} FROM unnest($1::bigint[], $2::bigint[]) AS k (no, revision) JOIN users AS u ON u.no = k.no
"""
BY_NUMBER = f"SELECT {_USER} FROM users AS u WHERE u.no = ANY($1::bigint[]) ORDER BY u.no"
HELD_BY_NUMBER = f"{BY_NUMBER} FOR NO KEY UPDATE OF u"
HELD_BY_ID = f"""
    SELECT {_USER} FROM users AS u WHERE u.tenant = $1 AND u.user_id = ANY($2::text[]) ORDER BY u.no
    FOR NO KEY UPDATE OF u
"""
PAGE = f"""
    SELECT {_USER} FROM users AS u WHERE u.tenant = $1 AND u.no < $2 AND ($4 OR left(u.user_id, 1) <> '{RESERVED}')
    ORDER BY u.no DESC LIMIT $3
"""
SEEN = (
    f"SELECT u.no, u.revision, {SUPPRESSED_OF} AS suppressed FROM users AS u WHERE u.no = ANY($1::bigint[])"
)
HELD = "SELECT no FROM users WHERE tenant = $1 AND user_id = $2 FOR UPDATE"
NUMBERS = "SELECT nextval(pg_get_serial_sequence('users', 'no')) FROM generate_series(1, $1)"
ADD = """
    INSERT INTO users
        (no, tenant, user_id, wrapped_key, profile, revision, inbox_epoch, created_at, updated_at, open_attributes)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[], $7::text[],
        $8::bigint[], $9::bigint[], $10::jsonb[])
    ON CONFLICT (tenant, user_id) DO NOTHING RETURNING no
"""
REPLACE = """
    UPDATE users SET profile = new.profile, revision = new.revision, updated_at = new.at, open_attributes = new.opened
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::jsonb[])
        AS new (no, revision, at, profile, opened)
    WHERE users.no = new.no
"""
SOME_KEYS = "SELECT wrapped_key FROM users ORDER BY no LIMIT 3"
CONTACTS_DROP = 'DELETE FROM contact_hashes WHERE "user" = ANY($1::bigint[])'
CONTACTS_ADD = """
    INSERT INTO contact_hashes (tenant, channel, "user", hash)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])
"""
SUPPRESSED = """
    SELECT s.hash FROM unnest($1::bigint[], $2::bytea[]) AS wanted (tenant, hash)
    JOIN suppressions AS s ON s.tenant = wanted.tenant AND s.hash = wanted.hash
"""


class PostgresUserRows:
    """Opens and seals the rows of users, on whatever connection."""

    def __init__(self, vault: Vault, clock: Clock, random: Random) -> None:
        self.sealing = UserSealing(vault, random)
        self._vault = vault
        self._clock = clock

    async def held(self, connection: Any, numbers: Iterable[UserNo]) -> dict[UserNo, User]:
        """Those that exist. Nobody else changes them until the transaction ends."""
        found = await connection.fetch(HELD_BY_NUMBER, sorted(numbers))
        return {user.no: user for user in map(self.opened, found)}

    def opened(self, row: Any) -> User:
        """A row of the statements. Whoever cannot be opened comes as `unreadable`, and spoils nobody else."""
        no, tenant, key, opened = UserNo(row["no"]), TenantId(row["tenant"]), b"", None
        try:
            key = self._vault.unwrap(row["wrapped_key"])
        except SealBroken as fault:
            tell_unreadable(no, tenant, fault)
        else:
            opened = self.sealing.profile(no, tenant, key, row["profile"])
        return User(
            no=no,
            tenant=tenant,
            id=row["user_id"],
            key=key,
            profile=EMPTY if opened is None else opened,
            unreadable=opened is None,
            suppressed=frozenset(row["suppressed"]),
            revision=row["revision"],
            inbox_epoch=row["inbox_epoch"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
        )

    async def put(self, connection: Any, tenant: TenantId, puts: Sequence[UserPut]) -> list[User]:
        """Creates or replaces."""
        found = await connection.fetch(HELD_BY_ID, tenant, list({put.id for put in puts}))
        stored = {user.id: user for user in map(self.opened, found)}
        users, said = self.sealing.put(stored, tenant, puts, self._clock.now())
        added = [user for user in users.values() if user.id not in stored]
        changed = [user for user in users.values() if user.id in stored and user is not stored[user.id]]
        if added:
            added = await self._add(connection, added)
        written = await self._write(connection, changed, added)
        pairs = [(stored.get(user.id), user) for user in written]
        await self._record(connection, tenant, pairs)
        await runs.look_again(connection, rezoned(pairs), self._clock.now())
        users.update((user.id, user) for user in written)
        new = [one for name, records in said.items() for one in self.sealing.consents(users[name], records)]
        await consents.add(connection, new)
        return [users[put.id] for put in puts]

    async def with_profiles(
        self, connection: Any, profiles: Sequence[tuple[User, Profile]]
    ) -> Sequence[User]:
        """These users, whom the transaction holds, with other profiles."""
        now = self._clock.now()
        users = [with_profile(user, profile, now) for user, profile in profiles]
        written = await self._write(connection, users)
        if users:
            before = {user.no: user for user, _ in profiles}
            pairs = [(before[user.no], user) for user in written]
            await self._record(connection, users[0].tenant, pairs)
            await runs.look_again(connection, rezoned(pairs), now)
        return written

    async def record_erasure(self, connection: Any, tenant: TenantId, user: UserNo, user_id: str) -> None:
        """In the transaction, if anybody is told."""
        if await journal.follows_users(connection, tenant):
            erased = self.sealing.erased(tenant, user, user_id, self._clock.now())
            await journal.add_user_changes(connection, erased)

    async def _record(
        self, connection: Any, tenant: TenantId, pairs: Sequence[tuple[User | None, User]]
    ) -> None:
        """What became of these users, as they were and are, if anybody is told."""
        if pairs and await journal.follows_users(connection, tenant):
            now = self._clock.now()
            said = [change for before, after in pairs for change in user_changes(before, after, now)]
            await journal.add_user_changes(connection, said)

    async def _add(self, connection: Any, users: Sequence[User]) -> list[User]:
        numbers = [row[0] for row in await connection.fetch(NUMBERS, len(users))]
        ordered = sorted(
            users, key=lambda user: user.id
        )  # whoever adds the same people waits, and is not in the way
        added = [replace(user, no=UserNo(no)) for user, no in zip(ordered, numbers, strict=True)]
        opened = await open_users.opened(connection, added)
        there = await connection.fetch(
            ADD,
            numbers,
            [user.tenant for user in added],
            [user.id for user in added],
            [self._vault.wrap(user.key) for user in added],
            [self.sealing.sealed(user) for user in added],
            [user.revision for user in added],
            [user.inbox_epoch for user in added],
            [user.created_at for user in added],
            [user.updated_at for user in added],
            [opened[user.no] for user in added],
        )
        if len(there) < len(added):
            raise Again
        return added

    async def _write(
        self, connection: Any, changed: Sequence[User], added: Sequence[User] = ()
    ) -> list[User]:
        """Stores the profiles that changed, and the contacts of all; as they are now."""
        if changed:
            opened = await open_users.opened(connection, changed)
            await connection.execute(
                REPLACE,
                [user.no for user in changed],
                [user.revision for user in changed],
                [user.updated_at for user in changed],
                [self.sealing.sealed(user) for user in changed],
                [opened[user.no] for user in changed],
            )
            await connection.execute(CONTACTS_DROP, [user.no for user in changed])
        users = [*changed, *added]
        if users:
            await open_users.changed(connection, users[0].tenant, [user.no for user in users])
        known_by = contacts(users)
        if not known_by:
            return [replace(user, suppressed=frozenset()) for user in users]
        tenants, channels, numbers, digests = (list(column) for column in zip(*known_by, strict=True))
        channels = [channel.value for channel in channels]
        await connection.execute(CONTACTS_ADD, tenants, channels, numbers, digests)
        gone = frozenset(row[0] for row in await connection.fetch(SUPPRESSED, tenants, digests))
        return [replace(user, suppressed=hashes(user) & gone) for user in users]


class PostgresUsers:
    """Implements `ports.ledger.Users`."""

    def __init__(
        self, database: Database, user_rows: PostgresUserRows, user_cache: UserCache, eraser: PostgresEraser
    ) -> None:
        self._database = database
        self._user_rows = user_rows
        self._cache = user_cache
        self._erase = eraser

    async def find(self, tenant: TenantId, ids: Sequence[str]) -> Mapping[str, User]:
        wanted = list({user_id for user_id in ids if storable(user_id)})
        if not wanted:
            return {}
        known = [self._known(self._cache.find(tenant, user_id)) for user_id in wanted]
        numbers, revisions = [no for no, _ in known], [revision for _, revision in known]
        found = await self._database.rows(FIND, tenant, wanted, numbers, revisions)
        return {user.id: user for user in self._now(found)}

    async def get(self, numbers: Sequence[UserNo]) -> Mapping[UserNo, User]:
        wanted = list(set(numbers))
        if not wanted:
            return {}
        revisions = [self._known(self._cache.get(no))[1] for no in wanted]
        return {user.no: user for user in self._now(await self._database.rows(GET, wanted, revisions))}

    async def changed(self, seen: Sequence[UserSeen]) -> Mapping[UserNo, User | None]:
        if not seen:
            return {}
        found = await self._database.rows(SEEN, [before.no for before in seen])
        now = {row["no"]: (row["revision"], frozenset(row["suppressed"])) for row in found}
        others = [before.no for before in seen if now.get(before.no) != (before.revision, before.suppressed)]
        if not others:
            return {}
        users = await self.get(others)
        return {no: users.get(no) for no in others}

    async def put(self, tenant: TenantId, users: Sequence[UserPut]) -> Sequence[User]:
        if not users:
            return ()
        if any("\0" in put.id for put in users):
            raise InvalidInput("a user id must not contain the NUL character", pointer="#/user_id")
        return await self._database.write(
            lambda connection: self._user_rows.put(connection, tenant, users), after=self._cache.keep
        )

    async def delete(self, tenant: TenantId, user_id: str) -> bool:
        if not storable(user_id):
            return False

        async def delete(connection: Any) -> UserNo | None:
            row = await connection.fetchrow(HELD, tenant, user_id)
            if row is None:
                return None
            await self._user_rows.record_erasure(connection, tenant, UserNo(row["no"]), user_id)
            await self._erase(connection, UserNo(row["no"]))
            return UserNo(row["no"])

        def deleted(no: UserNo | None) -> None:
            if no is not None:
                self._cache.forget(no)

        return await self._database.write(delete, after=deleted) is not None

    async def page(
        self, tenant: TenantId, before: UserNo | None, limit: int, *, reserved: bool = False
    ) -> Sequence[User]:
        last = LAST if before is None else before
        found = await self._database.lists.rows(PAGE, tenant, last, limit, reserved)
        return [self._user_rows.opened(row) for row in found]

    def _known(self, user: User | None) -> tuple[UserNo, int]:
        """Number and revision of somebody whose profile need not come again."""
        return (UserNo(0), 0) if user is None or user.unreadable else (user.no, user.revision)

    def _now(self, rows: Iterable[Any]) -> list[User]:
        """The rows of `FIND` and `GET` as users; those that are as they were are the same objects."""
        users = []
        for row in rows:
            user = self._cache.get(row["no"]) if row["wrapped_key"] is None else None
            if user is None:
                user = self._user_rows.opened(row)
            elif user.suppressed != frozenset(row["suppressed"]):
                user = replace(user, suppressed=frozenset(row["suppressed"]))
            users.append(user)
        self._cache.keep(users)
        return users


def storable(text: str) -> bool:
    """Whether PostgreSQL takes it as text; nothing that it does not take is there."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def stored_text(text: str | None) -> str | None:
    """What somebody else said, as PostgreSQL takes it."""
    if text is None:
        return None
    return text.replace("\0", "").encode("utf-8", "replace").decode()


async def require_key(database: Database, vault: Vault) -> None:
    """Raises ConfigError when what is stored was written with another installation key. (One broken row proves nothing.)"""
    wrapped = [row["wrapped_key"] for row in await database.rows(SOME_KEYS)]
    if wrapped and not any(_unwraps(vault, key) for key in wrapped):
        raise ConfigError(
            f"the database {database.address.place} was written with another installation key: copy the key file of the "
            "machine that made it, restore it from your backup, or set `key_file` to the right one"
        )


def _unwraps(vault: Vault, wrapped: bytes) -> bool:
    try:
        vault.unwrap(wrapped)
    except SealBroken:
        return False
    return True
