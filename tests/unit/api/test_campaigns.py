"""Campaigns over HTTP: drafts, previews, and how far they are."""

from __future__ import annotations

import pytest

from clarion.model.setup import Scope
from clarion.rules.time_format import rfc3339

SMS = {"mode": "all", "channels": ["sms"]}
SALE = {"workflow": "sale", "audience": {"topic": "readers"}, "data": {"id": "1"}}


@pytest.fixture
async def sender(clarion, admin):
    """A workflow, a topic with two members, and a key that may send."""
    steps = [{"key": "tell", "template": "paid", "to": SMS}]
    await admin.ok("PUT", "/v1/workflows/sale", {"category": "orders", "steps": steps})
    for name in ("ada", "bob"):
        await admin.ok("PUT", f"/v1/users/{name}", {"phone": "+4915112345678"})
    await admin.ok("PUT", "/v1/topics/readers", {})
    await admin.ok("POST", "/v1/topics/readers/subscriptions", {"user_ids": ["ada", "bob"]})
    return await clarion.client(Scope.SEND)


async def until(clarion, admin, path, *statuses):
    """The campaign, once it is there."""
    shown: dict[str, object] = {}
    for _ in range(500):
        shown = await admin.ok("GET", path)
        if shown["status"] in statuses:
            return shown
        await clarion.clock.sleep(0.02)
    raise AssertionError(shown)


async def test_a_campaign_goes_from_draft_to_done(clarion, admin, sender):
    """Its messages are those of its event; it is listed, and deleted when it is over."""
    draft = await admin.ok("POST", "/v1/campaigns", {**SALE, "name": "Spring"})
    assert (draft["name"], draft["status"], draft["event_id"], draft["lane"]) == (
        "Spring",
        "draft",
        None,
        "bulk",
    )
    assert draft["actions"] == ["start", "cancel"]
    path = f"/v1/campaigns/{draft['id']}"
    seen = await sender.ok("POST", f"{path}/preview")
    assert (seen["recipients"], seen["sampled"], seen["not_sent"]) == (2, 2, {})
    assert sum(seen["channels"].values()) == 2
    rehearsed = await sender.ok("POST", f"{path}/start?dry_run=true")
    assert rehearsed["status"] == "running"
    assert (await admin.ok("GET", path))["status"] == "draft"
    await sender.ok("POST", f"{path}/start")
    done = await until(clarion, admin, path, "done", "partly_failed")
    assert done["members_planned"] == done["counts"]["planned"] == 2
    assert done["counts"]["waiting"] == 0
    messages = (await admin.ok("GET", f"/v1/messages?event_id={done['event_id']}"))["items"]
    assert {one["user_id"] for one in messages} == {"ada", "bob"}
    assert {one["campaign_id"] for one in messages} == {draft["id"]}
    assert (await admin.ok("GET", f"/v1/messages?campaign_id={draft['id']}"))["items"] == messages
    assert (await admin.problem("GET", f"/v1/messages?campaign_id={done['event_id']}"))["status"] == 404
    assert (await admin.problem("GET", "/v1/messages?campaign_id=spring"))["status"] == 400
    other = await admin.ok("POST", "/v1/campaigns", SALE)
    assert (await admin.ok("GET", f"/v1/messages?campaign_id={other['id']}"))["items"] == []
    await admin.ok("DELETE", f"/v1/campaigns/{other['id']}")
    assert [one["id"] for one in (await sender.ok("GET", "/v1/campaigns"))["items"]] == [draft["id"]]
    assert (await sender.ok("GET", "/v1/campaigns?status=paused"))["items"] == []
    answer = await sender("POST", f"{path}/retry-failed")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/operations/{answer.json()['id']}"
    await admin.ok("DELETE", path)
    assert (await admin.problem("GET", path))["status"] == 404


async def test_a_campaign_waits_for_its_time_and_can_be_paused(clarion, admin, sender):
    """With a rate it says when it will be over."""
    later = {**SALE, "send_at": "2099-01-01T00:00:00Z", "rate_per_s": 1}
    draft = await admin.ok("POST", "/v1/campaigns", later)
    path = f"/v1/campaigns/{draft['id']}"
    refused = await sender.problem("POST", f"{path}/start")
    assert refused["errors"][0]["pointer"] == "#/send_at"
    at = clarion.clock.now() + 86_400_000
    await admin.ok("PATCH", path, {"send_at": rfc3339(at)})
    started = await sender.ok("POST", f"{path}/start")
    assert (started["status"], started["eta"]) == ("scheduled", rfc3339(at + 1_000))
    assert (await sender.problem("POST", f"{path}/start"))["status"] == 409
    assert (await admin.problem("PATCH", path, {"data": {"id": "2"}}))["status"] == 409
    assert (await admin.ok("PATCH", path, {"rate_per_s": 2}))["rate_per_s"] == 2
    paused = await sender.ok("POST", f"{path}/pause")
    assert (paused["status"], paused["actions"]) == ("paused", ["resume", "cancel", "retry-failed"])
    assert (await sender.ok("POST", f"{path}/pause"))["updated_at"] == paused["updated_at"]
    assert (await sender.ok("POST", f"{path}/resume"))["status"] == "scheduled"
    assert (await sender.problem("POST", f"{path}/resume"))["status"] == 409
    assert (await admin.problem("DELETE", path))["status"] == 409
    assert (await sender.ok("POST", f"{path}/cancel"))["status"] == "canceled"
    assert (await sender.ok("POST", f"{path}/cancel"))["status"] == "canceled"


async def test_what_a_campaign_cannot_do_is_refused(admin, sender):
    """With the field, and the name that was probably meant."""
    for change, pointer, code in (
        ({"workflow": "sail"}, "#/workflow", "invalid_request"),
        ({"audience": {}}, "#/audience", "invalid_request"),
        ({"audience": {"topic": "readers", "user_ids": ["ada"]}}, "#/audience", "invalid_request"),
        ({"audience": {"topic": "reader"}}, "#/audience/topic", "unknown_reference"),
        ({"audience": {"user_ids": []}}, "#/audience/user_ids", "invalid_request"),
        ({"audience": {"user_ids": ["ada", "bobb"]}}, "#/audience/user_ids/1", "unknown_reference"),
        ({"rate_per_s": 0}, "#/rate_per_s", "invalid_request"),
        ({"test_share": 1}, "#/test_share", "invalid_request"),
        ({"send_at_local": "tomorrow"}, "#/send_at_local", "invalid_request"),
        (
            {"send_at": "2030-01-01T00:00:00Z", "send_at_local": "2030-01-01T00:00"},
            "#/send_at_local",
            "invalid_request",
        ),
    ):
        refused = await admin.problem("POST", "/v1/campaigns", {**SALE, **change})
        assert refused["code"] == code, refused
        assert refused["errors"][0]["pointer"] == pointer, refused
    assert (await sender.problem("POST", "/v1/campaigns", SALE))["status"] == 403
    for path in ("/v1/campaigns/x", "/v1/campaigns/01b00000-0000-7000-8000-000000000000"):
        assert (await admin.problem("GET", path))["status"] == 404
    assert (await admin.ok("GET", "/v1/campaigns"))["items"] == []
