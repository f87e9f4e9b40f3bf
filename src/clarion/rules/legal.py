"""Laws of the reader's country and state: what has to be asked before marketing is sent, when it may be sent, and what may be
learned from how it is read.

They are data with their sources, in `legal_rules.toml`. Where a reader may be in several countries, all of their rules hold, so the
strictest does; where nobody knows, every rule does. Messages inside an app, on the user's own device, in a chat or to a webhook are
no electronic mail: nobody has to be asked before, everybody may refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal, NamedTuple

import msgspec

from clarion.model.channel import PHONES, Channel
from clarion.model.setup import Category, ConsentRule, Law, Tenant, Tracking
from clarion.model.user import Contact, Profile, Window
from clarion.rules import phone_numbers, places
from clarion.rules.quiet_hours import check_zone

ANYWHERE = "*"
"""In maps by country: every one that is not named."""
UNKNOWN = "unknown"
"""The state of a reader of whom nobody knows it."""
MAIL = frozenset({Channel.EMAIL, Channel.SMS, Channel.WHATSAPP, Channel.VOICE})
"""What the laws call electronic mail, text messages and automated calls."""
_STRICT = (Tracking.NONE, Tracking.AGGREGATE, Tracking.INDIVIDUAL)
"""The strictest first."""


class LegalRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule and its source."""

    id: str
    kind: Literal["send_window", "tracking", "consent"]
    countries: frozenset[str]
    """ISO 3166."""
    states: frozenset[str] = frozenset()
    """Only these states (ISO 3166-2); none: the whole country."""
    law: str
    """The law with its section."""
    url: str
    says: str
    compared: Literal["text", "summary", "no"]
    """What it was compared with: the words of the law, summaries of them, or nothing."""
    reviewed: date
    channels: frozenset[Channel] = frozenset()
    """`send_window`, `consent`: where it holds."""
    windows: tuple[Window, ...] = ()
    """`send_window`: when something may be sent."""
    most: Tracking = Tracking.INDIVIDUAL
    """`tracking`: what is allowed without the reader's consent."""
    consent: ConsentRule = ConsentRule.REQUIRED
    """`consent`: what has to be there."""


class LegalState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state of the USA with rules of its own, and how a reader there is recognised."""

    code: str
    zones: tuple[str, ...]
    area_codes: frozenset[str]
    postal_codes: tuple[str, ...]
    """Their first three digits, from and to."""

    def has(self, postal_code: str) -> bool:
        """Whether a postal code is in it."""
        place = postal_code[:3]
        spans = (one.partition("-") for one in self.postal_codes)
        return any(first <= place <= (last or first) for first, _, last in spans)


class LegalHours(NamedTuple):
    """A rule about hours that holds for one reader."""

    rule: str
    law: str
    windows: tuple[Window, ...]
    zones: tuple[str, ...]
    """The reader may be in any of them: it has to be open in all."""
    state: str = ""
    """Why a rule of a state holds: its code, or `unknown`. Empty: it is a rule of the country."""


class ConsentLaw(NamedTuple):
    """What has to be asked, and where that stands."""

    rule: ConsentRule
    source: str
    country: str = ""
    """Whose law it is; empty: nobody's in particular."""


UNLISTED = ConsentLaw(ConsentRule.REQUIRED, "no rule is listed for this country")
NO_MAIL = ConsentLaw(ConsentRule.OPT_OUT, "no electronic mail")


