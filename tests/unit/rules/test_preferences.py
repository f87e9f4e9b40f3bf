"""The most specific setting decides, and the answer says which one it was."""

import pytest
from msgspec.structs import replace

from clarion.model.channel import CHANNELS, Channel
from clarion.model.setup import Category, Tenant
from clarion.model.user import (
    DefaultPreferences,
    DigestEvery,
    DigestFrequency,
    Preferences,
    PreferenceSet,
    Profile,
    Window,
)
from clarion.rules.effective_preferences import EffectiveChannel, effective_preferences
from clarion.rules.preferences import (
    AT_ONCE,
    SETTINGS,
    allowed,
    blocking,
    digest_frequency,
    in_order,
    stopped,
)
from tests.unit.rules.examples import CATEGORY, CRITICAL, TENANT

SMS = Channel.SMS

LADDER = [
    ("user_category_channel", {"categories": {"orders": PreferenceSet(channels={SMS: False})}}, {}, {}),
    ("user_category", {"categories": {"orders": PreferenceSet(enabled=False)}}, {}, {}),
    ("user_channel", {"channels": {SMS: False}}, {}, {}),
    ("category_channel", {}, {"channels": {SMS: False}}, {}),
    ("category_default", {}, {"enabled": False}, {}),
    ("tenant_channel", {}, {}, {"channels": {SMS: False}}),
]


def the_rest(place: int) -> tuple[dict, dict, dict]:
    """Everything less specific than `place`, all of it saying yes."""
    user: dict = {}
    category: dict = {}
    tenant: dict = {"channels": {SMS: True}}
    if place < 3:
        category = {"channels": {SMS: True}}
    if place < 2:
        user["channels"] = {SMS: True}
    if place < 1:
        user["categories"] = {"orders": PreferenceSet(enabled=True)}
    return user, category, tenant


@pytest.mark.parametrize("place", range(len(LADDER)), ids=[row[0] for row in LADDER])
def test_a_setting_beats_everything_less_specific(place):
    """Each setting alone says no while all below it say yes: the answer is no, and names it."""
    name, user, category, tenant = LADDER[place]
    below_user, below_category, below_tenant = the_rest(place)
    user = {**below_user, **user}
    if place == 0:
        user["categories"] = {"orders": PreferenceSet(enabled=True, channels={SMS: False})}
    decided = allowed(
        Tenant(**{"id": TENANT.id, "key": "shop", **below_tenant, **tenant}),
        Category(**{"key": "orders", **below_category, **category}),
        Preferences(**user),
        SMS,
    )
    assert decided == (False, name)


def test_nothing_set_means_on():
    """A channel that nobody mentioned is on."""
    assert allowed(TENANT, CATEGORY, Preferences(), SMS) == (True, "default")


def test_a_critical_category_cannot_be_turned_off():
    """Not by any setting of the user, the category or the tenant."""
    preferences = Preferences(
        channels={SMS: False},
        categories={"security": PreferenceSet(enabled=False, channels={SMS: False})},
    )
    assert allowed(TENANT, CRITICAL, preferences, SMS) == (True, "critical")


def test_a_choice_for_another_category_or_channel_says_nothing():
    """Settings bind exactly what they name."""
    preferences = Preferences(
        channels={Channel.EMAIL: False}, categories={"news": PreferenceSet(enabled=False)}
    )
    assert allowed(TENANT, CATEGORY, preferences, SMS) == (True, "default")


def test_an_opt_in_category_is_off_until_the_user_turns_it_on():
    """`enabled=False` is only a default."""
    opt_in = Category(key="news", enabled=False)
    assert allowed(TENANT, opt_in, Preferences(), SMS) == (False, "category_default")
    chosen = Preferences(categories={"news": PreferenceSet(enabled=True)})
    assert allowed(TENANT, opt_in, chosen, SMS) == (True, "user_category")


def test_the_effective_preferences_show_every_category_and_channel():
    """A preference page needs the whole matrix, with what decided each field."""
    preferences = Preferences(channels={SMS: False})
    both = {"orders": CATEGORY, "security": CRITICAL}
    rows = effective_preferences(TENANT, both, {}, Profile(preferences=preferences)).categories
    assert set(rows) == {"orders", "security"}
    assert all(set(row.channels) == set(CHANNELS) for row in rows.values())
    assert rows["orders"].channels[SMS] == EffectiveChannel(enabled=False, decided_by="user_channel")
    assert rows["security"].channels[SMS] == EffectiveChannel(enabled=True, decided_by="critical")
    assert {one.decided_by for row in rows.values() for one in row.channels.values()} <= set(SETTINGS)


def test_an_opt_out_of_the_category_holds_whatever_is_on_for_a_workflow_or_topic():
    """One click in a mail ends it, also for who once turned on something more specific."""
    preferences = Preferences(
        categories={"orders": PreferenceSet(channels={SMS: False})},
        workflows={"order-shipped": PreferenceSet(enabled=True)},
        topics={"orders.eu": PreferenceSet(enabled=True)},
    )
    decided = allowed(TENANT, CATEGORY, preferences, SMS, "order-shipped", ("orders.eu",))
    assert decided == (False, "user_category_channel")


