"""Devices: installations of an app, each logged in for one user at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from clarion.model.ids import Instant, TenantId, UserNo


class Platform(StrEnum):
    """What a device runs; says which push service its token is of."""

    IOS = "ios"
    ANDROID = "android"
    HUAWEI = "huawei"
    WEB = "web"


class ActivityAddress(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where the Live Activities of a device are reached: one of them, or whichever is to be started."""

    address: str
    """As that of a push contact."""
    hash: bytes = b""
    """Keyed hash of the address; set by the ledger."""

    @property
    def starts(self) -> bool:
        """Whether it starts Live Activities, and belongs to none."""
        return self.address.partition(":")[0].endswith("-start")


class Device(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One installation of an app, as its user's profile holds it."""

    id: str
    """Chosen by the app when it is installed."""
    platform: Platform
    address: str = ""
    """As that of a push contact; empty: it has no token, and nothing is sent to it."""
    hash: bytes = b""
    """Keyed hash of the address; set by the ledger."""
    app: str = ""
    """Bundle id or package name."""
    locale: str = ""
    app_version: str = ""
    activities: tuple[ActivityAddress, ...] = ()
    """Of its Live Activities."""
    timezone: str = ""

    def addresses(self) -> Iterator[tuple[str, bytes]]:
        """Where it is reached, each with its hash: the app itself, then its Live Activities."""
        if self.address:
            yield self.address, self.hash
        yield from ((one.address, one.hash) for one in self.activities)

    def hashed(self, hash_of: Callable[[str], bytes]) -> Device:
        """With the hashes of its addresses."""
        return replace(
            self,
            hash=hash_of(self.address) if self.address else b"",
            activities=tuple(replace(one, hash=hash_of(one.address)) for one in self.activities),
        )

    def keeping(self, known: Device) -> Device:
        """As it registers again: its app reports the token of a Live Activity once."""
        if any(not one.starts for one in self.activities):
            return self
        return replace(
            self, activities=(*self.activities, *(one for one in known.activities if not one.starts))
        )


class DeviceError(msgspec.Struct, frozen=True, kw_only=True):
    """What the push service of a device refused last."""

    reason: str
    detail: str | None = None
    at: Instant


class DeviceRefusal(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A push that the service of one device refused, among what became of a message."""

    hash: bytes
    """Of the device's address."""
    reason: str
    detail: str | None = None


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """Who a device belongs to, and how it is doing."""

    no: int
    tenant: TenantId
    id: str
    user: UserNo
    seen_at: Instant
    """When it was registered last."""
    last_error: DeviceError | None = None