class _Laws(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    groups: dict[str, frozenset[str]]
    state: tuple[LegalState, ...]
    rule: tuple[LegalRule, ...]


@cache
def _laws() -> _Laws:
    import tomllib

    text = files("clarion.rules").joinpath("legal_rules.toml").read_text(encoding="utf-8")
    read = msgspec.convert(tomllib.loads(text), _Laws)
    return msgspec.structs.replace(
        read,
        rule=tuple(
            msgspec.structs.replace(one, countries=frozenset(_named(one.countries, read.groups)))
            for one in read.rule
        ),
    )


def _named(countries: Iterable[str], groups: Mapping[str, frozenset[str]]) -> Iterable[str]:
    for one in countries:
        yield from groups.get(one, (one,))


def rules() -> tuple[LegalRule, ...]:
    """All rules that Clarion knows."""
    return _laws().rule


def states() -> tuple[LegalState, ...]:
    """The states that have rules of their own."""
    return _laws().state


# -- consent ---------------------------------------------------------------------------------------------------


def consent_law(profile: Profile, channel: Channel, contact: Contact | None) -> ConsentLaw:
    """What applies to a marketing message: the strictest of all countries in which its reader may be. One that is not listed, or not
    known, asks for consent: that is right nearly everywhere, and never too little."""
    if channel not in MAIL:
        return NO_MAIL
    return _consent_law(places.countries(profile, contact), channel)


@lru_cache(maxsize=1_024)
def _consent_law(countries: frozenset[str], channel: Channel) -> ConsentLaw:
    found = [law_of(country, channel) for country in sorted(countries)] or [UNLISTED]
    return next((one for one in found if one.rule is ConsentRule.REQUIRED), found[0])


@lru_cache(maxsize=1_024)
def law_of(country: str, channel: Channel) -> ConsentLaw:
    """What the law of one country asks."""
    for rule in rules():
        if rule.kind == "consent" and channel in rule.channels and country in rule.countries:
            return ConsentLaw(rule.consent, rule.law, country)
    return UNLISTED._replace(country=country)


# -- hours -----------------------------------------------------------------------------------------------------


def hours(
    tenant: Tenant, category: Category, profile: Profile, channel: Channel, contact: Contact | None
) -> tuple[LegalHours, ...]:
    """The rules about hours for what goes to this contact."""
    if category.law is not Law.MARKETING or category.critical or not _limits(channel):
        return ()
    countries = places.countries(profile, contact)
    found = _hours(countries, channel, tenant.legal_regions)
    if not found:
        return ()
    there = _states(countries, places.american(profile, contact))
    address = contact.address if contact is not None and channel in PHONES else ""
    return tuple(
        LegalHours(rule.id, rule.law, rule.windows, _zones(profile, address, rule), state)
        for rule in found
        if (state := _state(rule, there)) is not None
    )


def _state(rule: LegalRule, there: frozenset[str] | None) -> str | None:
    """Why a rule holds for a reader in these states; None: it does not."""
    if not rule.states:
        return ""
    if there is None:
        return UNKNOWN
    return min(there & rule.states, default=None)


@lru_cache(maxsize=4_096)
def _states(countries: frozenset[str], known: tuple[str, str, str]) -> frozenset[str] | None:
    """The states with rules of their own in which a reader may be; None: nobody knows. A postal code counts for readers who are in
    no other country."""
    named, postal_code, area_code = known
    found = {named}
    if countries == {"US"}:
        found |= {one.code for one in states() if one.has(postal_code)} if postal_code else set()
    else:
        postal_code = ""
    found |= {one.code for one in states() if area_code in one.area_codes}
    return frozenset(found - {""}) if named or postal_code or area_code else None


# -- tracking --------------------------------------------------------------------------------------------------


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
    return any(rule.kind == "send_window" and channel in rule.channels for rule in rules())


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


def _zones(profile: Profile, address: str, rule: LegalRule) -> tuple[str, ...]:
    """Where the reader's clock may be: the zone they confirmed, else all of their number, else all of the countries. Of a state, its
    own with those of the number's area."""
    if profile.timezone and check_zone(profile.timezone):
        return (profile.timezone,)
    of_number = phone_numbers.zones(address) if address else ()
    if not rule.states:
        return of_number or _zones_of(rule.countries)
    area = of_number if phone_numbers.area_code(address) else ()
    return tuple(
        sorted({*area, *(zone for one in states() if one.code in rule.states for zone in one.zones)})
    )


@lru_cache(maxsize=64)
def _zones_of(countries: frozenset[str]) -> tuple[str, ...]:
    from babel.core import get_global

    territories = get_global("territory_zones")
    return tuple(sorted({zone for country in countries for zone in territories.get(country, ())}))
