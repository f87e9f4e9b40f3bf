"""Preference sets over HTTP: what a user chose, what holds for all, and what is in force."""

import pytest

from clarion.model.channel import Channel
from clarion.model.ids import Instant
from clarion.model.setup import Scope
from clarion.model.user import Preferences
from clarion.rules.time_format import rfc3339
from tests.unit.api.conftest import ACME

ADA = "/v1/users/ada/preferences"


async def stored(clarion) -> Preferences:
    return (await clarion.ledger.users.find(ACME, ["ada"]))["ada"].profile.preferences


async def test_every_kind_of_choice_is_stored_and_answered(clarion, admin, ada):
    """As it was sent; times in UTC; what is not chosen is null."""
    await admin.ok("PUT", "/v1/topics/orders.eu", {"name": "Orders"})
    chosen = {
        "channels": {"push": False},
        "categories": {
            "orders": {"enabled": True, "digest": {"every": "weekly", "at": "08:30", "day": "fri"}}
        },
        "workflows": {"order-paid": {"channels": {"sms": False}}},
        "topics": {"orders.eu": {"enabled": False}},
        "digest": {"every": "daily", "at": "18:00"},
        "quiet_hours": [
            {"start": "12:00", "end": "13:00", "days": ["mon"]},
            {"start": "22:00", "end": "07:00", "days": ["mon", "tue"]},
        ],
        "snoozed_until": "2026-05-04T08:00:00+02:00",
        "channel_order": ["sms", "email"],
        "caps": [{"limit": 2, "window_s": 86400, "channel": "sms"}],
    }
    answer = await admin.ok("PUT", ADA, chosen)
    assert answer["stored"]["snoozed_until"] == "2026-05-04T06:00:00Z"
    assert answer["stored"]["digest"] == {"every": "daily", "at": "18:00", "day": "mon"}
    for field in ("channels", "quiet_hours", "channel_order", "caps"):
        assert answer["stored"][field] == chosen[field]
    assert (await stored(clarion)).channel_order == (Channel.SMS, Channel.EMAIL)
    assert (await admin.ok("PUT", ADA, answer["stored"])) == answer
    effective = answer["effective"]
    assert effective["workflows"]["order-paid"]["channels"]["sms"]["decided_by"] == "user_workflow_channel"
    assert effective["topics"]["orders.eu"]["channels"]["email"] == {
        "enabled": False,
        "decided_by": "user_topic",
        "topic": "orders.eu",
    }
    assert effective["categories"]["orders"]["digest"]["day"] == "fri"
    assert effective["quiet_hours"]["decided_by"] == "user"
    assert effective["locale"] == {"value": "en", "decided_by": "user"}
    assert effective["tracking"]["orders"] == {
        "value": "aggregate",
        "decided_by": "eu-terminal-equipment",
    }


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"workflows": {"order-payd": {"enabled": False}}}, "#/workflows/order-payd"),
        ({"topics": {"nowhere": {"enabled": False}}}, "#/topics/nowhere"),
        ({"snoozed_until": "tomorrow"}, "#/snoozed_until"),
        ({"snoozed_until": "2046-01-01T00:00:00Z"}, "#/snoozed_until"),
        ({"digest": {"every": "daily", "at": "25:00"}}, "#/digest/at"),
        (
            {"categories": {"orders": {"digest": {"every": "daily", "at": "9"}}}},
            "#/categories/orders/digest/at",
        ),
        ({"channel_order": ["sms", "sms"]}, "#/channel_order"),
        ({"caps": [{"limit": 0, "window_s": 60}]}, "#/caps/0"),
        ({"caps": [{"limit": 1, "window_s": 60}] * 21}, "#/caps"),
    ],
)
async def test_a_choice_that_cannot_hold_is_refused_where_it_stands(clarion, admin, ada, wrong, pointer):
    """And nothing is stored."""
    for method in ("PUT", "PATCH"):
        shown = await admin.problem(method, ADA, wrong)
        assert shown["errors"][0]["pointer"] == pointer
    assert await stored(clarion) == Preferences()


async def test_defaults_hold_for_who_has_not_chosen(admin, ada):
    """Of workflows, quiet hours, digests and the order of channels; a choice of the user's own comes first."""
    defaults = {
        "channels": {"sms": False},
        "workflows": {"order-paid": {"enabled": False}},
        "quiet_hours": [{"start": "22:00", "end": "07:00"}],
        "digest": {"every": "hourly"},
    }
    put = await admin.ok("PUT", "/v1/preferences", defaults)
    assert put == await admin.ok("GET", "/v1/preferences")
    assert (await admin.ok("GET", "/v1/tenant"))["channels"] == {"sms": False}
    effective = (await admin.ok("GET", ADA))["effective"]
    assert effective["quiet_hours"]["decided_by"] == "tenant"
    assert len(effective["quiet_hours"]["value"]) == 1
    assert effective["workflows"]["order-paid"]["channels"]["email"]["decided_by"] == "workflow_default"
    assert effective["categories"]["orders"]["digest_decided_by"] == "tenant"
    effective = (await admin.ok("PATCH", ADA, {"quiet_hours": []}))["effective"]
    assert effective["quiet_hours"] == {"value": [], "decided_by": "user"}
    changed = await admin.ok("PATCH", "/v1/preferences", {"workflows": None, "channels": {"push": False}})
    assert (changed["workflows"], changed["channels"]) == ({}, {"sms": False, "push": False})


