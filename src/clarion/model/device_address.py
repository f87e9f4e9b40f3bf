"""Addresses of phones: the name of the push service, a colon, and what the service calls the device.

`apns:TOKEN`, `apns-sandbox:TOKEN`, each also with the app before the token (`apns:com.example.app/TOKEN`);
`fcm:TOKEN`, `fcm-topic:NAME`, `fcm-condition:'a' in topics && 'b' in topics`; `hms:TOKEN`; `expo:ExponentPushToken[...]`;
`ntfy:TOPIC`.
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
    """The scheme: `apns`, `apns-sandbox`, `fcm`, `fcm-topic`, `fcm-condition`, `hms`, `expo`, `ntfy`."""
    token: str
    app: str = ""
    """Bundle id; empty: the one app of the integration."""


_FORMS: Final = {
    "apns": re.compile(r"(?:(?P<app>[A-Za-z0-9][A-Za-z0-9.-]{0,254})/)?(?P<token>[0-9A-Fa-f]{64,512})"),
    "fcm": re.compile(r"(?P<token>[A-Za-z0-9_:-]{10,4096})"),
    "fcm-topic": re.compile(r"(?P<token>[A-Za-z0-9_.~%-]{1,900})"),
    "fcm-condition": re.compile(r"(?P<token>[ -~]{1,1000})"),
    "hms": re.compile(r"(?P<token>[!-~]{10,4000})"),
    "expo": re.compile(r"(?P<token>Expo(?:nent)?PushToken\[[!-Z^-~]{1,200}\])"),
    "ntfy": re.compile(r"(?P<token>[A-Za-z0-9_-]{1,64})"),
}
_FORMS["apns-sandbox"] = _FORMS["apns"]
_WANTED: Final = {
    "apns": "a device token in hexadecimal, with the app before it where there are several: com.example.app/…",
    "fcm": "a registration token",
    "fcm-topic": "the name of a topic, without /topics/",
    "fcm-condition": "a condition such as 'news' in topics && 'sport' in topics",
    "hms": "a push token of Huawei",
    "expo": "an Expo push token, ExponentPushToken[...]",
    "ntfy": "a topic: up to 64 letters, digits, _ and -",
}
_WANTED["apns-sandbox"] = _WANTED["apns"]


def service_of(address: str) -> str:
    """The push service that an address names; empty when it names none of these."""
    scheme, colon, _ = address.partition(":")
    return scheme if colon and scheme in _FORMS else ""


def read_device_address(address: str) -> DeviceAddress:
    """The parts. ValueError saying what is wrong."""
    service = service_of(address)
    if not service:
        raise ValueError("it names no push service: write apns:TOKEN or fcm:TOKEN")
    found = _FORMS[service].fullmatch(address[len(service) + 1 :])
    if found is None:
        raise ValueError(f"behind {service}: comes {_WANTED[service]}")
    parts = found.groupdict()
    token = parts["token"]
    return DeviceAddress(
        service=service, token=token.lower() if "app" in parts else token, app=parts.get("app") or ""
    )


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
    return f"{read.service}:{read.app + '/' if read.app else ''}{read.token}"


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


def registered_token(device: Device) -> tuple[str, str]:
    """The token and push environment that the device registered; empty where it has none."""
    if not device.address or is_subscription(device.address):
        return device.address, ""
    read = read_device_address(device.address)
    environment = next((name for name, of in ENVIRONMENTS.items() if of == read.service), "")
    own = OWN_SERVICE.get(device.platform)
    is_own = own == ("apns" if environment else read.service)
    return read.token if is_own else f"{read.service}:{read.token}", environment
