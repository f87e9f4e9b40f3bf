"""`/v1/users/{user_id}/devices` and `/v1/devices`: installations of apps, and who is logged in on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, patch, put

from clarion.api.conditions import one
from clarion.api.guards import READ, SEND, Caller, Parts, PathUser, the_user
from clarion.api.messages import ByUser
from clarion.api.pages import PAGE, START, Cursor, Limit, Page
from clarion.api.stored_documents import patched
from clarion.model.device import Device, Platform
from clarion.model.device_address import registered_token, start_token
from clarion.model.user import Value
from clarion.rules.time_format import rfc3339
from clarion.rules.validation import ADDRESS_CHARS
from clarion.services.devices import Registration, UserDevice

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class DeviceBody(Value, frozen=True, kw_only=True):
    """What an app registers."""

    platform: Platform
    """`ios` is any system of Apple, `huawei` a phone without Google's services, `web` a browser."""
    app: Short | None = None
    """Bundle id or package name. Needed on Apple's systems for an app other than the `topic` of the integration."""
    push_environment: Literal["production", "sandbox"] | None = None
    """Of APNs: `sandbox` for builds from Xcode. null: `production`."""
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=ADDRESS_CHARS)] | None = None
    """The token of the platform's own push service; of another one, with its name before it, like `fcm:...` on `ios`. A
    browser: its subscription as JSON text. null: nothing is sent to the device."""
    live_start_token: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    """Push-to-start token of Live Activities (`pushToStartTokenUpdates`)."""
    locale: str | None = None
    """Language tag (BCP 47) of the app. Holds for a user who has no `locale`."""
    timezone: str | None = None
    """IANA time zone of the device. Holds for a user who has no `timezone`."""
    app_version: Short | None = None


class DeviceErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """What the push service refused last."""

    reason: str
    detail: str | None
    at: str


class DeviceView(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it is registered."""

    device_id: str
    user_id: str
    platform: Platform
    app: str | None
    push_environment: str | None
    token: str | None
    live_start_token: str | None
    locale: str | None
    timezone: str | None
    app_version: str | None
    suppressed: bool
    """Nothing is sent to it: its push service said that the token is gone. Registering it again ends that."""
    last_seen_at: str
    """When it was registered last."""
    last_error: DeviceErrorView | None
    """Null after a new token."""


@get("/", opt=READ)
async def list_devices(
    caller: Caller, parts: Parts, user_id: ByUser = None, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[DeviceView]:
    """All devices, newest first."""
    of_user = await the_user(parts, caller, user_id) if user_id is not None else None
    before = cursor.after(0) or None
    found, following = await parts.services.devices.page(caller.tenant, of_user, before, limit)
    return Page(items=[view(one) for one in found], next_cursor=cursor.to(following))


@get("/", opt=READ)
async def list_user_devices(
    person: PathUser, parts: Parts, limit: Limit = PAGE, cursor: Cursor = START
) -> Page[DeviceView]:
    """The devices of a user, newest first."""
    before = cursor.after(0) or None
    found, following = await parts.services.devices.page(person.tenant, person, before, limit)
    return Page(items=[view(one) for one in found], next_cursor=cursor.to(following))


@get("/{device_id:str}", opt=READ)
async def get_device(person: PathUser, device_id: str, parts: Parts) -> DeviceView:
    """One device."""
    return view(await parts.services.devices.get(person, device_id))


@put("/{device_id:str}", opt=SEND)
async def put_device(person: PathUser, device_id: str, data: DeviceBody, parts: Parts) -> DeviceView:
    """Log a device in: call it whenever the app starts, and whenever it gets a new token.

    The device is this user's from now on and nobody else's. A new token takes the place of the old one, and a token that
    another installation or contact had is taken from it, in one step.
    """
    return view(await parts.services.devices.log_in(person, device_id, _registration(data)))


@patch("/{device_id:str}", opt=SEND)
async def patch_device(person: PathUser, device_id: str, data: dict[str, Any], parts: Parts) -> DeviceView:
    """Change some fields (JSON merge patch) of a device that is logged in for this user."""

    def changed(device: Device) -> Registration:
        return _registration(patched(_body(device), data))

    return view(await parts.services.devices.change(person, device_id, changed))


@delete("/{device_id:str}", opt=SEND)
async def delete_device(person: PathUser, device_id: str, parts: Parts) -> None:
    """Log a device out: nothing is sent to it any more. If somebody else has logged in on it since, it stays theirs."""
    await parts.services.devices.log_out(person, device_id)


def view(owned: UserDevice) -> DeviceView:
    """A device as callers see it."""
    fields, error = _body(owned.device), owned.state.last_error
    return DeviceView(
        device_id=owned.device.id,
        user_id=owned.user.id,
        **msgspec.structs.asdict(fields),
        suppressed=owned.suppressed,
        last_seen_at=rfc3339(owned.state.seen_at),
        last_error=None
        if error is None
        else DeviceErrorView(reason=error.reason, detail=error.detail, at=rfc3339(error.at)),
    )


def _body(device: Device) -> DeviceBody:
    """What was registered."""
    token, environment = registered_token(device)
    return DeviceBody(
        platform=device.platform,
        app=device.app or None,
        push_environment=environment or None,  # type: ignore[arg-type] # one of the two
        token=token or None,
        live_start_token=start_token(device) or None,
        locale=device.locale or None,
        timezone=device.timezone or None,
        app_version=device.app_version or None,
    )


def _registration(data: DeviceBody) -> Registration:
    return Registration(
        platform=data.platform,
        app=data.app or "",
        push_environment=data.push_environment or "",
        token=data.token or "",
        live_start_token=data.live_start_token or "",
        locale=data.locale or "",
        timezone=data.timezone or "",
        app_version=data.app_version or "",
    )


router = Router("/v1/devices", route_handlers=[list_devices], tags=["Users"])
of_user = Router(
    "/v1/users/{user_id:str}/devices",
    route_handlers=[list_user_devices, get_device, put_device, patch_device, delete_device],
    opt=one("device", "device_id"),
    tags=["Users"],
)
