"""`/v1/live`: a state is started, updated, ended and deleted by its key."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.api.conftest import ACME

pytestmark = pytest.mark.usefixtures("ada")

STATE = {"id": 7}


def body(**more: Any) -> dict[str, Any]:
    return {"workflow": "order-paid", "recipients": ["ada"], "state": STATE, **more}


async def test_a_state_is_stored_shown_and_ended(admin):
    """Every answer has all of it."""
    made = await admin.ok("PUT", "/v1/live/order-7", body(stale_at="2031-01-01T00:00:00Z"))
    assert made == await admin.ok("GET", "/v1/live/order-7")
    assert made.pop("created_at") == made.pop("updated_at")
    assert made == {
        "key": "order-7",
        "workflow": "order-paid",
        "recipients": ["ada"],
        "state": STATE,
        "sequence": 1,
        "stale_at": "2031-01-01T00:00:00Z",
        "dismiss_at": None,
        "ended_at": None,
    }
    newer = await admin.ok("PUT", "/v1/live/order-7", body(state={"id": 8}))
    assert (newer["sequence"], newer["state"], newer["stale_at"]) == (2, {"id": 8}, None)
    ended = await admin.ok("POST", "/v1/live/order-7/end", {"state": {"id": 9}, "sequence": 10})
    assert (ended["sequence"], ended["state"]) == (10, {"id": 9})
    assert ended["ended_at"] is not None
    assert await admin.ok("POST", "/v1/live/order-7/end") == ended
    await admin.ok("DELETE", "/v1/live/order-7")
    assert (await admin.problem("GET", "/v1/live/order-7"))["code"] == "not_found"
    assert (await admin.problem("DELETE", "/v1/live/order-7"))["code"] == "not_found"
    assert (await admin.problem("POST", "/v1/live/order-7/end", {}))["code"] == "not_found"


async def test_live_resources_are_listed(admin):
    """By key, in pages; those that go on or those that have ended."""
    for number in range(3):
        await admin.ok("PUT", f"/v1/live/k{number}", body())
    await admin.ok("POST", "/v1/live/k1/end")
    page = await admin.ok("GET", "/v1/live?limit=2")
    assert [one["key"] for one in page["items"]] == ["k0", "k1"]
    rest = await admin.ok("GET", f"/v1/live?limit=2&cursor={page['next_cursor']}")
    assert ([one["key"] for one in rest["items"]], rest["next_cursor"]) == (["k2"], None)
    assert [one["key"] for one in (await admin.ok("GET", "/v1/live?ended=false"))["items"]] == ["k0", "k2"]
    assert [one["key"] for one in (await admin.ok("GET", "/v1/live?ended=true"))["items"]] == ["k1"]


async def test_an_older_state_is_refused_with_its_place(admin):
    """And one for what has ended, and one of another workflow."""
    await admin.ok("PUT", "/v1/live/order-7", body(sequence=5))
    again = await admin.ok("PUT", "/v1/live/order-7", body(sequence=5))
    assert again["sequence"] == 5
    older = await admin.problem("PUT", "/v1/live/order-7", body(sequence=4))
    assert (older["status"], older["code"], older["errors"][0]["pointer"]) == (
        409,
        "older_sequence",
        "#/sequence",
    )
    assert (await admin.problem("POST", "/v1/live/order-7/end", {"sequence": 5}))["code"] == "older_sequence"
    await admin.ok("POST", "/v1/live/order-7/end")
    ended = await admin.problem("PUT", "/v1/live/order-7", body())
    assert (ended["status"], ended["code"]) == (409, "live_ended")


@pytest.mark.parametrize(
    ("wrong", "code", "pointer"),
    [
        ({"recipients": ["adda"]}, "unknown_reference", "#/recipients/0"),
        ({"recipients": []}, "invalid_request", "#/recipients"),
        ({"recipients": [{"topic": "none"}]}, "unknown_reference", "#/recipients/0/topic"),
        ({"workflow": "order-payed"}, "unknown_reference", "#/workflow"),
        ({"state": []}, "invalid_request", "#/state"),
        ({"sequence": -1}, "invalid_request", "#/sequence"),
        ({"stale_at": "2001-01-01T00:00:00Z"}, "invalid_request", "#/stale_at"),
        ({"template": "x"}, "invalid_request", "#/template"),
    ],
)
async def test_what_cannot_be_shown_is_refused(admin, wrong, code, pointer):
    """With its place; nothing is stored."""
    shown = await admin.problem("PUT", "/v1/live/order-7", body(**wrong))
    assert (shown["code"], shown["errors"][0]["pointer"]) == (code, pointer)
    assert (await admin.problem("GET", "/v1/live/order-7"))["code"] == "not_found"


async def test_a_dry_run_stores_and_tells_nothing(admin):
    """It answers as the call would."""
    tried = await admin.ok("PUT", "/v1/live/order-7?dry_run=true", body())
    assert tried["sequence"] == 1
    assert (await admin.problem("GET", "/v1/live/order-7"))["code"] == "not_found"
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []


async def test_only_what_was_seen_is_changed(admin):
    """By the ETag of the state."""
    made = await admin("PUT", "/v1/live/order-7", body(), headers={"if-none-match": "*"})
    seen = made.headers["etag"]
    assert (await admin("GET", "/v1/live/order-7")).headers["etag"] == seen
    assert (await admin("PUT", "/v1/live/order-7", body(), headers={"if-match": seen})).status_code == 200
    assert (await admin("PUT", "/v1/live/order-7", body(), headers={"if-match": seen})).status_code == 412
    assert (await admin("DELETE", "/v1/live/order-7", headers={"if-match": seen})).status_code == 412


async def test_a_device_says_where_its_live_activities_are(clarion, admin):
    """The token that starts any with its registration, the token of one activity with its live resource."""
    await admin.ok("PUT", "/v1/live/order-7", body())
    token = "AB" * 32
    registered = {"platform": "ios", "app": "com.example.app", "token": token, "live_start_token": "CD" * 32}
    device = await admin.ok("PUT", "/v1/users/ada/devices/phone", registered)
    assert device["live_start_token"] == "cd" * 32
    said = {"user_id": "ada", "device_id": "phone", "address": f"apns:com.example.app/{token}"}
    assert (await admin.ok("POST", "/v1/live/order-7/devices", said))["device_id"] == "phone"
    (user,) = (await clarion.ledger.users.find(ACME, ["ada"])).values()
    start, activity = (one.address for one in user.profile.device("phone").activities)
    assert start == f"apns-start:com.example.app/{'cd' * 32}"
    assert activity == f"apns-activity:order-7/com.example.app/{token.lower()}"
    for wrong in ({"address": "device"}, {"address": "apns:xyz"}):
        refused = await admin.problem("POST", "/v1/live/order-7/devices", {**said, **wrong})
        assert (refused["code"], refused["errors"][0]["pointer"]) == ("invalid_request", "#/address")
    for wrong, code in (({"user_id": "nobody"}, "unknown_reference"), ({"device_id": "other"}, "not_found")):
        assert (await admin.problem("POST", "/v1/live/order-7/devices", {**said, **wrong}))["code"] == code
    assert (await admin.problem("POST", "/v1/live/none/devices", said))["code"] == "not_found"
    nothing = {"platform": "android", "token": "hms:token-12345", "live_start_token": "CD" * 32}
    refused = await admin.problem("PUT", "/v1/users/ada/devices/other", nothing)
    assert refused["errors"][0]["pointer"] == "#/live_start_token"


async def test_its_messages_are_listed_like_all_others(admin):
    """Through the channels of the workflow."""
    await admin.ok("PUT", "/v1/live/order-7", body())
    async with asyncio.timeout(10):
        while not (messages := (await admin.ok("GET", "/v1/messages"))["items"]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert {one["workflow"] for one in messages} == {"order-paid"}