def test_a_workflow_that_is_off_is_off_although_its_category_is_on():
    """And the other way round: what is more specific can always be left by itself."""
    preferences = Preferences(
        categories={"orders": PreferenceSet(enabled=True)},
        workflows={"order-shipped": PreferenceSet(channels={SMS: False})},
    )
    assert allowed(TENANT, CATEGORY, preferences, SMS, "order-shipped") == (False, "user_workflow_channel")
    assert allowed(TENANT, CATEGORY, preferences, SMS, "order-lost") == (True, "user_category")


@pytest.mark.parametrize(
    ("topic", "on"),
    [
        ("orders.eu.berlin", False),
        ("orders.eu", False),
        ("orders.us", True),
        ("orders", True),
        ("news", True),
    ],
)
def test_a_choice_for_a_topic_holds_below_it(topic, on):
    """Until something is chosen for a topic that is nearer."""
    preferences = Preferences(
        topics={"orders": PreferenceSet(enabled=True), "orders.eu": PreferenceSet(enabled=False)}
    )
    assert allowed(TENANT, CATEGORY, preferences, SMS, "", (topic,))[0] is on


def test_one_topic_that_is_off_stops_what_comes_by_several():
    """Nobody knows by which of them it would have come."""
    preferences = Preferences(topics={"a": PreferenceSet(enabled=False), "b": PreferenceSet(enabled=True)})
    assert allowed(TENANT, CATEGORY, preferences, SMS, "", ("b", "a")) == (False, "user_topic")


def test_every_choice_that_has_to_change_is_named():
    """Turning on the category alone would not help."""
    preferences = Preferences(
        categories={"orders": PreferenceSet(enabled=False)},
        workflows={"order-shipped": PreferenceSet(enabled=False)},
        topics={"eu": PreferenceSet(channels={SMS: False})},
    )
    off = blocking(TENANT, CATEGORY, preferences, SMS, "order-shipped", ("eu",))
    assert off == ("user_category", "user_workflow", "user_topic_channel")
    assert blocking(TENANT, CATEGORY, Preferences(), SMS) == ()


def test_defaults_of_a_tenant_for_workflows_and_topics_give_way_to_every_choice():
    """A workflow can be opt-in; who turned on its category gets it."""
    opt_in = DefaultPreferences(
        workflows={"beta": PreferenceSet(enabled=False)},
        topics={"labs": PreferenceSet(channels={SMS: False})},
    )
    tenant = replace(TENANT, preferences=opt_in)
    assert allowed(tenant, CATEGORY, Preferences(), SMS, "beta") == (False, "workflow_default")
    assert allowed(tenant, CATEGORY, Preferences(), SMS, "", ("labs.x",)) == (False, "topic_channel")
    chosen = Preferences(categories={"orders": PreferenceSet(enabled=True)})
    assert allowed(tenant, CATEGORY, chosen, SMS, "beta") == (True, "user_category")


def test_who_stops_everything_gets_nothing_that_can_be_left():
    """Whatever was on before; the digest and the quiet hours stay for when they come back."""
    hours = (Window(start="22:00", end="07:00"),)
    before = Preferences(
        categories={"orders": PreferenceSet(enabled=True, channels={Channel.EMAIL: False, SMS: True})},
        workflows={"order-shipped": PreferenceSet(enabled=True)},
        topics={"eu": PreferenceSet(enabled=True)},
        quiet_hours=hours,
    )
    after = stopped(before)
    for channel in CHANNELS:
        assert not allowed(TENANT, CATEGORY, after, channel, "order-shipped", ("eu",))[0]
        assert allowed(TENANT, CRITICAL, after, channel)[0]
    assert after.quiet_hours == hours


DAILY = DigestFrequency(every=DigestEvery.DAILY, at="18:00")
WEEKLY = DigestFrequency(every=DigestEvery.WEEKLY)
HOURLY = DigestFrequency(every=DigestEvery.HOURLY)


def test_the_nearest_choice_says_when_a_digest_comes():
    """Workflow, topic, category, all; then the defaults in the same order; without any, at once."""
    category = replace(CATEGORY, digest=HOURLY)
    chosen = Preferences(digest=DAILY, categories={"orders": PreferenceSet(digest=WEEKLY)})
    assert digest_frequency(TENANT, category, chosen) == (WEEKLY, "user_category")
    assert digest_frequency(TENANT, replace(category, key="news"), chosen) == (DAILY, "user")
    assert digest_frequency(TENANT, category, Preferences()) == (HOURLY, "category_default")
    tenant = replace(TENANT, preferences=DefaultPreferences(topics={"eu": PreferenceSet(digest=DAILY)}))
    assert digest_frequency(tenant, category, Preferences(), "", ("eu.x",)) == (DAILY, "topic_default")
    assert digest_frequency(TENANT, CATEGORY, Preferences()) == (AT_ONCE, "default")


def test_channels_come_in_the_order_of_the_user_then_as_they_were():
    """Channels that the workflow does not name are not added."""
    order = (Channel.PUSH, SMS, Channel.CHAT)
    assert in_order((Channel.EMAIL, SMS, Channel.PUSH), order) == [Channel.PUSH, SMS, Channel.EMAIL]
