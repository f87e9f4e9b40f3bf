"""`dry_run=true`: the same checks, the same answer, what would change field by field, and nothing stored."""

from __future__ import annotations

from typing import Any

import pytest

from clarion.api import openapi
from tests.unit.api.conftest import ACME, ROUTES

STEP = {"key": "a", "template": "paid", "to": {"mode": "all", "channels": ["sms"]}}
WRITES: tuple[tuple[str, str, Any, str], ...] = (
    ("PUT", "/v1/categories/news", {"name": "News"}, "/v1/categories/news"),
    ("PUT", "/v1/categories/orders", {"name": "Orders"}, "/v1/categories/orders"),
    ("PUT", "/v1/workflows/w", {"category": "orders", "steps": [STEP]}, "/v1/workflows/w"),
    ("PUT", "/v1/templates/t", {"channels": {"sms": {"en": {"text": "a"}}}}, "/v1/templates/t"),
    ("PUT", "/v1/templates/t/draft", {"template": {"channels": {}}}, "/v1/templates/t/draft"),
    ("PUT", "/v1/partials/p", {"source": "a"}, "/v1/partials/p"),
    ("PUT", "/v1/integrations/i", {"channel": "sms", "provider": "capture"}, "/v1/integrations/i"),
    ("PUT", "/v1/topics/n", {"name": "N"}, "/v1/topics/n"),
    ("PUT", "/v1/objects/team/n", {"name": "N"}, "/v1/objects/team/n"),
    ("PUT", "/v1/users/zoe", {"email": "zoe@example.com"}, "/v1/users/zoe"),
    ("PATCH", "/v1/users/ada", {"locale": "fr"}, "/v1/users/ada"),
    ("PATCH", "/v1/tenant", {"name": "Acme"}, "/v1/tenant"),
    ("PUT", "/v1/users/ada/preferences", {"channels": {"sms": False}}, "/v1/users/ada/preferences"),
    ("POST", "/v1/users/ada/contacts", {"channel": "sms", "address": "+4915112345679"}, "/v1/users/ada/contacts"),
    ("POST", "/v1/keys", {"name": "k", "scope": "read"}, "/v1/keys"),
    ("POST", "/v1/endpoints", {"url": "https://hooks.example/x"}, "/v1/endpoints"),
    ("DELETE", "/v1/integrations/main-sms", None, "/v1/integrations/main-sms"),
    ("DELETE", "/v1/users/ada", None, "/v1/users/ada"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "look"), WRITES, ids=lambda value: str(value)[:30])
async def test_a_dry_run_answers_like_the_call_and_stores_nothing(
    clarion, admin, ada, method, path, body, look
):
    """And then the call itself does what was said."""
    before = await admin("GET", look)
    dry = await admin(method, path, body, params={"dry_run": "true"})
    assert dry.is_success, dry.text
    assert dry.json()["dry_run"] is True
    after = await admin("GET", look)
    assert (after.status_code, after.text) == (before.status_code, before.text)
    assert "etag" not in dry.headers
    real = await admin(method, path, body)
    assert real.is_success, real.text
    told = dry.json().keys() - {"dry_run", "changes"}
    assert told == (real.json().keys() if real.content else set())
    assert (await clarion.ledger.users.find(ACME, ["ada"])) or method == "DELETE"


async def test_what_would_change_is_told_field_by_field(admin, ada):
    """With both values; what stays is not mentioned; a resource that would be new or gone is told whole."""
    dry = await admin.ok(
        "PATCH", "/v1/users/ada?dry_run=true", {"locale": "fr", "attributes": {"plan": "pro"}}
    )
    changes = {one["field"]: (one["before"], one["after"]) for one in dry["changes"]}
    assert changes["locale"] == ("en", "fr")
    assert changes["attributes"] == ({}, {"plan": "pro"})
    assert {"email", "phone", "contacts"}.isdisjoint(changes)
    new = await admin.ok("PUT", "/v1/categories/news?dry_run=true", {"name": "News"})
    assert {"field": "name", "before": None, "after": "News"} in new["changes"]
    gone = await admin.ok("DELETE", "/v1/users/ada?dry_run=true")
    assert {"field": "email", "before": "ada@example.com", "after": None} in gone["changes"]
    assert (await admin.ok("GET", "/v1/users/ada"))["email"] == "ada@example.com"
    same = await admin.ok("PATCH", "/v1/tenant?dry_run=true", {})
    assert same["changes"] == []


async def test_a_dry_run_is_refused_like_the_call(admin, ada):
    """Unknown fields, missing things, conditions that do not hold."""
    for method, path, body, headers, code in (
        ("PUT", "/v1/categories/x", {"nme": 1}, {}, "invalid_request"),
        ("DELETE", "/v1/categories/orders", None, {}, "conflict"),
        ("DELETE", "/v1/topics/none", None, {}, "not_found"),
        ("PATCH", "/v1/users/ada", {"locale": "fr"}, {"if-match": '"x0"'}, "precondition_failed"),
    ):
        shown = await admin.problem(method, f"{path}?dry_run=true", body, headers=headers)
        assert shown["code"] == code, path


async def test_what_cannot_be_undone_has_no_dry_run(admin, ada):
    """It is refused, never done: nobody gets a token or a message from it. Nor does a read take it."""
    for method, path, body in (
        ("POST", "/v1/users/ada/tokens", {}),
        ("POST", "/v1/templates/paid/test", {"user_id": "ada"}),
        ("GET", "/v1/users/ada", None),
    ):
        shown = await admin.problem(method, f"{path}?dry_run=true", body)
        assert shown["errors"][0]["parameter"] == "dry_run"
    for value in ("yes", "", "1"):
        shown = await admin.problem("PUT", f"/v1/categories/x?dry_run={value}", {})
        assert shown["errors"][0]["allowed"] == ["true", "false"]
    await admin.ok("PUT", "/v1/categories/x?dry_run=false", {})
    await admin.ok("GET", "/v1/categories/x")


async def test_nobody_is_told_of_a_dry_run(clarion, admin, ada):
    """No device is disconnected by an erasure that does not happen, and the person's key is still there."""
    told: list[object] = []
    clarion.fanout.subscribe(told.extend)
    await admin.ok("DELETE", "/v1/users/ada?dry_run=true")
    await admin.ok("POST", "/v1/users/ada/inbox/mark?dry_run=true", {"action": "read", "filter": {}})
    assert told == []
    found = await clarion.ledger.users.find(ACME, ["ada"])
    assert found["ada"].profile.contacts


def test_every_write_says_whether_it_can_be_rehearsed():
    """In the description of the API."""
    for path, method, operation in openapi.operations(openapi.whole(ROUTES)):
        if method in ("put", "patch", "delete") and path.startswith("/v1"):
            assert "dry_run" in {one["name"] for one in operation["parameters"]}, path
