"""Every list comes in pages, whose cursor fits that list and filter only; `fields` leaves out the rest."""

from __future__ import annotations

import asyncio

import pytest

from clarion.api import edge
from clarion.model.setup import Scope
from tests.unit.api.conftest import OTHER

LISTS = ("categories", "workflows", "templates", "partials", "integrations", "keys", "users", "topics")


@pytest.fixture
async def several(admin):
    """Three of everything."""
    for n in range(3):
        await admin.ok("PUT", f"/v1/categories/c{n}", {})
        await admin.ok("PUT", f"/v1/templates/t{n}", {"channels": {"sms": {"en": {"text": "a"}}}})
        await admin.ok("PUT", f"/v1/partials/p{n}", {"source": "a"})
        step = {"key": "a", "template": f"t{n}", "to": {"mode": "all", "channels": ["sms"]}}
        await admin.ok("PUT", f"/v1/workflows/w{n}", {"category": "c0", "steps": [step]})
        await admin.ok("PUT", f"/v1/integrations/i{n}", {"channel": "sms", "provider": "capture"})
        await admin.ok("POST", "/v1/keys", {"name": f"k{n}", "scope": "read"})
        await admin.ok("PUT", f"/v1/users/u{n}", {"email": f"u{n}@example.com"})
        await admin.ok("PUT", f"/v1/topics/n{n}", {})
    contacts = [{"channel": "email", "address": f"{n}@example.com"} for n in range(3)]
    await admin.ok("PUT", "/v1/users/u0", {"contacts": contacts})


async def walked(api, path: str, **query: object) -> list[dict[str, object]]:
    """All items, page by page."""
    found: list[dict[str, object]] = []
    cursor = None
    while True:
        given = {**query, "cursor": cursor} if cursor else query
        page = await api.ok("GET", path, params=given)
        assert len(page["items"]) <= int(str(query["limit"]))
        found += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return found


@pytest.mark.parametrize("noun", [*LISTS, "users/u0/contacts"])
async def test_page_by_page_is_the_whole_list(admin, several, noun):
    """None twice, none forgotten, in the same order; short lists too."""
    whole = (await admin.ok("GET", f"/v1/{noun}", params={"limit": 200}))["items"]
    assert len(whole) >= 3
    for limit in (1, 2, len(whole)):
        assert await walked(admin, f"/v1/{noun}", limit=limit) == whole


async def test_a_cursor_fits_its_own_list_and_filter_only(admin, several):
    """Elsewhere it is refused, not read as something else; a page may change its size meanwhile."""
    cursor = (await admin.ok("GET", "/v1/users?limit=1"))["next_cursor"]
    again = await admin.ok("GET", "/v1/users", params={"limit": 2, "cursor": cursor, "fields": "user_id"})
    assert again["items"] == [{"user_id": "u1"}, {"user_id": "u0"}]
    for path, query in (
        ("/v1/topics", {}),
        ("/v1/messages", {}),
        ("/v1/users/u0/contacts", {}),
        ("/v1/captures", {"channel": "sms"}),
    ):
        shown = await admin.problem("GET", path, params={**query, "cursor": cursor})
        assert shown["errors"][0]["parameter"] == "cursor", path
    await admin.ok(
        "POST", "/v1/workflows/order-paid/trigger", {"recipients": ["u1", "u2"], "data": {"id": 1}}
    )


async def test_a_cursor_does_not_fit_another_filter(admin, several):
    """The next page of what failed is no page of what was sent."""
    await admin.ok(
        "POST", "/v1/workflows/order-paid/trigger", {"recipients": ["u1", "u2"], "data": {"id": 1}}
    )
    cursor = None
    async with asyncio.timeout(10):
        while cursor is None:
            cursor = (await admin.ok("GET", "/v1/captures?limit=1"))["next_cursor"]
            await asyncio.sleep(0.01)
    await admin.ok("GET", "/v1/captures", params={"cursor": cursor})
    for other in ({"channel": "email"}, {"user_id": "u1"}):
        shown = await admin.problem("GET", "/v1/captures", params={**other, "cursor": cursor})
        assert "another tenant, list or filter" in shown["detail"]


async def test_a_cursor_fits_its_own_tenant_only(clarion, admin, several):
    """Another one would begin in the middle of its own list."""
    stranger = await clarion.client(Scope.ADMIN, OTHER)
    for noun in LISTS:
        cursor = (await admin.ok("GET", f"/v1/{noun}?limit=1"))["next_cursor"]
        shown = await stranger.problem("GET", f"/v1/{noun}", params={"cursor": cursor})
        assert (shown["status"], shown["errors"][0]["parameter"]) == (400, "cursor"), noun


async def test_fields_leave_out_the_rest(admin, several):
    """Of every item of a list, and of one resource; unknown ones are refused with the nearest."""
    page = await admin.ok("GET", "/v1/categories?fields=key,critical&limit=1")
    assert set(page) == {"items", "next_cursor"}
    assert [set(item) for item in page["items"]] == [{"key", "critical"}]
    one = await admin("GET", "/v1/users/u1?fields=user_id")
    assert one.json() == {"user_id": "u1"}
    assert one.headers["etag"] == (await admin("GET", "/v1/users/u1")).headers["etag"]
    for path, name, meant in (("users", "emial", "email"), ("workflows/w1", "stepps", "steps")):
        shown = await admin.problem("GET", f"/v1/{path}?fields={name},key,user_id")
        found = {fault["value"]: fault for fault in shown["errors"]}
        assert (found[name]["code"], found[name]["did_you_mean"]) == ("unknown_field", meant)


