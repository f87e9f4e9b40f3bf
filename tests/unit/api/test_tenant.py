"""A tenant's defaults and limits can be read and changed; nothing that cannot work is stored."""

from __future__ import annotations

import asyncio

import pytest

from clarion.model.setup import Scope


async def test_what_is_changed_is_changed_and_the_rest_stays(admin):
    """A merge patch: null restores the default."""
    before = await admin.ok("GET", "/v1/tenant")
    assert (before["key"], before["locale"], before["sms_segments"]) == ("acme", "en", 0)
    change = {
        "required_locales": ["en", "de"],
        "sms_segments": 2,
        "name": "Acme",
    }
    after = await admin.ok("PATCH", "/v1/tenant", change)
    assert after == {**before, **change}
    assert await admin.ok("GET", "/v1/tenant") == after
    again = await admin.ok("PATCH", "/v1/tenant", {"sms_segments": None})
    assert again["sms_segments"] == 0
    assert again["required_locales"] == ["en", "de"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"key": "other"}, "#/key"),
        ({"locale": "klingon!"}, "#/locale"),
        ({"timezone": "Mars/Olympus"}, "#/timezone"),
        ({"required_locales": ["en", "!"]}, "#/required_locales/1"),
        ({"sms_segments": -1}, "#/sms_segments"),
        ({"sms_segments": 256}, "#/sms_segments"),
        ({"caps": [{"limit": 0, "window_s": 5}]}, "#/caps/0"),
        ({"sms_segment": 3}, "#/sms_segment"),
    ],
)
async def test_what_cannot_work_is_refused_at_its_place(admin, change, pointer):
    """And nothing is changed."""
    before = await admin.ok("GET", "/v1/tenant")
    refused = await admin.problem("PATCH", "/v1/tenant", change)
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, pointer)
    assert await admin.ok("GET", "/v1/tenant") == before


async def test_a_tenant_sees_and_changes_itself_only(clarion, admin):
    """And only an admin changes it."""
    other = await clarion.client(Scope.ADMIN, tenant=2)
    await other.ok("PATCH", "/v1/tenant", {"name": "Other"})
    assert (await admin.ok("GET", "/v1/tenant"))["name"] is None
    sender = await clarion.client(Scope.SEND)
    assert (await sender.problem("PATCH", "/v1/tenant", {"name": "x"}))["code"] == "forbidden"


async def test_changes_at_the_same_time_are_all_kept(admin):
    """Two people who change different fields, or different rows of one, do not undo each other's work."""
    changes = [
        {"name": "Acme"},
        {"locale": "de"},
        {"sms_segments": 3},
        *({"channels": {channel: False}} for channel in ("sms", "push", "voice")),
    ]
    await asyncio.gather(*(admin.ok("PATCH", "/v1/tenant", change) for change in changes))
    after = await admin.ok("GET", "/v1/tenant")
    assert (after["name"], after["locale"], after["sms_segments"]) == ("Acme", "de", 3)
    assert sorted(after["channels"]) == ["push", "sms", "voice"]
