"""Authors send a template to themselves: a real message, through everything a real one goes through."""

from __future__ import annotations

import asyncio

import pytest

from clarion.model.setup import Scope

HELLO = {
    "channels": {
        "email": {"en": {"subject": "Hello {{ name }}", "text": "{{ user.id }}"}},
        "sms": {"en": {"text": "Hello {{ name }}"}},
    },
    "example_data": {"name": "Ada"},
}
TEST = "/v1/templates/hello/test"


async def came(admin, sent: dict) -> dict:
    """The message of a test, once it has an end."""
    for _ in range(200):
        answer = await admin("GET", f"/v1/messages/{sent['message_id']}")
        if answer.is_success and answer.json()["status"] not in ("queued", "sending"):
            return dict(answer.json())
        await asyncio.sleep(0.01)
    raise AssertionError("the test was never sent")


@pytest.fixture
async def hello(admin):
    """A live template that no workflow sends."""
    await admin.ok("PUT", "/v1/templates/hello", HELLO)


@pytest.mark.usefixtures("hello", "ada")
async def test_the_live_version_is_sent_with_its_example(admin):
    """It is a message like any other: with content, timeline and explanation."""
    sent = await admin.ok("POST", TEST, {"user_id": "ada", "channel": "email"})
    message = await came(admin, sent)
    assert (message["status"], message["content"]["subject"]) == ("sent", "Hello Ada")
    assert message["template"].startswith("~test:hello:")
    assert message["event_id"] == sent["event_id"]
    (kept,) = (await admin.ok("GET", "/v1/captures"))["items"]
    assert kept["message_id"] == sent["message_id"]
    assert kept["content"]["text"] == "ada"


@pytest.mark.usefixtures("hello", "ada")
async def test_a_draft_is_sent_and_stays_a_draft(admin):
    """Nothing goes live, and the message keeps its words when the draft changes or goes."""
    draft = {**HELLO, "channels": {"sms": {"en": {"text": "Draft for {{ name }}"}}}}
    await admin.ok("PUT", "/v1/templates/hello/draft", {"template": draft})
    body = {"user_id": "ada", "channel": "sms", "draft": True, "data": {"name": "Grace"}}
    sent = await admin.ok("POST", TEST, body)
    await came(admin, sent)
    await admin.ok("DELETE", "/v1/templates/hello/draft")
    assert (await came(admin, sent))["content"]["text"] == "Draft for Grace"
    assert (await admin.ok("GET", "/v1/templates/hello"))["version"] == 1
    keys = [one["key"] for one in (await admin.ok("GET", "/v1/templates"))["items"]]
    assert keys == ["hello", "paid"]
    assert [one["key"] for one in (await admin.ok("GET", "/v1/workflows"))["items"]] == ["order-paid"]


@pytest.mark.usefixtures("hello", "ada")
async def test_what_somebody_asks_for_is_not_held_back(admin):
    """Neither opt-out nor quiet hours stop it; a suppressed address does."""
    quiet = {"channels": {"sms": False}, "quiet_hours": [{"start": "00:00", "end": "00:00"}]}
    await admin.ok("PUT", "/v1/users/ada/preferences", quiet)
    body = {"user_id": "ada", "channel": "sms"}
    assert (await came(admin, await admin.ok("POST", TEST, body)))["status"] == "sent"
    await admin.ok("POST", "/v1/suppressions", {"channel": "sms", "address": "+4915112345678"})
    message = await came(admin, await admin.ok("POST", TEST, body))
    assert (message["status"], message["reason"]) == ("suppressed", "suppressed_address")


@pytest.mark.usefixtures("hello", "ada")
async def test_what_cannot_be_rendered_is_refused_at_once(admin):
    """The author hears it here, not from a failed message."""
    for body, pointer in (
        ({"data": {}, "channel": "sms"}, "#/channels/sms/en/text"),
        ({"channel": "push"}, "#/channels/push"),
    ):
        refused = await admin.problem("POST", TEST, {"user_id": "ada", **body})
        assert (refused["code"], refused["errors"][0]["pointer"]) == ("content_error", pointer)
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []


@pytest.mark.usefixtures("hello", "ada")
async def test_the_way_of_a_test_is_closed_to_everybody_else(clarion, admin):
    """No trigger starts it, nothing can be called like it, and sending needs an admin."""
    await came(admin, await admin.ok("POST", TEST, {"user_id": "ada", "channel": "sms"}))
    workflow = (await admin.ok("GET", "/v1/messages"))["items"][0]["workflow"]
    assert workflow.startswith("~test:hello:")
    trigger = {"workflow": workflow, "recipients": ["ada"], "data": {}}
    answer = await admin("POST", "/v1/events", trigger)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for path in ("templates", "workflows"):
        body = HELLO if path == "templates" else {"category": "orders", "steps": []}
        assert (await admin.problem("PUT", f"/v1/{path}/{workflow}", body))["errors"][0]["pointer"] == "#/key"
    sender = await clarion.client(Scope.SEND)
    refused = await sender.problem("POST", TEST, {"user_id": "ada", "channel": "sms"})
    assert refused["code"] == "forbidden"


@pytest.mark.usefixtures("hello", "ada")
async def test_tests_do_not_pile_up(clarion, admin, monkeypatch):
    """The same words are kept once, and only the newest trials of a tenant at all."""
    monkeypatch.setattr("clarion.services.test_sends.KEPT", 2)
    for text in ("one", "two", "two", "three"):
        draft = {"channels": {"sms": {"en": {"text": text}}}}
        await admin.ok("PUT", "/v1/templates/hello/draft", {"template": draft})
        sent = await admin.ok("POST", TEST, {"user_id": "ada", "channel": "sms", "draft": True})
        assert (await came(admin, sent))["status"] == "sent"
    kept = clarion.ledger.setup.test_templates.all(1).values()
    assert sorted(one.channels["sms"]["en"]["text"] for one in kept) == ["three", "two"]
