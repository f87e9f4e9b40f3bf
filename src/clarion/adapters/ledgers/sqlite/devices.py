"""Devices: the installation is in its user's profile, whose it is and how it is doing in a table of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from clarion.adapters.ledgers.sqlite import device_statements as sql
from clarion.adapters.ledgers.sqlite import open_users, user_statements
from clarion.adapters.ledgers.sqlite.files import changed, rows
from clarion.adapters.ledgers.sqlite.readers import Readers
from clarion.adapters.ledgers.sqlite.row_encoding import encoded
from clarion.adapters.ledgers.sqlite.suppressions import owners
from clarion.adapters.ledgers.sqlite.users import UserRows
from clarion.adapters.ledgers.sqlite.writer import Writer
from clarion.adapters.ledgers.user_cache import UserCache
from clarion.errors import Conflict, NotFound, UserUnreadable
from clarion.model.channel import Channel
from clarion.model.device import Device, DeviceError, DeviceState
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.settlement import Settlement
from clarion.model.user import Profile, User

LAST = 2**63 - 1
"""Behind every number."""


class SqliteDevices:
    """Implements `ports.ledger.Devices`."""

    def __init__(self, writer: Writer, readers: Readers, user_cache: UserCache, user_rows: UserRows) -> None:
        self._writer = writer
        self._readers = readers
        self._user_cache = user_cache
        self._user_rows = user_rows

    async def put(
        self, tenant: TenantId, user: UserNo, device: Device, at: Instant, *, before: Device | None = None
    ) -> DeviceState:
        device = device.hashed(partial(self._user_rows.hash_of, tenant, Channel.PUSH))

        def put(connection: sqlite3.Connection) -> tuple[DeviceState, Sequence[User]]:
            place = (tenant, device.id)
            known = self._users(connection, self._holders(connection, user, *place, device.hash))
            owner = known.pop(user, None)
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the device was deleted meanwhile")
            if owner.unreadable:
                raise UserUnreadable(owner.id)
            if before is not None and owner.profile.device(device.id) != before:
                raise Conflict("the device was changed meanwhile: read it again and repeat the change")
            allowed = device.hash and changed(connection, sql.DEVICE_ALLOW, (tenant, device.hash))
            # Nothing can be sent to whoever cannot be read.
            profiles = [
                (one, one.profile.without_device(device)) for one in known.values() if not one.unreadable
            ]
            profiles.append((owner, owner.profile.with_device(device)))
            written = self._replace(connection, tenant, profiles)
            connection.execute(sql.DEVICE_PUT, (*place, user, device.hash or None, at))
            open_users.changed(connection, tenant, [user])
            if allowed:
                written = [*written, *self._users(connection, [user]).values()]
            return state(rows(connection, sql.DEVICE, place)[0]), written

        return (await self._writer.call(put, after=lambda result: self._user_cache.write(result[1])))[0]

    async def delete(self, tenant: TenantId, user: UserNo, device_id: str) -> bool:
        def delete(connection: sqlite3.Connection) -> Sequence[User]:
            return self.drop(connection, tenant, {user: [device_id]})

        written: Sequence[User] = await self._writer.call(delete, after=self.dropped)
        return bool(written)

    async def find(self, tenant: TenantId, device_id: str) -> DeviceState | None:
        if "\0" in device_id:  # SQLite ends a text there: it would find another one.
            return None
        found = await self._readers.rows(sql.DEVICE, (tenant, device_id))
        return state(found[0]) if found else None

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: int | None, limit: int
    ) -> Sequence[DeviceState]:
        behind = LAST if before is None else before
        if user is None:
            found = await self._readers.rows(sql.DEVICES_PAGE, (tenant, behind, limit))
        else:
            found = await self._readers.rows(sql.DEVICES_OF_USER, (tenant, behind, limit, user))
        return [state(row) for row in found]

    # -- in a transaction of the writer -----------------------------------------------------------------------

    def drop(
        self, connection: sqlite3.Connection, tenant: TenantId, of: Mapping[UserNo, Sequence[str]]
    ) -> Sequence[User]:
        """Take devices from their users, who are returned as they are written: hand them to `dropped` after the commit."""
        for no, ids in of.items():
            _drop(connection, tenant, no, ids)
        # Nothing can be sent to whoever cannot be read, and what is stored of them is not written over.
        readable = [one for one in self._users(connection, of).values() if not one.unreadable]
        return self._replace(
            connection,
            tenant,
            [(one, one.profile.without_devices(of[one.no])) for one in readable if one.tenant == tenant],
        )

    def dropped(self, users: Iterable[User]) -> None:
        """On the event loop, after the commit."""
        self._user_cache.write(users)

    def _holders(
        self, connection: sqlite3.Connection, user: UserNo, tenant: TenantId, device_id: str, hash: bytes
    ) -> set[UserNo]:
        """Who is concerned: the user, whoever had the installation, and whoever has its token."""
        found = rows(connection, sql.DEVICE, (tenant, device_id))
        holders = {user, *(state(row).user for row in found)}
        if hash:
            holders.update(UserNo(owner) for _, owner in owners(connection, [(tenant, Channel.PUSH, hash)]))
        return holders

    def _users(self, connection: sqlite3.Connection, numbers: Iterable[UserNo]) -> dict[UserNo, User]:
        wanted = (encoded(list(numbers)),)
        opened = self._user_rows.opened(connection, user_statements.USERS_BY_NUMBER, wanted)
        return {user.no: user for user in opened}

    def _replace(
        self, connection: sqlite3.Connection, tenant: TenantId, profiles: Sequence[tuple[User, Profile]]
    ) -> Sequence[User]:
        """The users with other devices; what they no longer have is no device any more."""
        other = [(user, profile) for user, profile in profiles if profile != user.profile]
        for user, profile in other:
            kept = {one.id for one in profile.devices}
            _drop(connection, tenant, user.no, [one.id for one in user.profile.devices if one.id not in kept])
        return self._user_rows.with_profiles(connection, other) if other else ()


def refused(connection: sqlite3.Connection, settlements: Iterable[Settlement]) -> None:
    """In a transaction of the writer: note what push services refused."""
    last = {
        (s.message.tenant, one.hash): (s.message.tenant, one.reason, one.detail, s.at)
        for s in settlements
        for one in s.device_refusals
    }
    if last:
        joined = b"".join(digest for _, digest in last)
        connection.execute(sql.DEVICES_REFUSED, (encoded(list(last.values())), joined))


def state(row: list[Any]) -> DeviceState:
    """A row of the statements."""
    no, tenant, device_id, user, seen_at, error, detail, error_at = row
    return DeviceState(
        no=no,
        tenant=tenant,
        id=device_id,
        user=user,
        seen_at=seen_at,
        last_error=None if error is None else DeviceError(reason=error, detail=detail, at=error_at),
    )


def _drop(connection: sqlite3.Connection, tenant: TenantId, user: UserNo, ids: Sequence[str]) -> None:
    if ids:
        connection.execute(sql.DEVICES_DROP, (tenant, user, encoded(ids)))
