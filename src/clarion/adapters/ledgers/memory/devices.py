"""Devices: installations of apps, and who is logged in on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from clarion.adapters.ledgers.memory import segments
from clarion.adapters.ledgers.memory.suppressions import allow
from clarion.adapters.ledgers.memory.tables import Tables
from clarion.adapters.ledgers.memory.transactions import Transactions
from clarion.adapters.ledgers.memory.users import store
from clarion.errors import Conflict, NotFound
from clarion.model.channel import Channel
from clarion.model.device import Device, DeviceError, DeviceState
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.settlement import Settlement
from clarion.model.status import Reason
from clarion.model.user import Profile, User
from clarion.ports.clock import Clock
from clarion.ports.vault import Vault, contact_hash


class MemoryDevices:
    """Implements `ports.ledger.Devices`."""

    def __init__(self, tables: Tables, transactions: Transactions, vault: Vault, clock: Clock) -> None:
        self._tables = tables
        self._transactions = transactions
        self._vault = vault
        self._clock = clock

    async def put(
        self, tenant: TenantId, user: UserNo, device: Device, at: Instant, *, before: Device | None = None
    ) -> DeviceState:
        tables = self._tables
        device = device.hashed(partial(contact_hash, self._vault, tenant, Channel.PUSH))

        def put() -> DeviceState:
            owner = tables.users.get(user)
            if owner is None or owner.tenant != tenant:
                raise NotFound("the user of the device was deleted meanwhile")
            known = owner.profile.device(device.id)
            if before is not None and known != before:
                raise Conflict("the device was changed meanwhile: read it again and repeat the change")
            place = tenant, device.id
            same_token = known is not None and known.hash == device.hash
            for other in [one for one in tables.users.values() if one.tenant == tenant and one.no != user]:
                _replace(tables, other, other.profile.without_device(device), self._clock.now())
            _replace(tables, owner, owner.profile.with_device(device), self._clock.now())
            gone = tables.suppressions.get((tenant, Channel.PUSH, device.hash))
            if gone is not None and gone.reason == Reason.ADDRESS_GONE:
                allow(tables, tenant, Channel.PUSH, device.hash)
            last = tables.devices.get(place)
            tables.devices[place] = state = DeviceState(
                no=tables.next("devices") if last is None else last.no,
                tenant=tenant,
                id=device.id,
                user=user,
                seen_at=at,
                last_error=last.last_error if last is not None and same_token else None,
            )
            segments.changed(tables, tenant, [user])
            return state

        return await self._transactions.write(put)

    async def delete(self, tenant: TenantId, user: UserNo, device_id: str) -> bool:
        def delete() -> bool:
            state = self._tables.devices.get((tenant, device_id))
            if state is None or state.user != user:
                return False
            drop(self._tables, state, self._clock.now())
            return True

        return await self._transactions.write(delete)

    async def find(self, tenant: TenantId, device_id: str) -> DeviceState | None:
        return self._tables.devices.get((tenant, device_id))

    async def page(
        self, tenant: TenantId, user: UserNo | None, before: int | None, limit: int
    ) -> Sequence[DeviceState]:
        found = [
            state
            for state in self._tables.devices.values()
            if state.tenant == tenant and user in (None, state.user) and (before is None or state.no < before)
        ]
        return sorted(found, key=lambda state: -state.no)[:limit]


# Inside a transaction:


def drop(tables: Tables, state: DeviceState, now: Instant) -> None:
    """Take a device from its user."""
    user = tables.users[state.user]
    _replace(tables, user, user.profile.without_devices([state.id]), now)


def refused(tables: Tables, settlement: Settlement) -> None:
    """Note what push services refused."""
    tenant = settlement.message.tenant
    for one in settlement.device_refusals:
        for place, state in [*tables.devices.items()]:
            device = tables.users[state.user].profile.device(state.id)
            if state.tenant == tenant and device is not None and device.hash == one.hash:
                error = DeviceError(reason=one.reason, detail=one.detail, at=settlement.at)
                tables.devices[place] = replace(state, last_error=error)


def _replace(tables: Tables, user: User, profile: Profile, now: Instant) -> None:
    """The user with other devices; what they no longer have is no device any more."""
    if profile == user.profile:
        return
    for gone in {one.id for one in user.profile.devices} - {one.id for one in profile.devices}:
        del tables.devices[user.tenant, gone]
    store(tables, user, profile, now)
