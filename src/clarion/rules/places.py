"""Where a reader is, from what is known: what the user confirmed, else what a device or a phone number says."""

from __future__ import annotations

import re
from functools import lru_cache

from clarion.model.channel import PHONES
from clarion.model.setup import Tenant
from clarion.model.user import Contact, Profile, User
from clarion.rules import phone_numbers
from clarion.rules.quiet_hours import check_zone

KEPT = 4_096
_REGION = re.compile(r"[-_]([A-Za-z]{2})(?=$|[-_])")
_STATE = re.compile(r"(?:US-)?([A-Z]{2})", re.ASCII)
_POSTAL_CODE = re.compile(r"([0-9]{5})(?:-?[0-9]{4})?", re.ASCII)


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


def countries(profile: Profile, contact: Contact | None = None) -> frozenset[str]:
    """Every country (ISO 3166) a reader may be in whom something is sent to this contact.

    The attribute `country` says it, and the number that is called may be in another. Without the attribute: those of all
    numbers, of the regions of language tags, and of time zones.
    """
    called = _called(contact)
    stated = profile.attributes.get("country")
    if isinstance(stated, str) and phone_numbers.is_country(stated.upper()):
        return frozenset({stated.upper(), called} - {""})
    found = {
        called,
        *(phone_numbers.country(one.address) for one in profile.contacts if one.channel in PHONES),
    }
    for tag in (profile.locale, *(device.locale for device in profile.devices)):
        found.add(_region(tag))
    for name in (profile.timezone, *(device.timezone for device in profile.devices)):
        found.add(_territory(name))
    return frozenset(found - {""})


def american(profile: Profile, contact: Contact | None = None) -> tuple[str, str, str]:
    """What says in which state of the USA a reader is: the attributes `state` and `postal_code`, and the area code of the
    number that is called, else of their first one. Empty where nothing does."""
    state, postal_code = (profile.attributes.get(name) for name in ("state", "postal_code"))
    named = _STATE.fullmatch(state.upper()) if isinstance(state, str) else None
    coded = _POSTAL_CODE.fullmatch(postal_code) if isinstance(postal_code, str) else None
    numbers = [contact] if _called(contact) else [one for one in profile.contacts if one.channel in PHONES]
    areas = (phone_numbers.area_code(one.address) for one in numbers if one is not None)
    return (
        f"US-{named[1]}" if named else "",
        coded[1] if coded else "",
        next(filter(None, areas), ""),
    )


def _called(contact: Contact | None) -> str:
    """The country of the number that is called."""
    return phone_numbers.country(contact.address) if contact is not None and contact.channel in PHONES else ""


@lru_cache(maxsize=KEPT)
def _region(tag: str) -> str:
    """The region of a language tag: `DE` of `de-DE`."""
    found = _REGION.search(tag.partition("-x-")[0])
    return found[1].upper() if found else ""


@lru_cache(maxsize=KEPT)
def _territory(name: str) -> str:
    """The country of a time zone, when it has one only."""
    if not name:
        return ""
    from babel.core import get_global

    aliases, territories = get_global("zone_aliases"), get_global("zone_territories")
    code = territories.get(aliases.get(name, name), "")
    return code if len(code) == 2 and code.isalpha() and code != "ZZ" else ""
