"""Looking at a template through somebody's eyes, without sending anything."""

from __future__ import annotations

from typing import Any

import pytest

HELLO: dict[str, Any] = {
    "channels": {
        "sms": {"en": {"text": "Hello {{ name }}"}, "de": {"text": "Hallo {{ name }}"}},
        "email": {"en": {"subject": "Hi {{ name }}", "text": "{{ user.id }} in {{ user.timezone }}"}},
    },
    "example_data": {"name": "Ada"},
}
PREVIEW = "/v1/templates/hello/preview"


@pytest.fixture
async def hello(admin):
    """A live template in two languages."""
    await admin.ok("PUT", "/v1/templates/hello", HELLO)


def by_channel(shown: dict) -> dict:
    """The previews by their channel."""
    return {one["channel"]: one for one in shown["previews"]}


@pytest.mark.usefixtures("hello")
async def test_without_a_word_the_live_version_is_shown_with_its_example(admin):
    """Every channel, with the language chosen and its size in bytes."""
    shown = await admin.ok("POST", PREVIEW)
    assert shown["version"] == 1
    sms, email = (by_channel(shown)[channel] for channel in ("sms", "email"))
    assert (sms["content"]["text"], sms["locale"], sms["bytes"]["text"]) == ("Hello Ada", "en", 9)
    assert sms["sms"] == {
        "encoding": "GSM-7", "segments": 1, "units": 9, "cost": {},
        "priced_as": None, "expected": None,
    }  # fmt: skip
    assert email["content"]["text"] == "example in UTC"
    assert email["sms"] is None
    assert [one for one in shown["findings"] if one["severity"] == "error"] == []
    assert (await admin.ok("GET", "/v1/messages"))["items"] == []


@pytest.mark.usefixtures("hello", "ada")
async def test_it_can_be_seen_through_the_eyes_of_anybody(admin):
    """A stored user, somebody made up, or either of them in another language, with other data."""
    body = {"user_id": "ada", "locale": "de-AT", "channel": "sms", "data": {"name": "Grace"}}
    (one,) = (await admin.ok("POST", PREVIEW, body))["previews"]
    assert (one["content"]["text"], one["locale"]) == ("Hallo Grace", "de")
    made_up = {"user": {"timezone": "Asia/Tokyo", "locale": "fr"}, "channel": "email"}
    (one,) = (await admin.ok("POST", PREVIEW, made_up))["previews"]
    assert (one["content"]["text"], one["locale"]) == ("example in Asia/Tokyo", "en")


@pytest.mark.usefixtures("hello")
async def test_drafts_old_versions_and_what_is_not_saved_can_be_seen(admin):
    """Nothing of it is kept or live."""
    await admin.ok("PUT", "/v1/templates/hello", {**HELLO, "name": "second"})
    draft = {**HELLO, "channels": {"sms": {"en": {"text": "Draft for {{ name }}"}}}}
    await admin.ok("PUT", "/v1/templates/hello/draft", {"template": draft})
    inline = {**HELLO, "channels": {"sms": {"en": {"text": "Inline"}}}}
    for body, version, text in (
        ({"draft": True}, 0, "Draft for Ada"),
        ({"template": inline}, 0, "Inline"),
        ({"version": 1}, 1, "Hello Ada"),
        ({}, 2, "Hello Ada"),
    ):
        shown = await admin.ok("POST", PREVIEW, body)
        assert (shown["version"], by_channel(shown)["sms"]["content"]["text"]) == (version, text)
    assert (await admin.ok("GET", "/v1/templates/hello"))["version"] == 2


@pytest.mark.usefixtures("hello")
async def test_what_cannot_be_rendered_says_where_and_the_rest_is_shown(admin):
    """One broken channel does not hide the others."""
    template = {**HELLO, "channels": {**HELLO["channels"], "push": {"en": {"title": "\n{{ nobody.name }}"}}}}
    shown = await admin.ok("POST", PREVIEW, {"template": template})
    push = by_channel(shown)["push"]
    assert push["content"] is None
    assert push["error"]["pointer"] == "#/channels/push/en/title"
    assert push["error"]["line"] == 2
    assert by_channel(shown)["sms"]["content"]["text"] == "Hello Ada"
    assert any(one["severity"] == "error" for one in shown["findings"])


def euro(amount: str) -> dict[str, str]:
    """An amount in euros."""
    return {"amount": amount, "currency": "EUR"}


@pytest.mark.usefixtures("hello")
async def test_a_text_message_tells_what_it_costs(admin):
    """One character outside GSM-7 shows: more segments, and the tenant's price for each."""
    await admin.ok("PUT", "/v1/prices", {"sms": {"DE": euro("0.0750"), "US": euro("0.008")}})
    text = "x" * 100 + "\N{RIGHT SINGLE QUOTATION MARK}"
    shown = await admin.ok("POST", PREVIEW, {"template": {"channels": {"sms": {"en": {"text": text}}}}})
    sms = by_channel(shown)["sms"]["sms"]
    assert (sms["encoding"], sms["segments"]) == ("UCS-2", 2)
    assert sms["cost"] == {"DE": euro("0.1500"), "US": euro("0.016")}
    assert (sms["priced_as"], sms["expected"]) == (None, None)


@pytest.mark.usefixtures("hello", "ada")
async def test_the_cost_for_one_reader_is_that_of_their_number(admin):
    """Her country, or the beginning of her number where that has a price of its own; none when she cannot be reached."""
    body = {"user_id": "ada", "channel": "sms"}

    async def expected() -> tuple[str | None, dict[str, str] | None]:
        (one,) = (await admin.ok("POST", PREVIEW, body))["previews"]
        return one["sms"]["priced_as"], one["sms"]["expected"]

    assert await expected() == (None, None)
    await admin.ok("PATCH", "/v1/prices", {"sms": {"DE": euro("0.075"), "US": euro("0.008")}})
    assert await expected() == ("DE", euro("0.075"))
    await admin.ok("PATCH", "/v1/prices", {"sms": {"+49151": euro("0.07")}})
    assert await expected() == ("+49151", euro("0.07"))
    await admin.ok("PUT", "/v1/users/ada", {"phone": None})
    assert await expected() == (None, None)


@pytest.mark.usefixtures("hello", "ada")
@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"draft": True, "version": 1}, 400, "#/version"),
        ({"user_id": "ada", "user": {}}, 400, "#/user"),
        ({"locale": "klingon!"}, 400, "#/locale"),
        ({"user": {"timezone": "Mars/Olympus"}}, 400, "#/user/timezone"),
        ({"draft": True}, 404, None),
        ({"version": 9}, 404, None),
        ({"user_id": "nobody"}, 422, "#/user_id"),
    ],
)
async def test_a_question_that_cannot_be_answered_is_refused(admin, body, status, pointer):
    """With the place, where there is one."""
    refused = await admin.problem("POST", PREVIEW, body)
    assert refused["status"] == status
    assert pointer is None or refused["errors"][0]["pointer"] == pointer


async def test_a_channel_the_template_does_not_have_is_an_answer_too(admin):
    """No language, no content, and the reason."""
    await admin.ok("PUT", "/v1/templates/hello", HELLO)
    (one,) = (await admin.ok("POST", PREVIEW, {"channel": "voice"}))["previews"]
    assert (one["locale"], one["content"]) == (None, None)
    assert "voice" in one["error"]["detail"]
