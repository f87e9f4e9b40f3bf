"""What may be spent in a day, and what messages have cost."""

import asyncio

import pytest

from clarion.model.setup import Scope

BUDGETS = "/v1/budgets"


def euro(amount: str) -> dict[str, str]:
    """An amount in euros."""
    return {"amount": amount, "currency": "EUR"}


async def text_of(admin) -> dict:
    """The text message of a new event, once it is settled."""
    accepted = await admin.ok(
        "POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}}
    )
    async with asyncio.timeout(30):
        while True:
            found = await admin.ok(
                "GET", "/v1/messages", params={"event_id": accepted["event_id"], "channel": "sms"}
            )
            if found["items"] and found["items"][0]["status"] not in ("queued", "sending"):
                return found["items"][0]
            await asyncio.sleep(0.01)


async def test_budgets_are_replaced_and_changed_one_by_one(admin):
    """Each shows what is spent of it today."""
    assert await admin.ok("GET", BUDGETS) == {"budgets": {}}
    texts = {"limit": euro("25.00"), "channel": "sms"}
    stored = (await admin.ok("PUT", BUDGETS, {"budgets": {"texts": texts}}))["budgets"]
    day = stored["texts"].pop("day")
    assert stored == {
        "texts": {**texts, "country": None, "warn_share": 0.8, "spent": euro("0")},
    }
    latvia = {"limit": euro("2"), "country": "LV", "warn_share": 0.5}
    both = (await admin.ok("PATCH", BUDGETS, {"budgets": {"latvia": latvia}}))["budgets"]
    assert {key: one["day"] for key, one in both.items()} == {"texts": day, "latvia": day}
    left = await admin.ok("PATCH", BUDGETS, {"budgets": {"texts": None}})
    assert [*left["budgets"]] == ["latvia"]


@pytest.mark.parametrize(
    ("budget", "pointer"),
    [
        ({"limit": euro("-1")}, "#/budgets/b/limit/amount"),
        ({"limit": {"amount": "1", "currency": "Euro"}}, "#/budgets/b/limit/currency"),
        ({"limit": euro("1"), "country": "Latvia"}, "#/budgets/b/country"),
        ({"limit": euro("1"), "channel": "in_app"}, "#/budgets/b/channel"),
        ({"limit": euro("1"), "channel": "email", "country": "LV"}, "#/budgets/b/country"),
        ({"limit": euro("1"), "warn_share": 80}, "#/budgets/b/warn_share"),
        ({"limit": euro("1"), "spent": euro("1")}, "#/budgets/b/spent"),
        ({}, "#/budgets/b"),
    ],
)
async def test_a_budget_that_cannot_be_counted_is_refused_at_its_place(admin, budget, pointer):
    """By PUT and by PATCH, and nothing is changed."""
    for method in ("PUT", "PATCH"):
        shown = await admin.problem(method, BUDGETS, {"budgets": {"b": budget}})
        assert (shown["status"], shown["errors"][0]["pointer"]) == (400, pointer)
    assert await admin.ok("GET", BUDGETS) == {"budgets": {}}


async def test_a_budget_and_the_prices_it_covers_have_one_currency(admin):
    """Whichever is set last is refused: another currency would not be counted."""
    dollars = {"sms": {"US": {"amount": "0.01", "currency": "USD"}}}
    await admin.ok("PUT", "/v1/prices", dollars)
    shown = await admin.problem("PUT", BUDGETS, {"budgets": {"texts": {"limit": euro("1")}}})
    assert "the price of sms for US is in USD: use one currency for both" in shown["detail"]
    await admin.ok("PUT", BUDGETS, {"budgets": {"latvia": {"limit": euro("1"), "country": "LV"}}})
    await admin.ok("PUT", "/v1/prices", {"sms": {"LV": euro("0.1")}})
    await admin.ok("PUT", BUDGETS, {"budgets": {"texts": {"limit": euro("1")}}})
    assert (await admin.problem("PUT", "/v1/prices", dollars))["status"] == 400


async def test_what_a_message_cost_is_shown_with_it_in_its_explanation_and_in_the_numbers(admin, ada):
    """A text of one segment to Germany."""
    await admin.ok("PUT", "/v1/prices", {"sms": {"DE": euro("0.0750")}})
    await admin.ok("PUT", BUDGETS, {"budgets": {"texts": {"limit": euro("1")}}})
    message = await text_of(admin)
    assert (message["country"], message["cost"]) == ("DE", euro("0.0750"))
    told = await admin.ok("GET", f"/v1/events/{message['event_id']}/explanation")
    costs = {one["channel"]: (one["cost"], one["stopped"]) for one in told["runs"][0]["channels"]}
    assert costs == {"sms": (euro("0.0750"), None), "email": (None, None), "in_app": (None, None)}
    assert (await admin.ok("GET", BUDGETS))["budgets"]["texts"]["spent"] == euro("0.0750")
    stats = await admin.ok(
        "GET", "/v1/stats", params={"metrics": "cost", "by": "channel,country,integration"}
    )
    assert stats["rows"] == [
        {
            "keys": {"channel": "sms", "country": "DE", "integration": "main-sms"},
            "values": {"messages": None, "calls": 1, "cost": euro("0.0750")},
        }
    ]
    wrong = await admin.problem("GET", "/v1/stats", params={"metrics": "cost", "by": "workflow"})
    assert "`cost` cannot be told apart by workflow" in wrong["detail"]


async def test_a_message_that_a_budget_stopped_says_so(admin, ada):
    """In its status, its timeline and the explanation of its event."""
    await admin.ok("PUT", "/v1/prices", {"sms": {"DE": euro("0.0750")}})
    await admin.ok("PUT", BUDGETS, {"budgets": {"texts": {"limit": euro("0.05")}}})
    message = await text_of(admin)
    assert (message["status"], message["reason"], message["cost"]) == ("throttled", "budget_exceeded", None)
    whole = await admin.ok("GET", f"/v1/messages/{message['id']}")
    assert whole["timeline"][-1]["detail"].startswith("budget texts: 0 of 0.05 EUR is spent")
    told = await admin.ok("GET", f"/v1/events/{message['event_id']}/explanation", params={"user_id": "ada"})
    assert (
        "SMS: stopped before it was sent because a budget that covers it had too little left." in told["text"]
    )
    (text,) = [one for one in told["runs"][0]["channels"] if one["channel"] == "sms"]
    assert text["stopped"] == "budget_exceeded"


async def test_a_used_up_budget_is_told_once(clarion, admin, ada):
    """As an event of the tenant and in the metrics."""
    await admin.ok("PUT", "/v1/prices", {"sms": {"DE": euro("0.08")}})
    await admin.ok("PUT", BUDGETS, {"budgets": {"texts": {"limit": euro("0.10")}}})
    for _ in range(3):
        await text_of(admin)
    types: list[str] = []
    async with asyncio.timeout(30):
        while len(types) < 2:
            events = await admin.ok("GET", "/v1/events")
            types = [one["type"] for one in events["items"] if (one["type"] or "").startswith("clarion.")]
            await asyncio.sleep(0.05)
    assert sorted(types) == ["clarion.budget.exhausted", "clarion.budget.warned"]
    assert 'clarion_budget_spent_ratio{budget="1/texts"} 0.8' in (await admin("GET", "/metrics")).text


async def test_only_an_admin_changes_budgets(clarion):
    """Whoever may read sees them."""
    sender = await clarion.client(Scope.SEND)
    assert await sender.ok("GET", BUDGETS) == {"budgets": {}}
    assert (await sender.problem("PUT", BUDGETS, {}))["status"] == 403
