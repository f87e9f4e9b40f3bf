"""Where a reader is, from what is known: what the user confirmed, else what a device or a phone number says."""

from __future__ import annotations

from functools import lru_cache

from clarion.model.channel import PHONES
from clarion.model.setup import Tenant
from clarion.model.user import Profile, User
from clarion.rules import phone_numbers
from clarion.rules.quiet_hours import check_zone

KEPT = 4_096


def zone_of(user: User, tenant: Tenant) -> str:
    """The time zone of a person, else that of the tenant."""
    return zone(user.profile, tenant)[0]


def zone(profile: Profile, tenant: Tenant) -> tuple[str, str]:
    """The same, and what says so: `user`, `device`, `phone` or `tenant`."""
    if profile.timezone and check_zone(profile.timezone):
        return profile.timezone, "user"
    for device in reversed(profile.devices):
        if device.timezone:
            return device.timezone, "device"
    for contact in profile.contacts:
        if contact.channel in PHONES and len(zones := phone_numbers.zones(contact.address)) == 1:
            return zones[0], "phone"
    return tenant.timezone, "tenant"


def locale(profile: Profile, tenant: Tenant) -> tuple[str, str]:
    """The language tag of a person, and what says so: `user`, `device` or `tenant`."""
    if profile.locale:
        return profile.locale, "user"
    for device in reversed(profile.devices):
        if device.locale:
            return device.locale, "device"
    return tenant.locale, "tenant"


def countries(profile: Profile) -> frozenset[str]:
    """Every country (ISO 3166) a reader may be in: that of each number, of the language tag, and of the time zone."""
    found = {phone_numbers.country(one.address) for one in profile.contacts if one.channel in PHONES}
    for tag in (profile.locale, *(device.locale for device in profile.devices)):
        found.add(_region(tag))
    for name in (profile.timezone, *(device.timezone for device in profile.devices)):
        found.add(_territory(name))
    return frozenset(found - {""})


@lru_cache(maxsize=KEPT)
def _region(tag: str) -> str:
    """The region of a language tag: `DE` of `de-DE`."""
    for part in tag.split("-")[1:]:
        if len(part) == 1:
            break
        if len(part) == 2:
            return part.upper()
    return ""


@lru_cache(maxsize=KEPT)
def _territory(name: str) -> str:
    """The country of a time zone, when it has one only."""
    if not name:
        return ""
    from babel.core import get_global

    aliases, territories = get_global("zone_aliases"), get_global("zone_territories")
    code = territories.get(aliases.get(name, name), "")
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else ""