async def test_defaults_that_cannot_hold_are_refused_and_only_admins_set_them(clarion, admin, ada):
    """With the place of what is wrong; categories have defaults of their own."""
    for wrong, pointer in (
        ({"workflows": {"order-payd": {}}}, "#/workflows/order-payd"),
        ({"quiet_hours": [{"start": "25:00", "end": "07:00"}]}, "#/quiet_hours/0"),
        ({"categories": {}}, "#/categories"),
    ):
        shown = await admin.problem("PUT", "/v1/preferences", wrong)
        assert shown["errors"][0]["pointer"] == pointer
    sender = await clarion.client(Scope.SEND)
    assert (await sender.problem("PUT", "/v1/preferences", {}))["status"] == 403


async def test_a_dry_run_names_every_rule_that_stops_a_message_and_what_would_lift_it(clarion, admin, ada):
    """Who helps somebody sees all of it at once."""
    tomorrow = rfc3339(Instant(clarion.clock.now() + 86_400_000))
    chosen = {
        "categories": {"orders": {"enabled": False}},
        "workflows": {"order-paid": {"channels": {"sms": False}}},
        "snoozed_until": tomorrow,
    }
    await admin.ok("PUT", ADA, chosen)
    body = {"recipients": ["ada"]}
    dry = await admin.ok("POST", "/v1/workflows/order-paid/trigger?dry_run=true", body)
    (sms,) = [one for one in dry["runs"][0]["channels"] if one["channel"] == "sms"]
    verdicts = sms["verdicts"]
    against = {one["reason"]: one["lifted_by"] for one in verdicts if one["result"] != "allow"}
    assert list(against) == ["user_category", "user_workflow_channel", "withdrawn", "snoozed"]
    assert against["user_category"] == "The user turns the category on."
    assert tomorrow in against["snoozed"]
    assert all(one["lifted_by"] is None for one in verdicts if one["result"] == "allow")


async def test_the_tenant_and_categories_say_what_is_marketing_and_what_may_be_tracked(admin):
    """By country or for all; what is no country is refused."""
    await admin.ok(
        "PUT", "/v1/categories/sale", {"law": "marketing", "tracking": {"*": "none", "FR": "aggregate"}}
    )
    tenant = await admin.ok("PATCH", "/v1/tenant", {"legal_regions": ["US"], "tracking": {"DE": "none"}})
    assert (tenant["legal_regions"], tenant["tracking"]) == (["US"], {"DE": "none"})
    shown = await admin.problem("PATCH", "/v1/categories/sale", {"tracking": {"EU": "none"}})
    assert shown["errors"][0]["pointer"] == "#/tracking"
    assert (await admin.problem("PATCH", "/v1/tenant", {"legal_regions": ["XX"]}))["status"] == 400
    assert (await admin.problem("PATCH", "/v1/tenant", {"brand": {"color": "red"}}))["status"] == 400
    assert (await admin.ok("PATCH", "/v1/tenant", {"legal_regions": None}))["legal_regions"] is None


async def test_a_topic_says_what_holds_for_it_and_which_topic_says_so(admin, ada):
    """Its own settings before those of the nearest topic above it, each channel for itself."""
    for key in ("orders", "orders.eu", "orders.eu.berlin"):
        await admin.ok("PUT", f"/v1/topics/{key}")
    daily = {"every": "daily", "at": "08:00", "day": "mon"}
    topics = {
        "orders": {"channels": {"sms": False, "email": True}, "digest": daily},
        "orders.eu": {"channels": {"sms": True}},
    }
    await admin.ok("PATCH", "/v1/preferences", {"topics": topics})
    berlin = await admin.ok("GET", "/v1/topics/orders.eu.berlin")
    assert berlin["settings"] is None
    assert berlin["effective"] == {
        "channels": {
            "email": {"enabled": True, "topic": "orders"},
            "sms": {"enabled": True, "topic": "orders.eu"},
        },
        "digest": {"value": daily, "topic": "orders"},
    }
    listed = (await admin.ok("GET", "/v1/topics"))["items"]
    assert [one["settings"] is None for one in listed] == [False, False, True]
    assert listed[1]["settings"]["channels"] == {"sms": True}
    await admin.ok(
        "PATCH", ADA, {"topics": {"orders.eu.berlin": {"enabled": None}, "orders": {"enabled": False}}}
    )
    effective = (await admin.ok("GET", ADA))["effective"]["topics"]["orders.eu.berlin"]["channels"]
    assert effective["sms"] == {"enabled": False, "decided_by": "user_topic", "topic": "orders"}
