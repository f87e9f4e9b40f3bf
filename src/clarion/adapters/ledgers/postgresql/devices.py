"""Devices: the installation is in its user's profile, whose it is and how it is doing in a table of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from clarion.adapters.ledgers.postgresql import open_users
from clarion.adapters.ledgers.postgresql.database import Again, Database
from clarion.adapters.ledgers.postgresql.users import PostgresUserRows, storable, stored_text
from clarion.adapters.ledgers.user_sealing import require_readable
from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.device import Device, DeviceError, DeviceState
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.settlement import Settlement
from clarion.model.status import Reason
from clarion.model.user import Profile, User

LAST = 2**63 - 1
"""Behind every number."""

_STATE = 'no, tenant, device_id, "user", seen_at, error, error_detail, error_at'
"""What `state` reads."""

PUT = f"""
    INSERT INTO devices (tenant, device_id, "user", hash, seen_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant, device_id) DO UPDATE SET "user" = excluded."user", seen_at = excluded.seen_at,
        hash = excluded.hash,
        error = CASE WHEN devices.hash IS NOT DISTINCT FROM excluded.hash THEN devices.error END,
        error_detail = CASE WHEN devices.hash IS NOT DISTINCT FROM excluded.hash THEN devices.error_detail END,
        error_at = CASE WHEN devices.hash IS NOT DISTINCT FROM excluded.hash THEN devices.error_at END
    RETURNING {_STATE}
"""
"""What another token was refused for says nothing about this one."""
DROP = 'DELETE FROM devices WHERE tenant = $1 AND "user" = $2 AND device_id = ANY($3::text[])'
ALLOW = f"""
    DELETE FROM suppressions WHERE tenant = $1 AND hash = $2 AND channel = '{Channel.PUSH.value}'
        AND reason = '{Reason.ADDRESS_GONE.value}' RETURNING hash
"""
FIND = f"SELECT {_STATE} FROM devices WHERE tenant = $1 AND device_id = $2"
PAGE = f"SELECT {_STATE} FROM devices WHERE tenant = $1 AND no < $2 ORDER BY no DESC LIMIT $3"
PAGE_OF_USER = f"""
    SELECT {_STATE} FROM devices WHERE "user" = $4 AND no < $2 AND tenant = $1 ORDER BY no DESC LIMIT $3
"""
HOLDERS = f"""
    SELECT "user" FROM devices WHERE tenant = $1 AND device_id = $2
    UNION SELECT "user" FROM contact_hashes
        WHERE tenant = $1 AND hash = $3 AND channel = '{Channel.PUSH.value}' AND $3 <> ''::bytea
"""
REFUSED = """
    UPDATE devices SET error = new.reason, error_detail = new.detail, error_at = new.at
    FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bigint[])
        AS new (tenant, hash, reason, detail, at)
    WHERE devices.tenant = new.tenant AND devices.hash = new.hash
"""


class PostgresDevices:
    """Implements `ports.ledger.Devices`."""

    def __init__(self, database: Database, user_rows: PostgresUserRows) -> None:
        self._database = database
        self._user_rows = user_rows

    async def put(
        self, tenant: TenantId, user: UserNo, device: Device, at: Instant, *, before: Device | None = None
    ) -> DeviceState:
        device = device.hashed(partial(self._user_rows.sealing.hash_of, tenant, Channel.PUSH))

        async def put(connection: Any) -> DeviceState:
            place = (tenant, device.id)
            concerned = {user, *await self._holders(connection, *place, device.hash)}
            known = await self._user_rows.held(connection, concerned)
            if not concerned >= {user, *await self._holders(connection, *place, device.hash)}:
                raise Again  # somebody else got it before everybody concerned was held
            owner = known.pop(user, None)
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the device was deleted meanwhile")
            require_readable(owner)
            if before is not None and owner.profile.device(device.id) != before:
                raise Conflict("the device was changed meanwhile: read it again and repeat the change")
            if device.hash:
                await connection.execute(ALLOW, tenant, device.hash)
            # Nothing can be sent to whoever cannot be read.
            profiles = [
                (one, one.profile.without_device(device)) for one in known.values() if not one.unreadable
            ]
            profiles.append((owner, owner.profile.with_device(device)))
            await self._replace(connection, tenant, profiles)
            await open_users.changed(connection, tenant, [user])
            return state(await connection.fetchrow(PUT, *place, user, device.hash or None, at))

        return await self._database.write(put)

    async def delete(self, tenant: TenantId, user: UserNo, device_id: str) -> bool:
        return bool(
            await self._database.write(lambda connection: self.drop(connection, tenant, {user: [device_id]}))
        )

    async def find(self, tenant: TenantId, device_id: str) -> DeviceState | None:
        if not storable(device_id):
            return None
        row = await self._database.row(FIND, tenant, device_id)
        return None if row is None else state(row)

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: int | None, limit: int
    ) -> Sequence[DeviceState]:
        behind = LAST if before is None else before
        if user is None:
            found = await self._database.lists.rows(PAGE, tenant, behind, limit)
        else:
            found = await self._database.lists.rows(PAGE_OF_USER, tenant, behind, limit, user)
        return [state(row) for row in found]

    # -- in a transaction -------------------------------------------------------------------------------------

    async def drop(
        self, connection: Any, tenant: TenantId, of: Mapping[UserNo, Sequence[str]]
    ) -> Sequence[User]:
        """Take devices from their users, who are returned as they are written."""
        users = await self._user_rows.held(connection, of)
        for no, ids in of.items():
            await connection.execute(DROP, tenant, no, [one for one in ids if storable(one)])
        # Nothing can be sent to whoever cannot be read, and what is stored of them is not written over.
        readable = [one for one in users.values() if not one.unreadable and one.tenant == tenant]
        return await self._replace(
            connection, tenant, [(one, one.profile.without_devices(of[one.no])) for one in readable]
        )

    async def _holders(self, connection: Any, tenant: TenantId, device_id: str, hash: bytes) -> set[UserNo]:
        """Whoever had the installation, and whoever has its token."""
        return {UserNo(row[0]) for row in await connection.fetch(HOLDERS, tenant, device_id, hash)}

    async def _replace(
        self, connection: Any, tenant: TenantId, profiles: Sequence[tuple[User, Profile]]
    ) -> Sequence[User]:
        """The users with other devices; what they no longer have is no device any more."""
        other = [(user, profile) for user, profile in profiles if profile != user.profile]
        for user, profile in other:
            kept = {one.id for one in profile.devices}
            gone = [one.id for one in user.profile.devices if one.id not in kept]
            if gone:
                await connection.execute(DROP, tenant, user.no, gone)
        return await self._user_rows.with_profiles(connection, other) if other else ()


async def refused(connection: Any, settlements: Iterable[Settlement]) -> None:
    """In a transaction: note what push services refused."""
    last = {
        (s.message.tenant, one.hash): (one.reason, stored_text(one.detail), s.at)
        for s in settlements
        for one in s.device_refusals
    }
    if last:
        rows = [(*place, *why) for place, why in sorted(last.items())]
        await connection.execute(REFUSED, *(list(column) for column in zip(*rows, strict=True)))


def state(row: Any) -> DeviceState:
    """A row of the statements."""
    error = row["error"]
    return DeviceState(
        no=row["no"],
        tenant=row["tenant"],
        id=row["device_id"],
        user=row["user"],
        seen_at=row["seen_at"],
        last_error=None
        if error is None
        else DeviceError(reason=error, detail=row["error_detail"], at=row["error_at"]),
    )
