"""The most specific setting decides, and the answer says which one it was."""

import pytest

from clarion.model.channel import CHANNELS, Channel
from clarion.model.setup import Category, Tenant
from clarion.model.user import CategoryPreference, Preferences
from clarion.rules.preferences import SETTINGS, allowed, effective
from tests.unit.rules.examples import CATEGORY, CRITICAL, TENANT

SMS = Channel.SMS

LADDER = [
    ("user_category_channel", {"categories": {"orders": CategoryPreference(channels={SMS: False})}}, {}, {}),
    ("user_category", {"categories": {"orders": CategoryPreference(enabled=False)}}, {}, {}),
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
        user["categories"] = {"orders": CategoryPreference(enabled=True)}
    return user, category, tenant


@pytest.mark.parametrize("place", range(len(LADDER)), ids=[row[0] for row in LADDER])
def test_a_setting_beats_everything_less_specific(place):
    """Each setting alone says no while all below it say yes: the answer is no, and names it."""
    name, user, category, tenant = LADDER[place]
    below_user, below_category, below_tenant = the_rest(place)
    user = {**below_user, **user}
    if place == 0:
        user["categories"] = {"orders": CategoryPreference(enabled=True, channels={SMS: False})}
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
        categories={"security": CategoryPreference(enabled=False, channels={SMS: False})},
    )
    assert allowed(TENANT, CRITICAL, preferences, SMS) == (True, "critical")


def test_a_choice_for_another_category_or_channel_says_nothing():
    """Settings bind exactly what they name."""
    preferences = Preferences(
        channels={Channel.EMAIL: False}, categories={"news": CategoryPreference(enabled=False)}
    )
    assert allowed(TENANT, CATEGORY, preferences, SMS) == (True, "default")


def test_an_opt_in_category_is_off_until_the_user_turns_it_on():
    """`enabled=False` is only a default."""
    opt_in = Category(key="news", enabled=False)
    assert allowed(TENANT, opt_in, Preferences(), SMS) == (False, "category_default")
    chosen = Preferences(categories={"news": CategoryPreference(enabled=True)})
    assert allowed(TENANT, opt_in, chosen, SMS) == (True, "user_category")


def test_the_effective_preferences_show_every_category_and_channel():
    """A preference page needs the whole matrix, with what decided each field."""
    preferences = Preferences(channels={SMS: False})
    matrix = effective(TENANT, [CATEGORY, CRITICAL], preferences)
    assert set(matrix) == {"orders", "security"}
    assert all(set(row) == {channel.value for channel in CHANNELS} for row in matrix.values())
    assert matrix["orders"]["sms"] == {"enabled": False, "decided_by": "user_channel"}
    assert matrix["security"]["sms"] == {"enabled": True, "decided_by": "critical"}
    assert {field["decided_by"] for row in matrix.values() for field in row.values()} <= set(SETTINGS)
