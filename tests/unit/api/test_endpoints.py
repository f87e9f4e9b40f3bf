"""Endpoints over the API: shown without their secrets, called, looked into, sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from clarion.model.setup import Scope
from clarion.testing.scripted_server import Answer, ScriptedServer, scripted_server
from tests.unit.api.conftest import OTHER

HOOK = {"channels": {"webhook": {"en": {"type": "order.shipped", "body": '{"id": {{ data.id|tojson }}}'}}}}
SHIPPED = {
    "category": "orders",
    "on": {"type": "order.shipped"},
    "steps": [{"key": "tell", "template": "shipped", "to": {"mode": "all", "channels": ["webhook"]}}],
}
NOBODY = "01997b1c-0000-7000-8000-000000000000"


@pytest.fixture
async def shop(admin, ada) -> AsyncIterator[ScriptedServer]:
    """A receiver, and a workflow that tells ada's endpoints."""
    await admin.ok("PUT", "/v1/templates/shipped", HOOK)
    await admin.ok("PUT", "/v1/workflows/shipped", SHIPPED)
    await admin.ok("PUT", "/v1/integrations/hooks", {"channel": "webhook", "provider": "webhook"})
    async with scripted_server() as there:
        yield there


async def created(admin, url: str = "https://shop.example/hook", **more: Any) -> dict[str, Any]:
    """A new endpoint of ada's."""
    made: dict[str, Any] = await admin.ok("POST", "/v1/endpoints", {"url": url, "user_id": "ada", **more})
    return made


async def delivered(admin, endpoint: dict[str, Any], calls: int) -> list[dict[str, Any]]:
    """The log of an endpoint once it has that many calls."""
    page: dict[str, Any] = {}
    for _ in range(200):
        page = await admin.ok("GET", f"/v1/endpoints/{endpoint['id']}/deliveries")
        if len(page["items"]) >= calls:
            return list(page["items"])
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(page['items'])} calls")


async def shipped(admin) -> None:
    """Something happens."""
    await admin.ok("POST", "/v1/workflows/shipped/trigger", {"recipients": ["ada"], "data": {"id": 7}})


async def test_a_secret_is_shown_once(admin, ada):
    """On creation and after a rotation; no other answer has it."""
    made = await created(admin, events=["order.*"], description="warehouse")
    assert made["secret"].startswith("whsec_")
    path = f"/v1/endpoints/{made['id']}"
    plain = await admin.ok("GET", path)
    assert plain == {name: value for name, value in made.items() if name != "secret"}
    assert plain["enabled"]
    rotated = await admin.ok("POST", f"{path}/rotate-secret")
    assert rotated["secret"] not in ("", made["secret"])
    listed = await admin("GET", "/v1/endpoints")
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in listed.text
        assert secret not in (await admin("GET", "/v1/users/ada")).text


