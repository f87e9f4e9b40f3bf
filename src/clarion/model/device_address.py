"""Addresses of phones: the name of the push service, a colon, and what the service calls the device.

`apns:TOKEN`, `apns-sandbox:TOKEN`, each also with the app before the token (`apns:com.example.app/TOKEN`);
`fcm:TOKEN`, `fcm-topic:NAME`, `fcm-condition:'a' in topics && 'b' in topics`; `hms:TOKEN`; `expo:ExponentPushToken[...]`;
`ntfy:TOPIC`.

Live Activities have tokens of their own. One starts any activity of an app: `apns-start:TOKEN`, `fcm-start:TOKEN/START`.
The others belong to one activity, and name the live resource that it shows: `apns-activity:KEY/TOKEN`,
`apns-channel:KEY/CHANNEL` (a broadcast channel), `fcm-activity:KEY/TOKEN/ACTIVITY`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from clarion.model.device import Device, Platform
from clarion.model.subscription import is_subscription, plain_subscription


class DeviceAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address in its parts."""

    service: str
    """The scheme, such as `apns`, `apns-sandbox`, `fcm`, `fcm-topic`, `hms`, `expo`, `ntfy`."""
    token: str
    app: str = ""
    """Bundle id; empty: the one app of the integration."""
    live: str = ""
    """Key of the live resource that a Live Activity shows."""
    activity: str = ""
    """FCM only: the token of Apple's that starts or updates the activity."""

    @property
    def starts(self) -> bool:
        """Whether it starts Live Activities, and does nothing else."""
        return self.service.endswith("-start")

    @property
    def is_of_activity(self) -> bool:
        """Whether it reaches Live Activities and nothing else."""
        return self.service in ACTIVITY_SERVICES

    @property
    def is_channel(self) -> bool:
        """Whether it is a broadcast channel of APNs."""
        return self.service.endswith("-channel")

    @property
    def is_sandbox(self) -> bool:
        """Whether APNs knows it in the sandbox only."""
        return self.service.startswith("apns-sandbox")


_KEY: Final = r"(?P<live>[A-Za-z0-9][A-Za-z0-9._:-]*)/"
_APP: Final = r"(?:(?P<app>[A-Za-z0-9][A-Za-z0-9.-]{0,254})/)?"
_APP_BEFORE_CHANNEL: Final = r"(?:(?P<app>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)/)?"
"""A channel is base64, which has slashes but no dots."""
_HEXADECIMAL: Final = "[0-9A-Fa-f]{64,512}"
_TOKEN: Final = f"(?P<token>{_HEXADECIMAL})"
_REGISTRATION: Final = "(?P<token>[A-Za-z0-9_:-]{10,4096})"
_ACTIVITY: Final = f"/(?P<activity>{_HEXADECIMAL})"
_APNS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "": (f"{_APP}{_TOKEN}", "a device token in hexadecimal", ("token",)),
    "-start": (f"{_APP}{_TOKEN}", "a push-to-start token in hexadecimal", ("token",)),
    "-activity": (
        f"{_KEY}{_APP}{_TOKEN}",
        "the key of the live resource, a slash and the activity's push token in hexadecimal",
        ("token",),
    ),
    "-channel": (
        f"{_KEY}{_APP_BEFORE_CHANNEL}(?P<token>[A-Za-z0-9+/]{{4,128}}={{0,2}})",
        "the key of the live resource, a slash and the id of the channel in base64",
        (),
    ),
}
"""By what follows `apns`: the form, the form in words, and which parts are hexadecimal."""
_FCM: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "": (_REGISTRATION, "a registration token", ()),
    "-topic": ("(?P<token>[A-Za-z0-9_.~%-]{1,900})", "the name of a topic, without /topics/", ()),
    "-condition": (
        "(?P<token>[ -~]{1,1000})",
        "a condition such as 'news' in topics && 'sport' in topics",
        (),
    ),
    "-start": (
        f"{_REGISTRATION}{_ACTIVITY}",
        "a registration token, a slash and a push-to-start token in hexadecimal",
        ("activity",),
    ),
    "-activity": (
        f"{_KEY}{_REGISTRATION}{_ACTIVITY}",
        "the key of the live resource, a registration token and the activity's push token, with slashes between",
        ("activity",),
    ),
}
_OTHERS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "hms": ("(?P<token>[!-~]{10,4000})", "a push token of Huawei", ()),
    "expo": (
        r"(?P<token>Expo(?:nent)?PushToken\[[!-Z^-~]{1,200}\])",
        "an Expo push token, ExponentPushToken[...]",
        (),
    ),
    "ntfy": ("(?P<token>[A-Za-z0-9_-]{1,64})", "a topic: up to 64 letters, digits, _ and -", ()),
}
_OTHER_APP: Final = ", with the app before it where there are several: com.example.app/…"
_FORMS: Final = {
    f"{service}{kind}": (re.compile(form), wanted + more, hexadecimal)
    for service, kinds, more in (
        ("apns", _APNS, _OTHER_APP),
        ("apns-sandbox", _APNS, _OTHER_APP),
        ("fcm", _FCM, ""),
        ("", _OTHERS, ""),
    )
    for kind, (form, wanted, hexadecimal) in kinds.items()
}
SERVICES: Final = frozenset(_FORMS)
APNS_SERVICES: Final = frozenset(service for service in SERVICES if service.startswith("apns"))
ACTIVITY_SERVICES: Final = frozenset(
    service for service in SERVICES if service.endswith(("-start", "-activity", "-channel"))
)
"""Those that reach Live Activities and nothing else."""


