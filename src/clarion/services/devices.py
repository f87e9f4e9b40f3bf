"""Logs devices in and out, and shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from clarion.errors import InvalidInput, NotFound
from clarion.flow.conflicts import repeat_on_conflict
from clarion.flow.ledger import Ledger
from clarion.model.device import ActivityAddress, Device, DeviceState, Platform
from clarion.model.device_address import read_device_address, registered_address, service_of, start_address
from clarion.model.ids import TenantId
from clarion.model.user import User
from clarion.ports.clock import Clock
from clarion.rules import validation
from clarion.services.users import TRIES


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What an app says of its installation."""

    platform: Platform
    app: str = ""
    push_environment: str = ""
    token: str = ""
    """Empty: it has none, because its user allows no notifications."""
    live_start_token: str = ""
    """Starts Live Activities; empty: it has none."""
    locale: str = ""
    timezone: str = ""
    app_version: str = ""


class UserDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device with its user and state."""

    user: User
    device: Device
    state: DeviceState

    @property
    def suppressed(self) -> bool:
        """Nothing is sent to it."""
        return bool(self.device.address) and self.device.hash in self.user.suppressed


class DeviceService:
    """Registers devices. Raises NotFound, Conflict and InvalidInput with names the caller knows."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._devices = ledger.devices
        self._users = ledger.users
        self._clock = clock

    async def log_in(self, user: User, device_id: str, said: Registration) -> UserDevice:
        """The device is the user's now, and nobody else's."""
        validation.check_device_id(device_id, "#/device_id")
        device = _device(device_id, said)
        await self._devices.put(user.tenant, user.no, device, self._clock.now())
        return await self.get(user, device_id)

    async def change(self, user: User, device_id: str, to: Callable[[Device], Registration]) -> UserDevice:
        """Register the user's device as `to(device)` says."""

        async def change() -> None:
            before = (await self.get(user, device_id)).device
            device = _device(device_id, to(before))
            await self._devices.put(user.tenant, user.no, device, self._clock.now(), before=before)

        await repeat_on_conflict(change, TRIES)
        return await self.get(user, device_id)

    async def log_out(self, user: User, device_id: str) -> None:
        """Nothing is sent to it any more. Somebody else's device stays theirs."""
        if not await self._devices.delete(user.tenant, user.no, device_id):
            raise _missing(user, device_id)

    async def get(self, user: User, device_id: str) -> UserDevice:
        """One device of a user, as it is now."""
        state = await self._devices.find(user.tenant, device_id)
        found = await self._users.get([user.no])
        owner = found.get(user.no)
        device = owner.profile.device(device_id) if owner is not None else None
        if state is None or owner is None or device is None or state.user != owner.no:
            raise _missing(user, device_id)
        return UserDevice(user=owner, device=device, state=state)

    async def page(
        self, tenant: TenantId, user: User | None, before: int | None, limit: int
    ) -> tuple[Sequence[UserDevice], int | None]:
        """Newest first, and where to go on from."""
        states = await self._devices.page(tenant, None if user is None else user.no, before, limit)
        users = await self._users.get(list({state.user for state in states}))
        found = [
            UserDevice(user=users[state.user], device=device, state=state)
            for state in states
            if state.user in users and (device := users[state.user].profile.device(state.id)) is not None
        ]
        return found, states[-1].no if len(states) == limit else None


def _device(device_id: str, said: Registration) -> Device:
    if said.locale:
        validation.check_locale(said.locale, "#/locale")
    if said.timezone:
        validation.check_timezone(said.timezone, "#/timezone")
    if not said.token and said.push_environment:
        raise InvalidInput(
            "push_environment says where a token is valid: send the token, too.", pointer="#/push_environment"
        )
    address = _address(said) if said.token else ""
    named = read_device_address(address).app if service_of(address) else ""
    return Device(
        id=device_id,
        platform=said.platform,
        address=address,
        app=said.app or named,
        locale=said.locale,
        timezone=said.timezone,
        app_version=said.app_version,
        activities=(ActivityAddress(address=_start_address(said, address)),) if said.live_start_token else (),
    )


def _address(said: Registration) -> str:
    try:
        return registered_address(said.platform, said.token, said.app, said.push_environment)
    except ValueError as wrong:
        raise InvalidInput(f"this is no token of a device: {wrong}.", pointer="#/token") from None


def _start_address(said: Registration, address: str) -> str:
    try:
        return start_address(said.live_start_token, address)
    except ValueError as wrong:
        raise InvalidInput(
            f"this starts no Live Activities: {wrong}.", pointer="#/live_start_token"
        ) from None


def _missing(user: User, device_id: str) -> NotFound:
    return NotFound(f"The user {user.id!r} has no device {device_id!r}.")