async def test_a_secret_that_the_receiver_has_can_be_brought_along(admin, ada):
    """For those who move from another sender."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert (await created(admin, secret=secret))["secret"] == secret
    refused = await admin.problem("POST", "/v1/endpoints", {"url": "https://a.example/", "secret": "hunter2"})
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/secret")
    assert "hunter2" not in str(refused)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "https://10.0.0.8/",
        "https://127.0.0.2/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://0x7f000001/",
        "https://017700000001/",
        "https://vault.internal/",
        "https://user:pass@shop.example/",
        "https://shop.example\\@10.0.0.8/",
        "javascript:alert(1)",
        "shop.example",
        "",
    ],
)
async def test_a_url_that_leads_inside_is_refused_at_the_door(admin, ada, url):
    """Names are looked up; the answer says where the mistake is. So it is when a URL is changed."""
    refused = await admin.problem("POST", "/v1/endpoints", {"url": url, "user_id": "ada"})
    assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/url")
    made = await created(admin)
    await admin.problem("PUT", f"/v1/endpoints/{made['id']}", {"url": url})
    assert (await admin.ok("GET", f"/v1/endpoints/{made['id']}"))["url"] == "https://shop.example/hook"


async def test_endpoints_are_listed_page_by_page_and_by_user(admin, ada):
    """Newest first. Those of the tenant itself have no user."""
    await admin.ok("PUT", "/v1/users/grace", {})
    mine = [(await created(admin))["id"] for _ in range(3)]
    theirs = (await created(admin, user_id="grace"))["id"]
    own = await admin.ok("POST", "/v1/endpoints", {"url": "https://shop.example/all"})
    assert own["user_id"] is None
    first = await admin.ok("GET", "/v1/endpoints", params={"limit": 2})
    rest = await admin.ok("GET", "/v1/endpoints", params={"cursor": first["next_cursor"]})
    assert [one["id"] for one in first["items"] + rest["items"]] == [own["id"], theirs, *reversed(mine)]
    of_grace = await admin.ok("GET", "/v1/endpoints", params={"user_id": "grace"})
    assert [one["id"] for one in of_grace["items"]] == [theirs]


async def test_an_endpoint_is_changed_switched_and_deleted(admin, ada):
    """Each answer shows it as it is now."""
    made = await created(admin)
    path = f"/v1/endpoints/{made['id']}"
    changed = await admin.ok("PUT", path, {"url": "https://new.example/", "events": ["*.paid"]})
    assert (changed["url"], changed["events"], changed["id"]) == (
        "https://new.example/",
        ["*.paid"],
        made["id"],
    )
    off = await admin.ok("POST", f"{path}/disable")
    assert (off["enabled"], off["disabled_reason"]) == (False, "by_hand")
    on = await admin.ok("POST", f"{path}/enable")
    assert (on["enabled"], on["disabled_at"]) == (True, None)
    await admin.ok("DELETE", path)
    assert (await admin.problem("GET", path))["code"] == "not_found"
    assert (await admin.problem("DELETE", path))["code"] == "not_found"


async def test_replacing_a_user_leaves_their_endpoints(admin, ada):
    """They are a resource of their own."""
    made = await created(admin)
    await admin.ok("PUT", "/v1/users/ada", {"email": "new@example.com"})
    await admin.ok("PATCH", "/v1/users/ada", {"locale": "fr"})
    await admin.ok("GET", f"/v1/endpoints/{made['id']}")


async def test_another_tenant_sees_none_of_it(admin, ada, clarion):
    """Whatever it asks for."""
    made = await created(admin)
    other = await clarion.client(Scope.ADMIN, OTHER)
    assert (await other.ok("GET", "/v1/endpoints"))["items"] == []
    for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("GET", "/deliveries")):
        refused = await other.problem(method, f"/v1/endpoints/{made['id']}{tail}")
        assert refused["code"] == "not_found"


async def test_a_read_key_looks_and_changes_nothing(admin, ada, clarion):
    """Secrets are for those who may send."""
    made = await created(admin)
    reader = await clarion.client(Scope.READ)
    await reader.ok("GET", f"/v1/endpoints/{made['id']}/deliveries")
    for method, tail in (("POST", "/rotate-secret"), ("POST", "/disable"), ("DELETE", "")):
        assert (await reader.problem(method, f"/v1/endpoints/{made['id']}{tail}"))["status"] == 403


@pytest.mark.parametrize("unknown", [NOBODY, "nonsense"])
async def test_an_endpoint_that_is_not_there_is_not_found(admin, unknown):
    """In every way of asking for it."""
    for method, tail, body in (
        ("GET", "", None),
        ("PUT", "", {"url": "https://shop.example/"}),
        ("POST", "/rotate-secret", None),
        ("POST", "/retry", {"since": "2026-01-01T00:00:00Z"}),
        ("POST", "/retry", {"ids": [NOBODY]}),
    ):
        refused = await admin.problem(method, f"/v1/endpoints/{unknown}{tail}", body)
        assert refused["code"] == "not_found", (method, tail)


async def test_a_delivery_shows_both_sides(admin, shop):
    """What was sent verifies with the secret that was shown; what was answered is there to read."""
    shop.otherwise = Answer.text(200, "thanks")
    made = await created(admin, f"{shop.url}/hook")
    await shipped(admin)
    (call,) = await delivered(admin, made, 1)
    (request,) = shop.requests
    assert Webhook(made["secret"]).verify(request.body, request.headers)["data"] == {"id": 7}
    assert call["ok"]
    assert call["request"]["url"] == f"{shop.url}/hook"
    assert call["request"]["body"] == request.body.decode()
    assert "webhook-signature" not in call["request"]["headers"]
    assert call["response"] == {
        "status": 200,
        "headers": {"content-type": "text/plain"},
        "body": "thanks",
        "cut": False,
    }
    detail = await admin.ok("GET", f"/v1/messages/{call['message_id']}")
    assert detail["status"] == "sent"


async def test_failed_deliveries_are_found_and_sent_again(admin, shop):
    """By hand one by one, or all since a time; what was accepted is left alone."""
    shop.otherwise = Answer(status=410)
    made = await created(admin, shop.url)
    path = f"/v1/endpoints/{made['id']}"
    await shipped(admin)
    (call,) = await delivered(admin, made, 1)
    failed = await admin.ok("GET", f"{path}/deliveries", params={"status": "failed"})
    assert [one["message_id"] for one in failed["items"]] == [call["message_id"]]
    assert (await admin.ok("GET", f"{path}/deliveries", params={"status": "succeeded"}))["items"] == []
    for query, count in (("since=2020-01-01T00:00:00Z", 1), ("until=2020-01-01T00:00:00Z", 0)):
        assert len((await admin.ok("GET", f"{path}/deliveries?{query}"))["items"]) == count
    off = await admin.ok("GET", path)
    assert off["disabled_reason"] == "address_gone"
    retry, these = f"{path}/retry", {"ids": [call["message_id"]]}
    assert (await admin.problem("POST", retry, these))["code"] == "conflict"
    await admin.ok("POST", f"{path}/enable")
    shop.otherwise = Answer(status=204)
    assert await admin.ok("POST", retry, these) == {"retried": 1, "more": False}
    again, _ = await delivered(admin, made, 2)
    assert (again["ok"], again["message_id"]) == (True, call["message_id"])
    assert (await admin.problem("POST", retry, these))["code"] == "conflict"
    assert await admin.ok("POST", f"{path}/retry", {"since": "2026-01-01T00:00:00Z"}) == {
        "retried": 0,
        "more": False,
    }


async def test_messages_missed_while_disabled_are_retried(admin, shop):
    """Suppressed with a reason, and not lost."""
    made = await created(admin, shop.url)
    path = f"/v1/endpoints/{made['id']}"
    await admin.ok("POST", f"{path}/disable")
    await shipped(admin)
    page: dict[str, Any] = {"items": []}
    for _ in range(100):
        page = await admin.ok("GET", "/v1/messages", params={"channel": "webhook"})
        if page["items"]:
            break
        await asyncio.sleep(0.02)
    assert [(one["status"], one["reason"]) for one in page["items"]] == [("suppressed", "endpoint_disabled")]
    await admin.ok("POST", f"{path}/enable")
    assert (await admin.ok("POST", f"{path}/retry", {"since": made["created_at"]}))["retried"] == 1
    (call,) = await delivered(admin, made, 1)
    assert call["ok"]


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["x"]}, {"since": "2026-01-01T00:00:00Z", "ids": [NOBODY]}]
)
async def test_a_retry_names_messages_or_a_time(admin, shop, body):
    """Never everything by mistake."""
    made = await created(admin, shop.url)
    assert (await admin.problem("POST", f"/v1/endpoints/{made['id']}/retry", body))[
        "code"
    ] == "invalid_request"


async def test_a_filter_that_would_never_hear_anything_is_refused(admin, ada):
    """Types are keys of workflows or what workflows listen to; what an endpoint has already may stay."""
    body = {
        "user_id": "ada",
        "url": "https://shop.example/hooks",
        "events": ["order.*", "ordr.paid", "x.*.z"],
    }
    shown = await admin.problem("POST", "/v1/endpoints", body)
    assert (shown["status"], shown["code"]) == (422, "unknown_reference")
    assert [(e["pointer"], e.get("did_you_mean")) for e in shown["errors"]] == [
        ("#/events/1", "order.paid"),
        ("#/events/2", None),
    ]
    heard = ["order.*", "order-paid", "clarion.endpoint.disabled", "*"]
    made = await admin.ok("POST", "/v1/endpoints", {**body, "events": heard})
    await admin.ok("DELETE", "/v1/workflows/order-paid")
    path = f"/v1/endpoints/{made['id']}"
    changed = {"url": body["url"], "events": heard}
    assert (await admin.ok("PUT", path, changed))["events"] == heard
    changed = {"url": body["url"], "events": ["order.paid"]}
    assert (await admin.problem("PUT", path, changed))["errors"][0]["pointer"] == "#/events/0"


async def test_an_endpoint_of_a_misspelt_user_is_refused_with_the_nearest(admin, ada):
    """422 at the name; the same for previews and tests of templates."""
    shown = await admin.problem("POST", "/v1/endpoints", {"user_id": "adda", "url": "https://shop.example"})
    assert (shown["code"], shown["errors"][0]["pointer"]) == ("unknown_reference", "#/user_id")
    assert shown["errors"][0]["did_you_mean"] == "ada"


async def test_a_patch_changes_what_it_names(admin, ada):
    """Null is back to the default; the whole is checked as for a PUT."""
    made = await created(admin, events=["order.*"], description="warehouse")
    path = f"/v1/endpoints/{made['id']}"
    plain = {name: value for name, value in made.items() if name != "secret"}
    assert await admin.ok("PATCH", path, {"description": None}) == {**plain, "description": None}
    assert (await admin.ok("PATCH", path, {"events": None}))["events"] == []
    for wrong in ({"url": None}, {"url": "nowhere"}, {"descripton": "x"}, {"events": ["*.*"] * 200}):
        assert (await admin.problem("PATCH", path, wrong))["code"] == "invalid_request"
    assert (await admin.ok("GET", path))["url"] == made["url"]
    other = made["id"][:-1] + ("0" if made["id"].endswith("f") else "f")
    gone = await admin.problem("PATCH", f"/v1/endpoints/{other}", {"events": None})
    assert gone["code"] == "not_found"