async def test_a_filter_has_the_name_of_its_field(admin, ada):
    """`user_id` and `event_id`, as in bodies; the old names are refused with the new ones."""
    for path, old, new in (
        ("messages", "user", "user_id"),
        ("messages", "event", "event_id"),
        ("captures", "user", "user_id"),
    ):
        shown = await admin.problem("GET", f"/v1/{path}?{old}=x")
        assert shown["errors"][0]["did_you_mean"] == new


async def test_every_answer_names_its_request(clarion, admin):
    """Also a refusal, an ingest route, and what needs no key; no two are alike."""
    answers = [
        await admin("GET", "/v1/users"),
        await admin("GET", "/v1/users/nobody"),
        await admin("POST", "/v1/events", {}),
        await admin("GET", "/nowhere"),
        await clarion.bearer("")("GET", "/v1/users"),
        await clarion.bearer("")("GET", "/healthz"),
    ]
    assert len({answer.headers["clarion-request-id"] for answer in answers}) == len(answers)


async def test_a_list_tells_its_length(admin, several):
    """Of what the filter leaves, whichever page; what is not asked for is not counted."""
    for noun in (*LISTS, "users/u0/contacts"):
        count = len((await admin.ok("GET", f"/v1/{noun}?limit=200"))["items"])
        page = await admin.ok("GET", f"/v1/{noun}?limit=1&total=true")
        assert page["total"] == {"value": count, "exact": True}, noun
        assert len(page["items"]) == 1
        cursor = page["next_cursor"]
        again = await admin.ok("GET", f"/v1/{noun}", params={"limit": 1, "total": "true", "cursor": cursor})
        assert again["total"]["value"] == count
    assert (await admin.ok("GET", "/v1/captures?channel=sms&total=true"))["total"] == {
        "value": 0,
        "exact": True,
    }
    assert "total" not in await admin.ok("GET", "/v1/users?total=false")
    shown = await admin.problem("GET", "/v1/users?total=yes")
    assert shown["errors"][0]["parameter"] == "total"


async def test_a_long_list_is_counted_so_far(admin, several, monkeypatch):
    """And says that there is more."""
    monkeypatch.setattr(edge, "MOST_COUNTED", 2)
    monkeypatch.setattr(edge, "MOST_A_PAGE", 1)
    assert (await admin.ok("GET", "/v1/users?total=true"))["total"] == {"value": 2, "exact": False}


async def test_a_comma_means_any_of(admin, several):
    """Of several statuses each is a value of its own, and a wrong one among them is refused with the nearest."""
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["u1"], "data": {"id": 1}})
    found: list[dict[str, object]] = []
    async with asyncio.timeout(10):
        while len(found) < 2:
            found = (await admin.ok("GET", "/v1/messages?status=sent,delivered"))["items"]
            await asyncio.sleep(0.01)
    assert {one["status"] for one in found} <= {"sent", "delivered"}
    one = len((await admin.ok("GET", "/v1/messages?status=sent"))["items"])
    other = len((await admin.ok("GET", "/v1/messages?status=delivered"))["items"])
    assert len((await admin.ok("GET", "/v1/messages?status=delivered,sent"))["items"]) == one + other
    assert (await admin.ok("GET", "/v1/dead-letters?status=failed,bounced"))["items"] == []
    for path, wrong, meant in (
        ("messages", "sent,deliverd", "delivered"),
        ("dead-letters", "faild", "failed"),
    ):
        shown = await admin.problem("GET", f"/v1/{path}?status={wrong}")
        (fault,) = shown["errors"]
        assert (fault["code"], fault["did_you_mean"]) == ("not_allowed", meant)


@pytest.mark.parametrize("noun", ["messages", "dead-letters", "events", "quarantine"])
@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"]
)
async def test_times_at_the_ends_of_the_calendar_are_times(admin, noun, at):
    """Before the first record everything is later, and the other way round."""
    for name in ("since", "until"):
        page = await admin.ok("GET", f"/v1/{noun}", params={name: at})
        assert page == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_event_of_any_time_can_be_listed(admin, ada, at):
    """Also when its offset moves it beyond the calendar: it stays at its end, and hides no other event."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "order.paid",
        "subject": "ada",
        "time": at,
    }
    await admin.ok("POST", "/v1/events", {**event, "data": {"id": 1}})
    items: list[dict[str, str]] = []
    while not items:
        await asyncio.sleep(0.01)
        items = (await admin.ok("GET", "/v1/events"))["items"]
    assert items[0]["time"][:4] == at[:4]
    retried = {"filter": {"workflow": "order-paid", "since": at}}
    assert (await admin.ok("POST", "/v1/dead-letters/retry", retried))["kind"] == "messages.retry"


async def test_only_lists_have_a_length(admin, several):
    """One event has messages in pages, and what it is besides."""
    event = await admin.ok("POST", "/v1/workflows/w0/trigger", {"recipients": ["u0"]})
    problem = await admin.problem("GET", f"/v1/events/{event['event_id']}?total=true")
    assert (problem["status"], problem["errors"][0]["parameter"]) == (400, "total")