def service_of(address: str) -> str:
    """The push service that an address names; empty when it names none of these."""
    scheme, colon, _ = address.partition(":")
    return scheme if colon and scheme in _FORMS else ""


def read_device_address(address: str) -> DeviceAddress:
    """The parts. ValueError saying what is wrong."""
    service = service_of(address)
    if not service:
        raise ValueError("it names no push service: write apns:TOKEN or fcm:TOKEN")
    form, wanted, hexadecimal = _FORMS[service]
    found = form.fullmatch(address[len(service) + 1 :])
    if found is None:
        raise ValueError(f"behind {service}: comes {wanted}")
    parts = {name: part or "" for name, part in found.groupdict().items()}
    for name in hexadecimal:
        parts[name] = parts[name].lower()
    return DeviceAddress(service=service, **parts)


def token_at(service: str, address: str) -> str:
    """What the service calls the device; empty when it is no address of this service."""
    try:
        read = read_device_address(address)
    except ValueError:
        return ""
    return read.token if read.service == service else ""


def plain_device_address(address: str) -> str:
    """The one spelling in which it is stored. ValueError saying what is wrong."""
    read = read_device_address(address)
    parts = (read.live, read.app, read.token, read.activity)
    return f"{read.service}:{'/'.join(filter(None, parts))}"


ENVIRONMENTS: Final[Mapping[str, str]] = {"production": "apns", "sandbox": "apns-sandbox"}
OWN_SERVICE: Final[Mapping[Platform, str]] = {
    Platform.IOS: "apns",
    Platform.ANDROID: "fcm",
    Platform.HUAWEI: "hms",
}
"""Whose tokens a platform hands out; browsers have subscriptions instead."""
_DEVICE_SERVICES: Final = frozenset({"apns", "apns-sandbox", "fcm", "hms", "expo"})
_EXPO: Final = ("ExponentPushToken[", "ExpoPushToken[")
"""Tokens that begin like this say themselves whose they are."""


def registered_address(platform: Platform, token: str, app: str, push_environment: str) -> str:
    """The address of a device that registers a token: of its platform's own service, unless the token begins with
    another one (`fcm:...`). ValueError saying what is wrong."""
    if is_subscription(token):
        if push_environment:
            raise ValueError("a browser has no push_environment: leave it out")
        return plain_subscription(token)
    service = service_of(token)
    if not service:
        service = "expo" if token.startswith(_EXPO) else OWN_SERVICE.get(platform, "")
        if not service:
            raise ValueError("the token of a browser is its subscription: JSON.stringify(subscription)")
        token = f"{ENVIRONMENTS.get(push_environment, service) if service == 'apns' else service}:{token}"
    if service_of(token) not in _DEVICE_SERVICES:
        raise ValueError("it names no single device")
    read = read_device_address(token)
    environment = next((name for name, of in ENVIRONMENTS.items() if of == read.service), "")
    if push_environment not in ("", environment):
        raise ValueError(f"push_environment {push_environment} does not fit a token of {read.service}")
    if not environment:
        return f"{read.service}:{read.token}"
    if app and read.app not in ("", app):
        raise ValueError(f"it is of the app {read.app}, not of {app}")
    named = read.app or app
    return plain_device_address(f"{read.service}:{named + '/' if named else ''}{read.token}")


def start_address(token: str, address: str) -> str:
    """The address that starts Live Activities on a device that registers its push-to-start token; `address` is the
    device's own. ValueError saying what is wrong."""
    service = service_of(address)
    if service not in ("apns", "apns-sandbox", "fcm"):
        raise ValueError("Live Activities are started through APNs or FCM: the device needs a token of these")
    read = read_device_address(address)
    before = f"{read.token}/" if service == "fcm" else f"{read.app}/" if read.app else ""
    return plain_device_address(f"{service}-start:{before}{token}")


def start_token(device: Device) -> str:
    """The push-to-start token that the device registered; empty where it has none."""
    for one in device.activities:
        if one.starts:
            read = read_device_address(one.address)
            return read.activity or read.token
    return ""


def registered_token(device: Device) -> tuple[str, str]:
    """The token and push environment that the device registered; empty where it has none."""
    if not device.address or is_subscription(device.address):
        return device.address, ""
    read = read_device_address(device.address)
    environment = next((name for name, of in ENVIRONMENTS.items() if of == read.service), "")
    own = OWN_SERVICE.get(device.platform)
    is_own = own == ("apns" if environment else read.service)
    return read.token if is_own else f"{read.service}:{read.token}", environment
