"""Legal rules of the reader's country: when marketing may be sent, and what may be learned from how it is read.

The rules are data with their sources, in `legal_rules.toml`. Where a reader may be in several countries, all of their
rules hold, so the strictest does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import msgspec

from clarion.model.channel import PHONES, Channel
from clarion.model.setup import Category, Law, Tenant, Tracking
from clarion.model.user import Contact, Profile, Window
from clarion.rules import phone_numbers, places
from clarion.rules.quiet_hours import check_zone

ANYWHERE = "*"
"""In maps by country: every one that is not named."""
_STRICT = (Tracking.NONE, Tracking.AGGREGATE, Tracking.INDIVIDUAL)
"""The strictest first."""


class LegalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule and its source."""

    id: str
    kind: Literal["send_window", "tracking"]
    countries: frozenset[str]
    """ISO 3166."""
    law: str
    """The law with its section."""
    url: str
    says: str
    channels: frozenset[Channel] = frozenset()
    """`send_window`: where it holds."""
    start: str = "00:00"
    end: str = "00:00"
    most: Tracking = Tracking.INDIVIDUAL
    """`tracking`: what is allowed without the reader's consent."""


class LegalHours(NamedTuple):
    """A rule about hours that holds for one reader."""

    rule: str
    law: str
    windows: tuple[Window, ...]
    zones: tuple[str, ...]
    """The reader may be in any of them: it has to be open in all."""


@cache
def rules() -> tuple[LegalRule, ...]:
    """All rules that Clarion knows."""
    import tomllib

    text = files("clarion.rules").joinpath("legal_rules.toml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(tomllib.loads(text)["rule"], list[LegalRule]))


def hours(
    tenant: Tenant, category: Category, profile: Profile, channel: Channel, contact: Contact | None
) -> tuple[LegalHours, ...]:
    """The rules about hours for what goes to this contact."""
    if category.law is not Law.MARKETING or category.critical or not _limits(channel):
        return ()
    found = _hours(places.countries(profile), channel, tenant.legal_regions)
    if not found:
        return ()
    address = contact.address if contact is not None and channel in PHONES else ""
    return tuple(
        LegalHours(rule.id, rule.law, (_window(rule),), _zones(profile, address, rule.countries))
        for rule in found
    )


def tracking(tenant: Tenant, category: Category, profile: Profile) -> tuple[Tracking, str]:
    """How the opens and clicks of a reader may be counted, and what says so: `category`, `tenant`, the id of a rule, or
    `default`. Of nobody knows which country, the strictest rule holds."""
    places_ = places.countries(profile) or frozenset({""})
    decided = [_tracking(tenant, category, country) for country in sorted(places_)]
    return min(decided, key=lambda one: _STRICT.index(one[0]))


def _tracking(tenant: Tenant, category: Category, country: str) -> tuple[Tracking, str]:
    for setting, said in (("category", category.tracking), ("tenant", tenant.tracking)):
        if (chosen := _of_country(said, country)) is not None:
            return chosen, setting
    held = [
        (rule.most, rule.id)
        for rule in rules()
        if rule.kind == "tracking" and _holds(rule, country, tenant.legal_regions)
    ]
    return min(held, key=lambda one: _STRICT.index(one[0]), default=(Tracking.INDIVIDUAL, "default"))


def _of_country(said: Mapping[str, Tracking], country: str) -> Tracking | None:
    return said.get(country, said.get(ANYWHERE)) if said else None


def _holds(rule: LegalRule, country: str, regions: Iterable[str] | None) -> bool:
    """Whether a rule holds for a reader in a country; in one that nobody knows, every rule does."""
    there = rule.countries if regions is None else rule.countries.intersection(regions)
    return country in there if country else bool(there)


@cache
def _limits(channel: Channel) -> bool:
    return any(channel in rule.channels for rule in rules())


@lru_cache(maxsize=1_024)
def _hours(
    countries: frozenset[str], channel: Channel, regions: tuple[str, ...] | None
) -> tuple[LegalRule, ...]:
    return tuple(
        rule
        for rule in rules()
        if rule.kind == "send_window"
        and channel in rule.channels
        and any(_holds(rule, country, regions) for country in countries or ("",))
    )


@cache
def _window(rule: LegalRule) -> Window:
    return Window(start=rule.start, end=rule.end)


def _zones(profile: Profile, address: str, countries: frozenset[str]) -> tuple[str, ...]:
    """Where the reader's clock may be: the zone they confirmed, else all of their number, else all of the countries."""
    if profile.timezone and check_zone(profile.timezone):
        return (profile.timezone,)
    return (phone_numbers.zones(address) if address else ()) or _zones_of(countries)


@lru_cache(maxsize=64)
def _zones_of(countries: frozenset[str]) -> tuple[str, ...]:
    from babel.core import get_global

    territories = get_global("territory_zones")
    return tuple(sorted({zone for country in countries for zone in territories.get(country, ())}))
