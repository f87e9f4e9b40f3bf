"""Devices: installations of an app, each logged in for one user at a time."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from clarion.model.ids import Instant, TenantId, UserNo


class Platform(StrEnum):
    """What a device runs; says which push service its token is of."""

    IOS = "ios"
    ANDROID = "android"
    HUAWEI = "huawei"
    WEB = "web"


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
