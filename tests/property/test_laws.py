"""The hours of laws in every zone of their country, in the weeks in which clocks change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from babel.core import get_global

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Category, ConsentRule, Law
from clarion.model.user import Contact, Profile, User
from clarion.rules import legal
from clarion.rules.eligibility import Decision
from tests.needs import DEEP
from tests.property.test_rules_clock_changes import HOUR, hours, inside, wall
from tests.unit.rules.examples import TENANT, decide, person

SALE = Category(key="orders", law=Law.MARKETING, consent=ConsentRule.OPT_OUT)
TOLL_FREE = Contact(channel=Channel.SMS, address="+18005550123", hash=b"number")
"""In no area: its state and zone are what the profile says."""
RULES = [rule for rule in legal.rules() if rule.kind == "send_window"]
LONGEST_MS = 16 * HOUR
"""From the end of a window until the next one begins, with the hour that a clock may be set back: Texas on a Saturday night."""


def zones() -> list[str]:
    """Those of the countries of the rules."""
    territories = get_global("territory_zones")
    found = sorted(
        {zone for rule in RULES for country in rule.countries for zone in territories.get(country, ())}
    )
    return found if DEEP else ["America/New_York", "Pacific/Guam"]


def reader(zone: str, states: frozenset[str]) -> User:
    """Somebody in a state, or in none of those that have rules."""
    user = person(contacts=(TOLL_FREE,), zone=zone)
    attributes = {"country": "US", "state": min(states, default="US-NY")}
    profile = Profile(contacts=user.profile.contacts, timezone=zone, attributes=attributes)
    return User(no=user.no, tenant=user.tenant, id=user.id, key=user.key, profile=profile)


def decisions(zone: str, user: User) -> Iterator[tuple[Instant, Decision]]:
    """What is decided in each hour, and just before it; by default in every seventh, which meets each hour of a day."""
    for hour in hours(zone)[:: 1 if DEEP else 7]:
        for now in (hour, Instant(hour - 1)):
            yield now, decide(Channel.SMS, user=user, category=SALE, now=now)


@pytest.mark.parametrize("zone", zones())
def test_no_message_goes_outside_the_hours_of_a_law_and_none_is_lost(zone):
    """Under the country's rule and each state's: what waits goes inside the hours of both, at the beginning of the next ones."""
    country = [rule for rule in RULES if not rule.states]
    for rule in RULES:
        user, both = reader(zone, rule.states), [*country, *([rule] if rule.states else [])]
        for now, decided in decisions(zone, user):
            goes = Instant(now if decided.due_at is None else decided.due_at)
            assert decided.verdict in ("send", "defer")
            assert now <= goes <= now + LONGEST_MS
            for one in both:
                assert any(inside(window, wall(zone, goes)) for window in one.windows), (rule.id, now)
            if decided.verdict == "defer":
                shown = wall(zone, goes - 1)
                assert not all(any(inside(window, shown) for window in one.windows) for one in both)
                assert decide(Channel.SMS, user=user, category=SALE, now=goes).verdict == "send"


@pytest.mark.parametrize("zone", zones())
def test_where_nobody_knows_the_state_the_hours_of_all_states_hold_and_none_is_lost(zone):
    """The reader's zone is known."""
    user = person(contacts=(TOLL_FREE,), zone=zone)
    for now in hours(zone):
        decided = decide(Channel.SMS, user=user, category=SALE, now=now)
        goes = Instant(now if decided.due_at is None else decided.due_at)
        assert now <= goes <= now + LONGEST_MS + HOUR
        assert all(any(inside(window, wall(zone, goes)) for window in rule.windows) for rule in RULES)


def test_where_nobody_knows_state_nor_zone_none_is_lost():
    """It has to be day from Guam to Newfoundland, as far as numbers of the area may be, and in each state by its own hours."""
    user = person(contacts=(TOLL_FREE,), zone="")
    for now in hours("America/New_York")[:: 1 if DEEP else 12]:
        decided = decide(Channel.SMS, user=user, category=SALE, now=now)
        goes = Instant(now if decided.due_at is None else decided.due_at)
        assert decided.verdict in ("send", "defer")
        assert now <= goes <= now + 24 * HOUR
        for held in legal.hours(TENANT, SALE, user.profile, Channel.SMS, TOLL_FREE):
            for zone in held.zones:
                assert any(inside(window, wall(zone, goes)) for window in held.windows)
