"""People: written, changed, found, erased."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest

from clarion.cli.users import writable
from clarion.model.setup import Scope
from tests.browsers import Browser
from tests.unit.api.conftest import ACME, OTHER


async def test_a_user_is_created_read_and_erased(admin):
    """PUT, GET, DELETE; afterwards there is nobody."""
    body = {
        "email": "ada@example.com",
        "locale": "pt-BR",
        "timezone": "Europe/Berlin",
        "attributes": {"plan": "pro"},
    }
    put = await admin.ok("PUT", "/v1/users/ada", body)
    assert put == await admin.ok("GET", "/v1/users/ada")
    assert (put["email"], put["phone"], put["attributes"]) == ("ada@example.com", None, {"plan": "pro"})
    assert put["created_at"].endswith("Z")
    assert (await admin("DELETE", "/v1/users/ada")).status_code == 204
    assert (await admin.problem("GET", "/v1/users/ada"))["code"] == "not_found"
    assert (await admin.problem("DELETE", "/v1/users/ada"))["code"] == "not_found"


async def test_erasing_a_user_leaves_anonymous_messages_and_no_captures(admin, ada):
    """What was sent stays countable; whom it concerned and what it said are gone."""
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    for _ in range(200):
        if len((await admin.ok("GET", "/v1/captures"))["items"]) == 2:
            break
        await asyncio.sleep(0.01)
    await admin.ok("DELETE", "/v1/users/ada")
    messages = (await admin.ok("GET", "/v1/messages"))["items"]
    assert [m["user_id"] for m in messages] == [None, None, None]
    assert (await admin.ok("GET", "/v1/captures"))["items"] == []
    detail = await admin.ok("GET", f"/v1/messages/{messages[0]['id']}")
    assert detail["content"] is None
    assert detail["content_problem"]


async def test_put_replaces_and_keeps_what_is_a_resource_of_its_own(admin, ada):
    """Locale and attributes go when they are left out; contacts and preferences stay. null removes an address."""
    await admin.ok("POST", "/v1/users/ada/contacts", {"channel": "push", "address": "device-1"})
    await admin.ok("PUT", "/v1/users/ada/preferences", {"channels": {"sms": False}})
    user = await admin.ok("PUT", "/v1/users/ada", {"email": "new@example.com"})
    assert (user["email"], user["phone"], user["locale"]) == ("new@example.com", "+4915112345678", None)
    assert {c["channel"] for c in user["contacts"]} == {"email", "sms", "push"}
    stored = (await admin.ok("GET", "/v1/users/ada/preferences"))["stored"]
    assert stored["channels"] == {"sms": False}
    user = await admin.ok("PUT", "/v1/users/ada", {"phone": None})
    assert (user["email"], user["phone"]) == ("new@example.com", None)
    user = await admin.ok("PUT", "/v1/users/ada", {"contacts": None})
    assert (user["email"], user["contacts"]) == (None, [])


async def test_a_second_address_stays_when_the_first_one_changes(admin, ada):
    """`email` is the first contact of its channel; null means that there is none at all."""
    await admin.ok("POST", "/v1/users/ada/contacts", {"channel": "email", "address": "two@example.com"})
    for method in ("PUT", "PATCH"):
        user = await admin.ok(method, "/v1/users/ada", {"email": f"{method}@example.com"})
        addresses = [c["address"] for c in user["contacts"] if c["channel"] == "email"]
        assert addresses == [f"{method}@example.com", "two@example.com"]
    user = await admin.ok("PATCH", "/v1/users/ada", {"email": None})
    assert [c["channel"] for c in user["contacts"]] == ["sms"]
    assert user["email"] is None


async def test_a_patch_creates_only_who_is_asked_for(admin, ada):
    """A misspelt name is 404 with the nearest one; `create=true` makes a new user."""
    shown = await admin.problem("PATCH", "/v1/users/adda", {"locale": "de"})
    assert (shown["status"], "Did you mean 'ada'?" in shown["detail"]) == (404, True)
    shown = await admin.problem("PATCH", "/v1/users/zoe?create=true", {"email": "nope"})
    assert shown["errors"][0]["pointer"] == "#/email"
    assert (await admin.problem("GET", "/v1/users/zoe"))["status"] == 404
    user = await admin.ok("PATCH", "/v1/users/zoe?create=true", {"email": "zoe@example.com"})
    assert (user["user_id"], user["email"]) == ("zoe", "zoe@example.com")
    user = await admin.ok("PATCH", "/v1/users/zoe?create=true", {"locale": "de"})
    assert (user["email"], user["locale"]) == ("zoe@example.com", "de")
    assert (await admin.problem("PATCH", "/v1/users/zoe?create=perhaps", {}))["status"] == 400


async def test_put_with_contacts_replaces_all_of_them(admin, ada):
    """An explicit list is the whole truth, and email or phone come first in it."""
    contacts = [{"channel": "email", "address": "b@example.com"}, {"channel": "push", "address": "t"}]
    user = await admin.ok("PUT", "/v1/users/ada", {"contacts": contacts, "phone": "+441632960960"})
    assert {(c["channel"], c["address"]) for c in user["contacts"]} == {
        ("email", "b@example.com"),
        ("push", "t"),
        ("sms", "+441632960960"),
    }


async def test_a_merge_patch_changes_what_it_names(admin, ada):
    """null removes, objects merge, the rest stays."""
    await admin.ok("PATCH", "/v1/users/ada", {"attributes": {"a": 1, "b": {"c": 2}}})
    user = await admin.ok(
        "PATCH", "/v1/users/ada", {"attributes": {"a": None, "b": {"d": 3}}, "phone": None, "locale": "de"}
    )
    assert user["attributes"] == {"b": {"c": 2, "d": 3}}
    assert (user["email"], user["phone"], user["locale"]) == ("ada@example.com", None, "de")
    merged = await admin("PATCH", "/v1/users/ada", content=b'{"email": "x@example.com"}', headers={
        "content-type": "application/merge-patch+json"
    })  # fmt: skip
    assert merged.json()["email"] == "x@example.com"
    assert len(merged.json()["contacts"]) == 1


async def test_patches_at_once_lose_nothing(admin, ada):
    """Ten writers, ten attributes."""
    await asyncio.gather(
        *(admin.ok("PATCH", "/v1/users/ada", {"attributes": {f"a{n}": n}}) for n in range(4))
    )
    assert len((await admin.ok("GET", "/v1/users/ada"))["attributes"]) == 4


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"emial": "x"}, "#/emial", "did you mean `email`?"),
        ({"email": "no at sign"}, "#/email", "ada@example.com"),
        ({"email": "a@b"}, "#/email", "ada@example.com"),
        ({"email": "a@b.com\nBcc: c@d.com"}, "#/email", "line breaks"),
        ({"phone": "015112345678"}, "#/phone", "E.164"),
        ({"locale": "english"}, "#/locale", "BCP 47"),
        ({"timezone": "Mars/Olympus"}, "#/timezone", "Europe/Berlin"),
        ({"timezone": "europe/berln"}, "#/timezone", "Did you mean 'Europe/Berlin'?"),
        ({"locale": "xx"}, "#/locale", "no language 'xx'"),
        ({"locale": "en-EN"}, "#/locale", "no region 'EN'"),
        ({"attributes": {str(n): n for n in range(65)}}, "#/attributes", "64"),
        ({"attributes": {"a": "x" * 17_000}}, "#/attributes", "16,384"),
        ({"attributes": {"a": [2**64]}}, "#/attributes", "64 bits"),
        ({"contacts": [{"channel": "fax", "address": "1"}]}, "#/contacts/0/channel", "`email`"),
        ({"contacts": [{"channel": "sms", "address": "1"}]}, "#/contacts/0/address", "E.164"),
        ({"contacts": [{"channel": "webhook", "address": "ftp://x"}]}, "#/contacts/0/address", "https://"),
        ({"user_id": "somebody-else"}, "#/user_id", "differs"),
        ({"attributes": []}, "#/attributes", "Expected `object`"),
        ([], "#", "Expected `object`"),
    ],
)
async def test_a_wrong_user_is_refused_with_a_pointer(admin, body, pointer, said):
    """Every field says what it must be."""
    shown = await admin.problem("PUT", "/v1/users/ada", body)
    assert (shown["status"], shown["code"]) == (400, "invalid_request")
    assert shown["errors"][0]["pointer"] == pointer
    assert said in shown["errors"][0]["detail"]


async def test_a_body_that_is_no_json_is_refused(admin):
    """Also where a framework decodes it."""
    for raw in (b"{", b"", b'{"email": "\xff"}'):
        shown = await admin.problem(
            "PUT", "/v1/users/ada", content=raw, headers={"content-type": "application/json"}
        )
        assert shown["status"] == 400
        assert shown["code"] in ("malformed_json", "invalid_request")
    for deep in (b'{"attributes": ' + b'{"a":' * 40 + b"1" + b"}" * 41, b"[" * 5_000):
        shown = await admin.problem(
            "PUT", "/v1/users/a", content=deep, headers={"content-type": "application/json"}
        )
        assert shown["code"] == "too_deep"


@pytest.mark.parametrize(
    "user_id", ["auth0|1", "a/b", "jürgen", "a b", "x%2fy", "ada@example.com", "ü" * 255]
)
async def test_any_printable_id_can_be_addressed(admin, user_id):
    """Ids come from other systems: slashes, spaces and letters of all scripts work, once escaped."""
    from urllib.parse import quote

    path = f"/v1/users/{quote(user_id, safe='')}"
    assert (await admin.ok("PUT", path, {}))["user_id"] == user_id
    assert (await admin.ok("GET", path))["user_id"] == user_id
    assert (await admin.ok("GET", f"{path}/inbox/counts"))["total"] == 0
    await admin.ok("DELETE", path)


@pytest.mark.parametrize("user_id", ["x" * 256, "%C2%85", "%20", "a%20"])
async def test_other_ids_are_refused(admin, user_id):
    """Control characters and overlong ids would only hide."""
    assert (await admin.problem("PUT", f"/v1/users/{user_id}", {}))["code"] == "invalid_request"


@pytest.mark.parametrize("user_id", ["%00", "%0A", "%2e", "%2E%2E"])
async def test_ids_that_no_path_can_hold_are_not_there(admin, user_id):
    """ASCII control characters, and what means a folder; in a body they are refused."""
    assert (await admin.problem("PUT", f"/v1/users/{user_id}", {}))["code"] == "not_found"
    for dots in (".", ".."):
        answer = await admin("POST", "/v1/users/bulk", json={"user_id": dots})
        assert answer.status_code == 422 or "#/" in answer.text


async def test_many_users_come_as_ndjson_and_bad_lines_are_named(admin):
    """A bulk call creates the good ones and reports the others by index."""
    lines = [
        b'{"user_id": "u1", "email": "u1@example.com"}',
        b'{"user_id": "u2", "email": "broken"}',
        b'{"email": "nobody@example.com"}',
        b"",
        b'{"user_id": "u3", "attributes": {"n": 3}}',
    ]
    headers = {"content-type": "application/x-ndjson"}
    shown = await admin.ok("POST", "/v1/users/bulk", content=b"\n".join(lines), headers=headers)
    assert (shown["accepted"], shown["rejected"]) == (2, 2)
    assert [(e["index"], e["error"]["errors"][0]["pointer"]) for e in shown["items"]] == [
        (1, "#/email"),
        (2, "#/user_id"),
    ]
    assert {u["user_id"] for u in (await admin.ok("GET", "/v1/users"))["items"]} == {"u1", "u3"}
    over = b"\n".join([b'{"user_id": "u"}'] * 1_001)
    shown = await admin.problem("POST", "/v1/users/bulk", content=over, headers=headers)
    assert shown["code"] == "batch_too_large"


async def test_a_bulk_call_may_merge(admin, ada):
    """`mode=merge`: what a line does not name stays, null removes, a bad line stops no other."""
    lines: list[dict[str, Any]] = [
        {"user_id": "ada", "attributes": {"plan": "pro"}},
        {"user_id": "ada", "attributes": {"seats": 3}, "phone": None},
        {"user_id": "ada", "attributes": {str(n): n for n in range(64)}},
        {"user_id": "eve", "email": "eve@example.com"},
        {"user_id": "ada", "emial": "x@example.com"},
        {"email": "nobody@example.com"},
    ]
    headers = {"content-type": "application/x-ndjson"}
    content = b"\n".join(map(msgspec.json.encode, lines))
    shown = await admin.ok("POST", "/v1/users/bulk?mode=merge", content=content, headers=headers)
    assert (shown["accepted"], shown["rejected"]) == (3, 3)
    pointers = [(e["index"], e["error"]["errors"][0]["pointer"]) for e in shown["items"]]
    assert pointers == [(2, "#/attributes"), (4, "#/emial"), (5, "#/user_id")]
    user = await admin.ok("GET", "/v1/users/ada")
    assert user["attributes"] == {"plan": "pro", "seats": 3}
    assert (user["email"], user["phone"], user["locale"]) == ("ada@example.com", None, "en")
    assert (await admin.ok("GET", "/v1/users/eve"))["email"] == "eve@example.com"
    await admin.ok("POST", "/v1/users/bulk", content=b'{"user_id": "ada"}', headers=headers)
    user = await admin.ok("GET", "/v1/users/ada")
    assert (user["email"], user["locale"], user["attributes"]) == ("ada@example.com", None, {})
    shown = await admin.problem("POST", "/v1/users/bulk?mode=upsert", content=content, headers=headers)
    assert shown["errors"][0]["parameter"] == "mode"


async def test_lists_come_in_pages_until_the_cursor_is_null(admin):
    """Nobody is missed and nobody comes twice; a made-up cursor is refused."""
    body = b"\n".join(msgspec.json.encode({"user_id": f"u{n}"}) for n in range(7))
    await admin.ok("POST", "/v1/users/bulk", content=body, headers={"content-type": "application/jsonl"})
    seen, cursor = [], ""
    while cursor is not None:
        page = await admin.ok("GET", f"/v1/users?limit=3{f'&cursor={cursor}' if cursor else ''}")
        seen += [u["user_id"] for u in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [f"u{n}" for n in reversed(range(7))]  # newest first
    for cursor in ("nonsense", "z___________", "oXg"):  # the second is 2**64 - 1, the third a text
        shown = await admin.problem("GET", f"/v1/users?cursor={cursor}")
        assert shown["errors"][0]["parameter"] == "cursor"
    for limit in ("0", "201", "many"):
        shown = await admin.problem("GET", f"/v1/users?limit={limit}")
        assert shown["errors"][0]["parameter"] == "limit"


async def test_contacts_are_added_listed_and_removed(admin, ada):
    """A device registers its token and leaves again; adding it twice changes nothing."""
    token = {"channel": "push", "address": "device-1", "label": "phone"}
    added = await admin.ok("POST", "/v1/users/ada/contacts", token)
    assert added == await admin.ok("POST", "/v1/users/ada/contacts", token)
    assert len((await admin.ok("GET", "/v1/users/ada/contacts"))["items"]) == 3
    await admin.ok("DELETE", f"/v1/users/ada/contacts/{added['id']}")
    assert len((await admin.ok("GET", "/v1/users/ada/contacts"))["items"]) == 2
    assert (await admin.problem("DELETE", f"/v1/users/ada/contacts/{added['id']}"))["status"] == 404


async def test_a_contact_is_read_and_changed_by_itself(admin, ada):
    """A merge patch of one: label and verification; another address has another id, and is not verified yet."""
    path = "/v1/users/ada/contacts"
    added = await admin.ok("POST", path, {"channel": "email", "address": "b@example.com", "verified": True})
    assert added == await admin.ok("GET", f"{path}/{added['id']}")
    assert added["label"] is None
    named = await admin.ok("PATCH", f"{path}/{added['id']}", {"label": "work"})
    assert named == {**added, "label": "work"}
    moved = await admin.ok("PATCH", f"{path}/{added['id']}", {"address": "c@example.com"})
    assert (moved["address"], moved["label"], moved["verified"]) == ("c@example.com", "work", False)
    assert (await admin.problem("GET", f"{path}/{added['id']}"))["status"] == 404
    mine = f"{path}/{moved['id']}"
    assert (await admin.problem("PATCH", mine, {"channel": "sms"}))["errors"][0]["pointer"] == "#/channel"
    assert (await admin.problem("PATCH", mine, {"address": "nope"}))["errors"][0]["pointer"] == "#/address"
    assert (await admin.problem("PATCH", mine, {"lable": "x"}))["errors"][0]["pointer"] == "#/lable"
    assert (await admin.problem("PATCH", mine, {"address": "ADA@example.com"}))["code"] == "conflict"
    assert await admin.ok("GET", mine) == moved
    assert (await admin.ok("PATCH", mine, {"label": None}))["label"] is None
    assert len((await admin.ok("GET", path))["items"]) == 3


async def test_a_browser_is_a_contact_by_its_endpoint(admin, ada):
    """Stored in one spelling; subscribing again with new keys replaces the old ones."""
    first, again = Browser(), Browser()
    path = "/v1/users/ada/contacts"
    added = await admin.ok("POST", path, {"channel": "push", "address": first.address})
    spelt = {"channel": "push", "address": json.dumps(first.subscription, separators=(",", ":"))}
    assert await admin.ok("POST", path, spelt) == added
    assert "expirationTime" not in added["address"]
    renewed = await admin.ok("POST", path, {"channel": "push", "address": again.address})
    assert renewed["id"] == added["id"]
    pushes = [c for c in (await admin.ok("GET", path))["items"] if c["channel"] == "push"]
    assert pushes == [renewed]
    whole = {"contacts": [{"channel": "push", "address": json.dumps(again.subscription, sort_keys=True)}]}
    put = await admin.ok("PUT", "/v1/users/bea", whole)
    assert put["contacts"][0]["address"] == renewed["address"]


async def test_a_broken_subscription_is_refused_where_it_stands(admin, ada):
    """With its place and what is wrong with it."""
    broken = {"channel": "push", "address": '{"endpoint": "https://push.example/1", "keys": {}}'}
    shown = await admin.problem("POST", "/v1/users/ada/contacts", broken)
    assert shown["errors"][0]["pointer"] == "#/address"
    assert "p256dh" in shown["detail"]
    shown = await admin.problem("PUT", "/v1/users/bea", {"contacts": [broken]})
    assert shown["errors"][0]["pointer"] == "#/contacts/0/address"


async def test_preferences_show_what_was_chosen_and_what_is_in_force(admin, ada):
    """The matrix says per category and channel whether it is on and which setting decided."""
    chosen = {
        "categories": {"orders": {"channels": {"sms": False}}},
        "quiet_hours": [{"start": "22:00", "end": "07:00"}],
    }
    put = await admin.ok("PUT", "/v1/users/ada/preferences", chosen)
    assert put == await admin.ok("GET", "/v1/users/ada/preferences")
    orders = put["effective"]["categories"]["orders"]["channels"]
    assert orders["sms"] == {"enabled": False, "decided_by": "user_category_channel", "topic": None}
    assert orders["email"]["enabled"] is True
    wrong = {"quiet_hours": [{"start": "25:00", "end": "07:00"}]}
    shown = await admin.problem("PUT", "/v1/users/ada/preferences", wrong)
    assert shown["errors"][0]["pointer"] == "#/quiet_hours/0"


async def test_preferences_change_one_by_one(admin, ada):
    """Setting a category leaves quiet hours and other categories alone; null and DELETE take a choice back."""
    path = "/v1/users/ada/preferences"
    await admin.ok("PUT", "/v1/categories/news", {})
    hours = [{"start": "22:00", "end": "07:00", "days": ["mon"]}]
    await admin.ok("PATCH", path, {"quiet_hours": hours, "channels": {"push": False}})
    answer = await admin.ok("PUT", f"{path}/categories/news", {"enabled": False})
    assert answer["stored"] == {
        "channels": {"push": False},
        "categories": {"news": {"enabled": False, "channels": {}, "digest": None}},
        "workflows": {},
        "topics": {},
        "digest": None,
        "quiet_hours": hours,
        "snoozed_until": None,
        "channel_order": None,
        "caps": [],
    }
    news = answer["effective"]["categories"]["news"]["channels"]
    assert news["email"] == {"enabled": False, "decided_by": "user_category", "topic": None}
    answer = await admin.ok("PATCH", path, {"categories": {"news": {"channels": {"sms": True}}}})
    assert answer["stored"]["categories"]["news"] == {
        "enabled": False,
        "channels": {"sms": True},
        "digest": None,
    }
    answer = await admin.ok("PATCH", path, {"categories": {"news": {"enabled": None}}, "channels": None})
    assert answer["stored"]["categories"]["news"]["enabled"] is None
    assert (answer["stored"]["channels"], answer["stored"]["quiet_hours"]) == ({}, hours)
    assert (await admin("DELETE", f"{path}/categories/news")).status_code == 204
    assert (await admin("DELETE", f"{path}/categories/news")).status_code == 204
    stored = (await admin.ok("GET", path))["stored"]
    assert (stored["channels"], stored["categories"], stored["quiet_hours"]) == ({}, {}, hours)
    assert (await admin.ok("PUT", path, {}))["stored"]["quiet_hours"] is None


async def test_an_unknown_category_in_preferences_is_refused(admin, ada):
    """An opt-out that does nothing is worse than none: 422 with the nearest category, and nothing is stored."""
    path = "/v1/users/ada/preferences"
    wrong = {"categories": {"ordrs": {"enabled": False}, "a/b": {"enabled": False}}}
    for method in ("PUT", "PATCH"):
        shown = await admin.problem(method, path, wrong)
        assert (shown["status"], shown["code"]) == (422, "unknown_reference")
        assert [(e["pointer"], e["value"]) for e in shown["errors"]] == [
            ("#/categories/ordrs", "ordrs"),
            ("#/categories/a~1b", "a/b"),
        ]
        assert shown["errors"][0]["did_you_mean"] == "orders"
    for method in ("PUT", "DELETE"):
        shown = await admin.problem(method, f"{path}/categories/ordrs", {"enabled": False})
        assert (shown["status"], "Did you mean 'orders'?" in shown["detail"]) == (404, True)
    assert (await admin.ok("GET", path))["stored"]["categories"] == {}


async def test_a_choice_for_a_category_that_was_deleted_stands_in_nobodys_way(admin, ada):
    """It stays, for the category may come back; other choices can still be made."""
    path = "/v1/users/ada/preferences"
    await admin.ok("PUT", "/v1/categories/news", {})
    stored = (await admin.ok("PUT", f"{path}/categories/news", {"enabled": False}))["stored"]
    await admin.ok("DELETE", "/v1/categories/news")
    assert (await admin.ok("PUT", path, stored))["stored"] == stored
    await admin.ok("PATCH", path, {"channels": {"sms": False}})
    await admin.ok("DELETE", f"{path}/categories/news")
    assert (await admin.problem("PUT", path, stored))["code"] == "unknown_reference"


async def test_a_suppressed_address_is_recognised_in_every_spelling(admin, ada):
    """Suppress by address, see it on the contact, allow it again."""
    added = await admin.ok(
        "POST", "/v1/suppressions", {"channel": "email", "address": "ADA@example.com", "reason": "legal"}
    )
    listed = (await admin.ok("GET", "/v1/suppressions"))["items"]
    assert listed == [added]
    assert "ada" not in str(listed).lower()
    contact = (await admin.ok("GET", "/v1/users/ada"))["contacts"][0]
    assert (contact["suppressed"], contact["id"]) == (True, added["id"])
    path = f"/v1/suppressions/{added['id']}"
    assert await admin.ok("GET", path) == added
    assert added["created_at"].endswith("Z")
    await admin.ok("DELETE", path)
    assert (await admin.ok("GET", "/v1/users/ada"))["contacts"][0]["suppressed"] is False
    for gone in (path, "/v1/suppressions/xyz", "/v1/suppressions/00"):
        for method in ("GET", "DELETE"):
            assert (await admin.problem(method, gone))["status"] == 404


async def test_an_address_is_searched_without_standing_in_a_url(admin, ada):
    """Whether it is suppressed, and whose it is, in every spelling; nobody of another tenant."""
    await admin.ok("POST", "/v1/suppressions", {"channel": "sms", "address": "+4915112345678"})
    wanted = {"channel": "sms", "address": "+4915112345678"}
    (found,) = (await admin.ok("POST", "/v1/suppressions/search", wanted))["items"]
    assert (found["channel"], found["reason"]) == ("sms", "by_caller")
    other = {"channel": "voice", "address": "+4915112345678"}
    assert (await admin.ok("POST", "/v1/suppressions/search", other))["items"] == []
    twin = await admin.ok("PUT", "/v1/users/twin", {"email": "ADA@example.com"})
    for asked in (
        {"email": "Ada@Example.com"},
        {"contact": {"channel": "email", "address": "ada@example.com"}},
    ):
        items = (await admin.ok("POST", "/v1/users/search", asked))["items"]
        assert items == [await admin.ok("GET", "/v1/users/ada"), twin]
    (item,) = (await admin.ok("POST", "/v1/users/search", {"phone": "+4915112345678"}))["items"]
    assert (item["user_id"], item["contacts"][1]["suppressed"]) == ("ada", True)
    assert (await admin.ok("POST", "/v1/users/search", {"email": "nobody@example.com"}))["items"] == []
    for wrong, pointer in (
        ({}, "#"),
        ({"email": "a@example.com", "phone": "+4915112345678"}, "#"),
        ({"email": "nope"}, "#/email"),
        ({"contact": {"channel": "sms", "address": "1"}}, "#/contact/address"),
        ({"emial": "a@example.com"}, "#/emial"),
    ):
        shown = await admin.problem("POST", "/v1/users/search", wrong)
        assert shown["errors"][0]["pointer"] == pointer


async def test_many_addresses_are_suppressed_at_once(admin):
    """One answer per line; a wrong one stops no other. Newest first, page by page."""
    lines = [{"channel": "email", "address": f"p{n}@example.com", "reason": "legal"} for n in range(5)]
    lines.insert(2, {"channel": "email", "address": "nope"})
    content = b"\n".join(map(msgspec.json.encode, lines))
    headers = {"content-type": "application/x-ndjson"}
    shown = await admin.ok("POST", "/v1/suppressions/bulk", content=content, headers=headers)
    assert (shown["accepted"], shown["rejected"]) == (5, 1)
    assert shown["items"][2]["error"]["errors"][0]["pointer"] == "#/address"
    nothing = await admin.problem("POST", "/v1/suppressions/bulk", content=b"{}\n[]\n", headers=headers)
    assert (nothing["code"], nothing["status"], nothing["rejected"]) == ("all_rejected", 422, 2)
    assert [one["index"] for one in nothing["items"]] == [0, 1]
    last = await admin.ok("POST", "/v1/suppressions", {"channel": "email", "address": "last@example.com"})
    seen, cursor = [], ""
    while cursor is not None:
        page = await admin.ok("GET", f"/v1/suppressions?limit=2{f'&cursor={cursor}' if cursor else ''}")
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen[0] == last["id"]
    assert sorted(seen[1:]) == sorted(one["id"] for one in shown["items"] if one.get("id"))


async def test_topics_have_members(admin, ada):
    """Subscribe, list, unsubscribe, delete."""
    await admin.ok("PUT", "/v1/topics/vip", {"name": "Important people"})
    assert (await admin.ok("POST", "/v1/topics/vip/subscriptions", {"user_ids": ["ada"]})) == {"added": 1}
    assert (await admin.ok("POST", "/v1/topics/vip/subscriptions", {"user_ids": ["ada"]})) == {"added": 0}
    topics = (await admin.ok("GET", "/v1/topics"))["items"]
    said_of_it = {"settings": None, "effective": {"channels": dict[str, object](), "digest": None}}
    assert topics == [{"key": "vip", "name": "Important people", "members": 1, **said_of_it}]
    assert await admin.ok("GET", "/v1/topics/vip") == topics[0]
    assert (await admin.ok("PATCH", "/v1/topics/vip", {"name": None}))["name"] is None
    assert (await admin.ok("GET", "/v1/topics/vip/subscriptions"))["items"] == [{"user_id": "ada"}]
    shown = await admin.problem("POST", "/v1/topics/vip/subscriptions", {"user_ids": ["ada", "ghost"]})
    assert (shown["code"], shown["errors"][0]["pointer"]) == ("unknown_reference", "#/user_ids/1")
    await admin.ok("DELETE", "/v1/topics/vip/subscriptions/ada")
    assert (await admin.problem("DELETE", "/v1/topics/vip/subscriptions/ada"))["status"] == 404
    assert await admin.ok("PUT", "/v1/topics/vip/subscriptions/ada") == {"user_id": "ada"}
    assert await admin.ok("PUT", "/v1/topics/vip/subscriptions/ada") == {"user_id": "ada"}
    assert (await admin.ok("GET", "/v1/topics/vip"))["members"] == 1
    await admin.ok("DELETE", "/v1/topics/vip")
    assert (await admin.problem("DELETE", "/v1/topics/vip"))["status"] == 404


async def test_a_misspelt_topic_or_member_is_refused_with_the_nearest(admin, ada):
    """Only `PUT /v1/topics/{key}` makes a topic; nobody is subscribed when one of them is unknown."""
    await admin.ok("PUT", "/v1/topics/readers")
    for method, path, body in (
        ("GET", "/v1/topics/raeders", None),
        ("PATCH", "/v1/topics/raeders", {"name": "x"}),
        ("DELETE", "/v1/topics/raeders", None),
        ("GET", "/v1/topics/raeders/subscriptions", None),
        ("POST", "/v1/topics/raeders/subscriptions", {"user_ids": ["ada"]}),
        ("PUT", "/v1/topics/raeders/subscriptions/ada", None),
        ("DELETE", "/v1/topics/raeders/subscriptions/ada", None),
    ):
        shown = await admin.problem(method, path, body)
        assert (shown["status"], "Did you mean 'readers'?" in shown["detail"]) == (404, True), (method, path)
    assert [t["key"] for t in (await admin.ok("GET", "/v1/topics"))["items"]] == ["readers"]
    for method in ("PUT", "DELETE"):
        shown = await admin.problem(method, "/v1/topics/readers/subscriptions/adda")
        assert (shown["status"], "Did you mean 'ada'?" in shown["detail"]) == (404, True)
    who = {"user_ids": ["adda", "ada", "zzzzzz"]}
    shown = await admin.problem("POST", "/v1/topics/readers/subscriptions", who)
    assert [(e["pointer"], e.get("did_you_mean")) for e in shown["errors"]] == [
        ("#/user_ids/0", "ada"),
        ("#/user_ids/2", None),
    ]
    assert (await admin.ok("GET", "/v1/topics/readers"))["members"] == 0


async def test_tenants_do_not_see_each_other(clarion, admin, ada):
    """A key of one tenant finds nothing of another, by any path."""
    other = await clarion.client(Scope.ADMIN, OTHER)
    assert (await other.ok("GET", "/v1/users"))["items"] == []
    for path in ("/v1/users/ada", "/v1/users/ada/inbox", "/v1/workflows/order-paid", "/v1/templates/paid"):
        assert (await other.problem("GET", path))["status"] == 404
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    messages: list[dict[str, Any]] = []
    for _ in range(200):
        messages = (await admin.ok("GET", "/v1/messages"))["items"]
        if messages:
            break
        await asyncio.sleep(0.01)
    assert (await other.ok("GET", "/v1/messages"))["items"] == []
    assert (await other.ok("GET", "/v1/captures"))["items"] == []
    assert (await other.ok("GET", "/v1/messages/tail?wait_s=0"))["items"] == []
    assert (await other.problem("GET", f"/v1/messages/{messages[0]['id']}"))["status"] == 404
    assert (await other.problem("GET", f"/v1/events/{messages[0]['event_id']}"))["status"] == 404
    assert (await other.problem("POST", f"/v1/messages/{messages[0]['id']}/cancel"))["status"] == 404
    body = {"workflow": "order-paid", "recipients": ["ada"]}
    assert (await other.problem("POST", "/v1/events", body))["status"] == 404


async def test_a_bulk_call_of_which_nothing_is_accepted_is_no_success(admin):
    """422 with the problem of every line, in the shape that any other bulk call answers; an empty one is none."""
    body = b'{"user_id": "a", "email": "x"}\n{"emial": 1}\n'
    ndjson = {"content-type": "application/x-ndjson"}
    shown = await admin.problem("POST", "/v1/users/bulk", content=body, headers=ndjson)
    assert (shown["code"], shown["accepted"], shown["rejected"]) == ("all_rejected", 0, 2)
    assert [(item["index"], item["error"]["errors"][0]["pointer"]) for item in shown["items"]] == [
        (0, "#/email"),
        (1, "#/emial"),
    ]
    part = await admin.ok("POST", "/v1/users/bulk", content=b'{"user_id": "a"}\n{}', headers=ndjson)
    assert (part["accepted"], part["rejected"], [item["index"] for item in part["items"]]) == (1, 1, [1])
    none = await admin.ok("POST", "/v1/users/bulk", content=b"\n", headers=ndjson)
    assert none == {"accepted": 0, "rejected": 0, "items": []}


async def test_somebody_who_cannot_be_read_spoils_no_list_and_no_bulk_call(admin, clarion, tmp_path):
    """They are listed and found as unreadable; only what is about them is refused, and they can be erased."""
    for name in ("ada", "bob"):
        await admin.ok(
            "PUT", f"/v1/users/{name}", {"email": f"{name}@example.com", "phone": "+4915112345678"}
        )
        await admin.ok(
            "POST", "/v1/workflows/order-paid/trigger", {"recipients": [name], "data": {"id": name}}
        )
    for _ in range(1_000):
        if len((await admin.ok("GET", "/v1/captures"))["items"]) == 4:
            break
        await asyncio.sleep(0.01)
    bob = (await clarion.ledger.users.find(ACME, ["bob"]))["bob"]
    with closing(sqlite3.connect(tmp_path / "clarion.db")) as file:
        file.execute("UPDATE users SET profile = x'00', wrapped_key = zeroblob(32) WHERE no = ?", (bob.no,))
        file.commit()
    clarion.ledger.users._user_cache.drop(bob.no)
    assert {u["user_id"]: (u["unreadable"], u["email"]) for u in (await admin.ok("GET", "/v1/users"))["items"]} == {
        "ada": (False, "ada@example.com"), "bob": (True, None),
    }  # fmt: skip
    found = await admin.ok("POST", "/v1/users/search", {"email": "bob@example.com"})
    assert [(u["user_id"], u["unreadable"]) for u in found["items"]] == [("bob", True)]
    for method, path, body in (
        ("GET", "/v1/users/bob", None),
        ("PUT", "/v1/users/bob", {"locale": "fr"}),
        ("PATCH", "/v1/users/bob", {"locale": "fr"}),
        ("GET", "/v1/users/bob/preferences", None),
        ("PUT", "/v1/users/bob/preferences", {}),
        ("POST", "/v1/users/bob/contacts", {"channel": "push", "address": "device"}),
    ):
        assert (await admin.problem(method, path, body))["code"] == "data_unreadable"
    lines = b"".join(b'{"user_id": "%s", "locale": "fr"}\n' % name for name in (b"ada", b"bob", b"cy"))
    for mode in ("replace", "merge"):
        more = {"content": lines, "headers": {"content-type": "application/x-ndjson"}}
        answer = await admin.ok("POST", f"/v1/users/bulk?mode={mode}", **more)
        assert [(one["index"], one["error"]["code"]) for one in answer["items"]] == [(1, "data_unreadable")]
    assert {c["user_id"] for c in (await admin.ok("GET", "/v1/captures"))["items"]} == {"ada"}
    assert len((await admin.ok("GET", "/v1/messages?user_id=bob"))["items"]) == 3
    assert len((await admin.ok("GET", "/v1/events"))["items"]) == 2
    assert (await admin("DELETE", "/v1/users/bob")).status_code == 204
    assert (await admin.problem("GET", "/v1/users/bob"))["code"] == "not_found"


async def test_what_the_command_line_shows_can_be_stored_again(clarion, admin):
    """`clarion users show ada | clarion users set ada -` changes nothing; a mistake in it is still told."""
    asked = {
        "email": "ada@example.org",
        "locale": "en-GB",
        "attributes": {"plan": "pro"},
        "contacts": [
            {"channel": "email", "address": "ada@example.org", "label": "work", "verified": True},
            {"channel": "sms", "address": "+4915112345678"},
        ],
    }
    shown = await admin.ok("PUT", "/v1/users/ada", asked)
    assert await admin.ok("PUT", "/v1/users/ada", writable(shown)) == shown
    for wrong in ({**shown, "contacts": [7]}, {**shown, "contact": []}):
        assert (await admin.problem("PUT", "/v1/users/ada", writable(wrong)))["status"] == 400
