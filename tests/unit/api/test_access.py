"""Who may do what."""

from __future__ import annotations

import asyncio

import pytest
from litestar.routes import HTTPRoute

from clarion.model.setup import Scope
from clarion.services.api_keys import KEY_CHARS, well_formed
from tests.unit.api.conftest import ROUTES
from tests.unit.api.test_ingest import TRIGGER

OPEN = {"/healthz", "/readyz", "/metrics", "/docs", "/docs/errors", "/openapi.json"}


def handlers():
    """(path, handler) of every ordinary route."""
    return [
        (route.path, handler)
        for route in ROUTES.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if not route.path.startswith("/openapi.json/") and handler.handler_name != "options_handler"
    ]


def test_every_route_says_who_may_use_it():
    """A route without a scope would be a hole; only the ones for machines and readers need none."""
    unguarded = {path for path, handler in handlers() if handler.opt["scope"] is None}
    assert unguarded == OPEN


@pytest.mark.parametrize("path", ["/v1/events", TRIGGER, "/v1/users", "/v1/nothing", "/v1/keys"])
@pytest.mark.parametrize("credential", ["", "clr_short", "clr_" + "0" * 33, "Basic x", "a.b.c"])
async def test_without_a_valid_credential_nothing_is_answered(clarion, path, credential):
    """401 with a challenge, whatever the path, and not a word about what exists."""
    answer = await clarion.bearer(credential)("POST", path, {})
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_another_scheme_is_refused(clarion):
    """Only Bearer."""
    answer = await clarion.bearer("")("GET", "/v1/users", headers={"authorization": "Basic YTpi"})
    assert answer.status_code == 401
    assert "Bearer" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("scope", "may", "may_not"),
    [
        (
            Scope.READ,
            [("GET", "/v1/users")],
            [("PUT", "/v1/users/x"), ("POST", TRIGGER), ("GET", "/v1/keys")],
        ),
        (
            Scope.SEND,
            [("GET", "/v1/users"), ("PUT", "/v1/users/x")],
            [("PUT", "/v1/categories/x"), ("GET", "/v1/keys"), ("GET", "/v1/integrations")],
        ),
        (Scope.ADMIN, [("GET", "/v1/keys"), ("PUT", "/v1/categories/x"), ("PUT", "/v1/users/x")], []),
    ],
)
async def test_scopes_include_one_another_downwards(clarion, scope, may, may_not):
    """admin > send > read, and the refusal names what is needed."""
    client = await clarion.client(scope)
    for method, path in may:
        await client.ok(method, path, None if method == "GET" else {})
    for method, path in may_not:
        shown = await client.problem(method, path, None if method == "GET" else {})
        assert (shown["status"], shown["code"]) == (403, "forbidden")
        assert f"`{scope}`" in shown["detail"]


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(clarion, admin):
    """Create, use, list without the key, revoke: refused at once."""
    made = await admin.ok("POST", "/v1/keys", {"name": "shop", "scope": "send"})
    assert well_formed(made["key"])
    assert len(made["key"]) == KEY_CHARS
    client = clarion.bearer(made["key"])
    await client.ok("GET", "/v1/users")
    listed = await admin("GET", "/v1/keys")
    assert made["key"] not in listed.text
    assert made["id"] in {key["id"] for key in listed.json()["items"]}
    await admin.ok("DELETE", f"/v1/keys/{made['id']}")
    assert "revoked" in (await client.problem("GET", "/v1/users"))["detail"]
    assert (await client.problem("POST", "/v1/events", {}))["status"] == 401
    assert (await admin.problem("DELETE", f"/v1/keys/{made['id']}"))["status"] == 404


async def test_a_key_can_expire(clarion, admin):
    """Not before its time, and never with one that has passed."""
    past = {"name": "x", "scope": "read", "expires_at": "2020-01-01T00:00:00Z"}
    assert (await admin.problem("POST", "/v1/keys", past))["errors"][0]["pointer"] == "#/expires_at"
    soon = clarion.clock.now() + 200
    from clarion.rules.time_format import rfc3339

    made = await admin.ok("POST", "/v1/keys", {"name": "x", "scope": "read", "expires_at": rfc3339(soon)})
    client = clarion.bearer(made["key"])
    await client.ok("GET", "/v1/users")
    await asyncio.sleep(0.25)
    assert "expired" in (await client.problem("GET", "/v1/users"))["detail"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scope": "read"}, "#"),
        ({"name": "x", "scope": "root"}, "#/scope"),
        ({"name": "", "scope": "read"}, "#/name"),
    ],
)
async def test_a_key_needs_a_name_and_a_scope(admin, body, pointer):
    """Whoever revokes it later wants to know what it was for."""
    assert (await admin.problem("POST", "/v1/keys", body))["errors"][0]["pointer"] == pointer
