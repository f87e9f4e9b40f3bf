"""Templates are drafted, checked, published and rolled back without anybody being sent something broken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clarion.model.setup import Scope


def sms(text: str, **more: object) -> dict[str, object]:
    """A template that says `text`."""
    return {"channels": {"sms": {"en": {"text": text}}}, **more}


async def said(admin, **query: object) -> str:
    """What the live template says."""
    shown = await admin.ok("GET", "/v1/templates/hello", params=query)
    return str(shown["channels"]["sms"]["en"]["text"])


async def test_a_draft_may_be_broken_and_says_how(admin):
    """It is kept as it is, tells every finding, and changes nothing that is live."""
    await admin.ok("PUT", "/v1/templates/hello", sms("Hello"))
    saved = await admin.ok("PUT", "/v1/templates/hello/draft", {"template": sms("Hello {{ nam")})
    assert saved["template"]["channels"]["sms"]["en"]["text"] == "Hello {{ nam"
    assert saved["based_on"] == 1
    (finding,) = [one for one in saved["findings"] if one["severity"] == "error"]
    assert (finding["pointer"], finding["line"]) == ("#/channels/sms/en/text", 1)
    assert await admin.ok("GET", "/v1/templates/hello/draft") == saved
    assert await said(admin) == "Hello"


async def test_a_draft_with_errors_is_not_published(admin):
    """The refusal lists all of them, and the draft is still there."""
    await admin.ok("PUT", "/v1/templates/hello/draft", {"template": sms("{{ 1", default_locale="klingon!")})
    refused = await admin.problem("POST", "/v1/templates/hello/publish")
    assert (refused["status"], refused["code"]) == (422, "content_error")
    assert {one["pointer"] for one in refused["errors"]} == {"#/default_locale", "#/channels/sms/en/text"}
    assert (await admin.problem("GET", "/v1/templates/hello"))["code"] == "not_found"
    await admin.ok("GET", "/v1/templates/hello/draft")


async def test_a_channel_that_a_workflow_sends_on_cannot_be_left_out(admin):
    """Each of its messages would fail: the refusal names the workflow, the draft says so before, and first things first."""
    workflow: dict[str, Any] = {
        "category": "orders",
        "steps": [{"key": "s", "template": "hello", "to": {"mode": "all", "channels": ["sms", "in_app"]}}],
    }
    whole = {"sms": {"en": {"text": "Hello"}}, "in_app": {"en": {"title": "Hello"}}}
    await admin.ok("PUT", "/v1/templates/hello", {"channels": whole})
    await admin.ok("PUT", "/v1/workflows/greet", workflow)
    saved = await admin.ok("PUT", "/v1/templates/hello/draft", {"template": sms("Hello")})
    assert "channel_in_use" in {one["code"] for one in saved["findings"]}
    refused = await admin.problem("PUT", "/v1/templates/hello", sms("Hello"))
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, "#/channels")
    assert "'greet' sends it by in_app" in refused["errors"][0]["detail"]
    workflow["steps"][0]["to"]["mode"] = "first"  # passes over a channel without words
    await admin.ok("PUT", "/v1/workflows/greet", workflow)
    await admin.ok("PUT", "/v1/templates/hello", sms("Hello"))


async def test_publishing_a_draft_makes_it_the_next_version_and_ends_it(admin):
    """There is something to publish once."""
    await admin.ok("PUT", "/v1/templates/hello", sms("Hello"))
    await admin.ok("PUT", "/v1/templates/hello/draft", {"template": sms("Good day")})
    published = await admin.ok("POST", "/v1/templates/hello/publish")
    assert (published["template"]["version"], published["template"]["origin"]) == (2, "draft")
    assert await said(admin) == "Good day"
    for method, path in (("GET", "draft"), ("DELETE", "draft"), ("POST", "publish")):
        shown = await admin.problem(method, f"/v1/templates/hello/{path}")
        assert (shown["status"], "/draft" in shown["detail"]) == (404, True)


async def test_a_message_tells_which_words_it_was_planned_with(admin, ada):
    """The version that was live then, whatever is live now."""
    fields = {"sms": {"en": {"text": "Paid"}}, "email": {"en": {"subject": "Paid", "text": "Paid"}}}
    paid = {"channels": {**fields, "in_app": {"en": {"title": "Paid"}}}}
    live = await admin.ok("PUT", "/v1/templates/paid", paid)
    sent = await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {}})
    found: list[dict[str, object]] = []
    async with asyncio.timeout(5):
        while not found:
            found = (await admin.ok("GET", f"/v1/messages?event_id={sent['event_id']}"))["items"]
            await asyncio.sleep(0.01)
    await admin.ok("PUT", "/v1/templates/paid", paid)
    again = (await admin.ok("GET", f"/v1/messages?event_id={sent['event_id']}"))["items"]
    assert {(one["template"], one["template_version"]) for one in again} == {("paid", live["version"])}


async def test_two_people_do_not_overwrite_each_other(admin):
    """Who saves on top of what they have not seen is told so; who insists sends no condition."""
    path = "/v1/templates/hello/draft"
    new = {"if-none-match": "*"}
    first = (await admin("PUT", path, {"template": sms("Hello")}, headers=new)).headers["etag"]
    again = await admin("PUT", path, {"template": sms("Hallo")}, headers={"if-match": first})
    assert again.headers["etag"] not in ("", first)
    for seen in (new, {"if-match": first}):
        refused = await admin.problem("PUT", path, {"template": sms("Hi")}, headers=seen)
        assert (refused["status"], refused["code"]) == (412, "precondition_failed")
    assert (await admin("GET", path)).headers["etag"] == again.headers["etag"]
    await admin.ok("PUT", path, {"template": sms("Hi")})
    await admin.ok("DELETE", path)
    gone = {"if-match": again.headers["etag"]}
    assert (await admin.problem("PUT", path, {"template": sms("Ho")}, headers=gone))["status"] == 412


async def test_a_version_that_was_not_seen_is_not_replaced(admin):
    """By nobody: not by a document, a draft or a rollback; naming the live one shows that it was seen."""
    path = "/v1/templates/hello"
    new = {"if-none-match": "*"}
    assert (await admin("PUT", path, sms("one"), headers=new)).headers["etag"] == '"v1"'
    draft = (await admin("PUT", f"{path}/draft", {"template": sms("draft")}, headers=new)).headers["etag"]
    await admin.ok("PUT", path, sms("two"), headers={"if-match": '"v1"'})
    for method, where, body, seen in (
        ("PUT", path, sms("mine"), {"if-match": '"v1"'}),
        ("PUT", path, sms("mine"), new),
        ("POST", f"{path}/publish", None, {}),
        ("POST", f"{path}/publish", {"replaces": 2}, {"if-match": '"d1"'}),
        ("POST", f"{path}/rollback", {"version": 1}, {"if-match": '"v1"'}),
        ("DELETE", path, None, {"if-match": '"v1"'}),
        ("DELETE", f"{path}/draft", None, {"if-match": '"d1"'}),
    ):
        refused = await admin.problem(method, where, body, headers=seen)
        assert (refused["status"], refused["code"]) == (412, "precondition_failed"), (method, where)
    assert await said(admin) == "two"
    live = await admin.ok("POST", f"{path}/publish", {"replaces": 2}, headers={"if-match": draft})
    assert (live["template"]["version"], await said(admin)) == (3, "draft")
    begun = {"template": sms("begun from the first", version=1)}
    assert (await admin.ok("PUT", f"{path}/draft", begun))["based_on"] == 1
    assert "version 3 is live" in (await admin.problem("POST", f"{path}/publish"))["detail"]


async def test_of_many_who_save_at_once_one_succeeds(admin):
    """The others saw something that is no longer there."""
    path = "/v1/templates/hello/draft"
    answers = await asyncio.gather(
        *(
            admin("PUT", path, {"template": sms(f"Hello {n}")}, headers={"if-none-match": "*"})
            for n in range(5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]


async def test_rolling_back_publishes_an_old_version_anew(admin):
    """It gets the next number, so that history only grows; the list tells where each came from."""
    for text in ("one", "two"):
        await admin.ok("PUT", "/v1/templates/hello", sms(text))
    back = await admin.ok("POST", "/v1/templates/hello/rollback", {"version": 1})
    assert (back["template"]["version"], await said(admin)) == (3, "one")
    versions = (await admin.ok("GET", "/v1/templates/hello/versions"))["items"]
    assert [(v["version"], v["origin"], v["live"]) for v in versions] == [
        (3, "version 1", True),
        (2, "document", False),
        (1, "document", False),
    ]
    assert all(v["published_at"].endswith("Z") for v in versions)
    refused = await admin.problem("POST", "/v1/templates/hello/rollback", {"version": 9})
    assert (refused["status"], refused["errors"][0]["pointer"]) == (404, "#/version")


async def test_versions_come_in_pages_and_outlive_the_template(admin):
    """A deleted template can be looked up, and rolled back to."""
    for n in range(3):
        await admin.ok("PUT", "/v1/templates/hello", sms(f"words {n}"))
    await admin.ok("DELETE", "/v1/templates/hello")
    first = await admin.ok("GET", "/v1/templates/hello/versions?limit=2")
    rest = await admin.ok("GET", f"/v1/templates/hello/versions?limit=2&cursor={first['next_cursor']}")
    found = [(v["version"], v["live"]) for v in first["items"] + rest["items"]]
    assert found == [(3, False), (2, False), (1, False)]
    assert rest["next_cursor"] is None
    await admin.ok("POST", "/v1/templates/hello/rollback", {"version": 3})
    assert await said(admin) == "words 2"
    assert (await admin.problem("GET", "/v1/templates/nobody/versions"))["status"] == 404


async def test_what_clarion_counts_cannot_be_set(admin):
    """Version, origin, time and partials of a body are passed over: what was read can be sent back as it is."""
    body = sms(
        "Hello", version=40, origin="elsewhere", published_at="2020-01-01T00:00:00Z", partials={"x": "y"}
    )
    stored = await admin.ok("PUT", "/v1/templates/hello", body)
    assert (stored["version"], stored["origin"], stored["partials"]) == (1, "document", {})
    assert stored["published_at"] > "2020-01-02"


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SEND])
async def test_only_an_admin_changes_templates(clarion, admin, scope):
    """Reading takes less."""
    await admin.ok("PUT", "/v1/templates/hello/draft", {"template": sms("Hello")})
    other = await clarion.client(scope)
    await other.ok("GET", "/v1/templates/hello/draft")
    for method, path, body in (
        ("PUT", "draft", {"template": sms("Hi")}),
        ("DELETE", "draft", None),
        ("POST", "publish", None),
        ("POST", "rollback", {"version": 1}),
    ):
        shown = await other.problem(method, f"/v1/templates/hello/{path}", body)
        assert shown["code"] == "forbidden"
