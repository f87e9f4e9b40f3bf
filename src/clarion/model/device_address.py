"""Addresses of phones: the name of the push service, a colon, and what the service calls the device.

`apns:TOKEN`, `apns-sandbox:TOKEN`, each also with the app before the token (`apns:com.example.app/TOKEN`);
`fcm:TOKEN`, `fcm-topic:NAME`, `fcm-condition:'a' in topics && 'b' in topics`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec


class DeviceAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address in its parts."""

    service: str
    """The scheme: `apns`, `apns-sandbox`, `fcm`, `fcm-topic`, `fcm-condition`."""
    token: str
    app: str = ""
    """Bundle id; empty: the one app of the integration."""


_FORMS: Final = {
    "apns": re.compile(r"(?:(?P<app>[A-Za-z0-9][A-Za-z0-9.-]{0,254})/)?(?P<token>[0-9A-Fa-f]{64,512})"),
    "fcm": re.compile(r"(?P<token>[A-Za-z0-9_:-]{10,4096})"),
    "fcm-topic": re.compile(r"(?P<token>[A-Za-z0-9_.~%-]{1,900})"),
    "fcm-condition": re.compile(r"(?P<token>[ -~]{1,1000})"),
}
_FORMS["apns-sandbox"] = _FORMS["apns"]
_WANTED: Final = {
    "apns": "a device token in hexadecimal, with the app before it where there are several: com.example.app/…",
    "fcm": "a registration token",
    "fcm-topic": "the name of a topic, without /topics/",
    "fcm-condition": "a condition such as 'news' in topics && 'sport' in topics",
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


def plain_device_address(address: str) -> str:
    """The one spelling in which it is stored. ValueError saying what is wrong."""
    read = read_device_address(address)
    return f"{read.service}:{read.app + '/' if read.app else ''}{read.token}"
