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


THROUGH = "/v1/integrations/{}/test"


async def test_an_integration_is_tested_with_the_address_that_was_typed_in(clarion, admin):
    """Through this integration and no other, whatever the weights say; the address belongs to a user of the test's own."""
    body = {"channel": "sms", "provider": "capture", "weight": 0}
    await admin.ok("PUT", "/v1/integrations/spare", body)
    sent = message = {}
    for _ in range(8):
        sent = await admin.ok("POST", THROUGH.format("spare"), {"to": "+491511234567"})
        message = await came(admin, sent)
        assert (message["status"], message["integration"], message["user_id"]) == (
            "sent",
            "spare",
            sent["user_id"],
        )
    assert sent["user_id"].startswith("$test:spare:")
    assert sent["callback_url"] is None
    kept = (await admin.ok("GET", "/v1/captures?limit=1"))["items"][0]
    assert (kept["integration"], kept["to"]) == ("spare", "+491511234567")
    assert kept["content"]["text"].endswith("through the integration spare.")
    assert "+49" not in message["workflow"] + message["template"] + sent["user_id"]


@pytest.mark.usefixtures("hello", "ada")
async def test_an_integration_is_tested_with_a_template_and_a_user(admin):
    """The user's own contacts, the template's words and example."""
    body: dict = {"user_id": "ada", "template": "hello"}
    message = await came(admin, await admin.ok("POST", THROUGH.format("main-email"), body))
    assert (message["content"]["subject"], message["integration"]) == ("Hello Ada", "main-email")
    body |= {"data": {"name": "Grace"}}
    message = await came(admin, await admin.ok("POST", THROUGH.format("main-sms"), body))
    assert message["content"]["text"] == "Hello Grace"


async def test_every_channel_has_a_test_message(admin):
    """One that can be rendered as it is."""
    for channel, to in (
        ("email", "ada@example.com"),
        ("push", "token"),
        ("chat", "https://chat.example/hook"),
        ("webhook", "https://shop.example/hook"),
        ("voice", "+4915112345678"),
    ):
        await admin.ok("PUT", f"/v1/integrations/new-{channel}", {"channel": channel, "provider": "capture"})
        sent = await admin.ok("POST", THROUGH.format(f"new-{channel}"), {"to": to})
        assert (await came(admin, sent))["status"] == "sent", channel


@pytest.mark.usefixtures("ada")
async def test_an_inbox_is_tested_with_a_user(admin):
    """An inbox has no address."""
    sent = await admin.ok("POST", THROUGH.format("main-in_app"), {"user_id": "ada"})
    assert (await came(admin, sent))["status"] == "delivered"
    refused = await admin.problem("POST", THROUGH.format("main-in_app"), {"to": "ada"})
    assert refused["errors"][0]["pointer"] == "#/to"


@pytest.mark.usefixtures("hello", "ada")
async def test_a_test_of_an_integration_that_cannot_work_is_refused(admin):
    """With the place and what to do; nothing is sent."""
    off = {"channel": "sms", "provider": "capture", "enabled": False}
    await admin.ok("PUT", "/v1/integrations/off", off)
    await admin.ok("PUT", "/v1/integrations/chat", {"channel": "chat", "provider": "capture"})
    phone = "+4915112345678"
    for key, body, code, pointer in (
        ("off", {"to": phone}, "conflict", None),
        ("main-smss", {"to": phone}, "not_found", None),
        ("main-sms", {}, "invalid_request", "#"),
        ("main-sms", {"to": phone, "user_id": "ada"}, "invalid_request", "#"),
        ("main-sms", {"to": "0151"}, "invalid_request", "#/to"),
        ("main-sms", {"user_id": "adda"}, "unknown_reference", "#/user_id"),
        ("main-sms", {"to": phone, "template": "helo"}, "unknown_reference", "#/template"),
        ("chat", {"to": "x", "template": "hello"}, "invalid_request", "#/template"),
    ):
        refused = await admin.problem("POST", THROUGH.format(key), body)
        assert refused["code"] == code, refused
        if pointer is not None:
            assert refused["errors"][0]["pointer"] == pointer
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []


async def test_an_address_that_was_typed_in_is_forgotten_with_its_test(admin, monkeypatch):
    """Only the newest tests are kept; the users made for older ones are deleted."""
    monkeypatch.setattr("clarion.services.test_sends.KEPT", 2)
    made = []
    for number in range(4):
        body = {"to": f"+49151123456{number:02}"}
        sent = await admin.ok("POST", THROUGH.format("main-sms"), body)
        await came(admin, sent)
        made.append(sent["user_id"])
    there = [one["user_id"] for one in (await admin.ok("GET", "/v1/users?reserved=true"))["items"]]
    assert there == made[:1:-1]
    assert (await admin.ok("GET", "/v1/users"))["items"] == []


async def test_a_suppressed_address_gets_no_test(admin):
    """The reason stands at the message."""
    await admin.ok("POST", "/v1/suppressions", {"channel": "sms", "address": "+4915112345678"})
    sent = await admin.ok("POST", THROUGH.format("main-sms"), {"to": "+4915112345678"})
    message = await came(admin, sent)
    assert (message["status"], message["reason"]) == ("suppressed", "suppressed_address")
