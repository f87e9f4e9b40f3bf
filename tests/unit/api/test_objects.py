"""Objects over HTTP: stored, changed, listed and deleted; their members, preferences and rotas; and as recipients."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.conftest import ACME

TEAM = "/v1/objects/team/payments"
BODY: dict[str, Any] = {
    "name": "Payments",
    "attributes": {"floor": 3},
    "channels": {"email": ["payments@example.com"]},
    "locale": "de",
    "timezone": "Europe/Berlin",
}
EMPTY: dict[str, Any] = {
    "name": None,
    "attributes": {},
    "channels": {},
    "locale": None,
    "timezone": None,
    "rota": None,
}
ROTA: dict[str, Any] = {
    "members": ["ada", "bob"],
    "timezone": "Europe/Berlin",
    "handover": ["09:00"],
    "shift_days": 7,
    "starts_on": "2026-01-05",
    "overrides": [{"user_id": "bob", "starts_at": "2000-01-01T00:00:00Z", "ends_at": "2090-01-01T00:00:00Z"}],
}


@pytest.fixture
async def people(admin):
    """A client, and two users."""
    for user_id in ("ada", "bob"):
        await admin.ok("PUT", f"/v1/users/{user_id}", {"email": f"{user_id}@example.com"})
    return admin


async def test_an_object_is_stored_changed_and_deleted(people):
    """PUT replaces, PATCH changes, DELETE takes it away with its members; each answers what is there now."""
    put = await people.ok("PUT", TEAM, BODY)
    assert put == {"type": "team", "object_id": "payments", **EMPTY, **BODY, "members": 0}
    assert put == await people.ok("GET", TEAM)
    changed = await people.ok("PATCH", TEAM, {"name": None, "channels": {"sms": ["+4915112345678"]}})
    assert changed["name"] is None
    assert changed["channels"] == {**BODY["channels"], "sms": ["+4915112345678"]}
    assert changed["attributes"] == BODY["attributes"]
    await people.ok("POST", f"{TEAM}/members", {"user_ids": ["ada", "bob"]})
    assert (await people.ok("PUT", TEAM))["members"] == 2
    assert (await people.ok("GET", TEAM)).items() >= EMPTY.items()
    assert (await people("DELETE", TEAM)).status_code == 204
    assert (await people.problem("GET", TEAM))["code"] == "not_found"
    assert (await people.ok("PUT", TEAM))["members"] == 0


async def test_objects_of_a_type_are_listed_and_appear_neither_as_users_nor_as_topics(people):
    """By id, page by page."""
    for name in ("team/b", "team/a.b", "team/a", "teams/z", "room/a"):
        await people.ok("PUT", f"/v1/objects/{name}", {})
    await people.ok("PUT", "/v1/topics/news", {})
    page = await people.ok("GET", "/v1/objects/team?limit=2")
    assert [one["object_id"] for one in page["items"]] == ["a", "a.b"]
    rest = await people.ok("GET", f"/v1/objects/team?limit=2&cursor={page['next_cursor']}")
    assert ([one["object_id"] for one in rest["items"]], rest["next_cursor"]) == (["b"], None)
    assert [one["key"] for one in (await people.ok("GET", "/v1/topics"))["items"]] == ["news"]
    users = (await people.ok("GET", "/v1/users"))["items"]
    assert not [one for one in users if one["user_id"].startswith("$")]
    assert (await people.ok("GET", "/v1/objects/none"))["items"] == []


async def test_the_topic_and_the_user_of_an_object_are_no_callers_business(people):
    """They can neither be read as topics, nor written, nor named as recipients."""
    await people.ok("PUT", TEAM, BODY)
    for method, path in (
        ("GET", "/v1/topics/$object:team:payments"),
        ("DELETE", "/v1/topics/$object:team:payments"),
        ("GET", "/v1/topics/$object:team:payments/subscriptions"),
        ("DELETE", "/v1/topics/$object:team:payments/subscriptions/ada"),
    ):
        assert (await people.problem(method, path))["code"] == "not_found"
    refused = await people.problem("PUT", "/v1/users/$object:team:payments", {})
    assert refused["code"] == "invalid_request"
    body = {"recipients": ["$object:team:payments"], "data": {"id": 1}}
    refused = await people.problem("POST", "/v1/workflows/order-paid/trigger", body)
    assert "belongs to an object" in refused["errors"][0]["detail"]
    await people.ok("GET", TEAM)


async def test_members_are_added_listed_and_removed(people):
    """All or none; whoever is erased is no member any more."""
    await people.ok("PUT", TEAM, BODY)
    near = await people.problem("POST", f"{TEAM}/members", {"user_ids": ["ada", "bop"]})
    assert (near["code"], near["errors"][0]["pointer"]) == ("unknown_reference", "#/user_ids/1")
    assert "'bob'" in near["errors"][0]["detail"]
    assert (await people.ok("GET", TEAM))["members"] == 0
    assert await people.ok("POST", f"{TEAM}/members", {"user_ids": ["ada", "bob"]}) == {"added": 2}
    assert await people.ok("PUT", f"{TEAM}/members/bob") == {"user_id": "bob"}
    first = await people.ok("GET", f"{TEAM}/members?limit=1")
    rest = await people.ok("GET", f"{TEAM}/members?limit=1&cursor={first['next_cursor']}")
    assert first["items"] + rest["items"] == [{"user_id": "ada"}, {"user_id": "bob"}]
    assert (await people("DELETE", f"{TEAM}/members/ada")).status_code == 204
    assert (await people.problem("DELETE", f"{TEAM}/members/ada"))["code"] == "not_found"
    await people("DELETE", "/v1/users/bob")
    assert (await people.ok("GET", f"{TEAM}/members"))["items"] == []


async def test_a_rota_says_who_is_on_duty(people):
    """With its overrides; whoever is erased is not named any more, and has no turn."""
    assert (await people.ok("PUT", TEAM, {**BODY, "rota": ROTA}))["rota"] == ROTA
    duty = await people.ok("GET", f"{TEAM}/on-duty")
    assert duty == {"user_id": "bob", "until": "2090-01-01T00:00:00Z", "override": True}
    await people.ok("PATCH", TEAM, {"rota": {"overrides": []}})
    assert (await people.ok("GET", f"{TEAM}/on-duty"))["override"] is False
    await people("DELETE", "/v1/users/ada")
    assert (await people.ok("GET", f"{TEAM}/on-duty"))["user_id"] == "bob"
    assert (await people.ok("GET", TEAM))["rota"]["members"] == ["bob"]
    await people("DELETE", "/v1/users/bob")
    assert "nobody of it is left" in (await people.problem("GET", f"{TEAM}/on-duty"))["detail"]
    await people.ok("PATCH", TEAM, {"rota": None})
    assert (await people.problem("GET", f"{TEAM}/on-duty"))["code"] == "not_found"


async def test_a_change_of_something_else_leaves_the_turns_of_those_who_were_erased(clarion, people):
    """Or everybody's turn would move; whoever stores the rota again decides about that."""
    await people.ok("PUT", TEAM, {**BODY, "rota": ROTA})
    before = await rota_stored(clarion)
    await people("DELETE", "/v1/users/ada")
    assert (await people.ok("PATCH", TEAM, {"name": "New"}))["rota"]["members"] == ["bob"]
    assert await rota_stored(clarion) == before
    await people.ok("PATCH", TEAM, {"rota": {"shift_days": 1}})
    assert (await rota_stored(clarion)).members == before.members[1:]


async def rota_stored(clarion):
    """That of the team, with the numbers of users."""
    key = "$object:team:payments"
    return (await clarion.ledger.users.find(ACME, [key]))[key].profile.rota


async def test_what_cannot_be_worked_with_is_refused_and_nothing_is_stored(people):
    """With the place of what is wrong."""
    other = {**ROTA["overrides"][0], "user_id": "cem"}
    for wrong, pointer, code in (
        ({"channels": {"email": ["nobody"]}}, "#/channels/email/0", "invalid_request"),
        ({"channels": {"sms": ["+4915112345678"] * 51}}, "#/channels", "invalid_request"),
        ({"channels": {"fax": ["1"]}}, "#/channels/fax", "invalid_request"),
        ({"locale": "xx-YY"}, "#/locale", "invalid_request"),
        ({"timezone": "Berlin"}, "#/timezone", "invalid_request"),
        ({"rota": {**ROTA, "timezone": "Europe/Berlim"}}, "#/rota/timezone", "invalid_request"),
        ({"rota": {**ROTA, "members": ["ada", "bop"]}}, "#/rota/members/1", "unknown_reference"),
        ({"rota": {**ROTA, "members": []}}, "#/rota/members", "invalid_request"),
        ({"rota": {**ROTA, "starts_on": "soon"}}, "#/rota/starts_on", "invalid_request"),
        ({"rota": {**ROTA, "overrides": [other]}}, "#/rota/overrides/0/user_id", "unknown_reference"),
    ):
        refused = await people.problem("PUT", TEAM, {**BODY, **wrong})
        assert refused["code"] == code, wrong
        assert pointer in [one["pointer"] for one in refused["errors"]]
        assert (await people.problem("GET", TEAM))["code"] == "not_found"


async def test_an_object_that_does_not_exist_is_answered_with_the_nearest(people):
    """In the path and as a recipient; a type with signs that none may have is refused."""
    await people.ok("PUT", TEAM, BODY)
    assert "'team/payments'" in (await people.problem("GET", "/v1/objects/team/payment"))["detail"]
    body = {"recipients": [{"object": {"type": "team", "id": "paymets"}}], "data": {"id": 1}}
    refused = await people.problem("POST", "/v1/workflows/order-paid/trigger", body)
    (fault,) = refused["errors"]
    assert (fault["pointer"], refused["code"]) == ("#/recipients/0/object", "unknown_reference")
    assert "Did you mean 'team/payments'?" in fault["detail"]
    assert (await people.problem("PUT", "/v1/objects/te.am/x", {}))["errors"][0]["pointer"] == "#/type"
    mixed = {"recipients": [{"object": {"type": "a", "id": "b"}, "topic": "t"}], "data": {"id": 1}}
    refused = await people.problem("POST", "/v1/workflows/order-paid/trigger", mixed)
    assert "alone" in refused["errors"][0]["detail"]


async def test_an_object_is_changed_only_as_it_was_seen_and_tried_without_being_stored(people):
    """`If-Match`, `If-None-Match` and `dry_run`; a new member is another state of it."""
    first = (await people("PUT", TEAM, BODY, headers={"if-none-match": "*"})).headers["etag"]
    assert (await people("GET", TEAM)).headers["etag"] == first
    assert (await people("PUT", TEAM, BODY, headers={"if-none-match": "*"})).status_code == 412
    second = (await people("PUT", TEAM, {**BODY, "name": "New"}, headers={"if-match": first})).headers["etag"]
    assert second != first
    for method, body in (("PUT", BODY), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert (await people(method, TEAM, body, headers={"if-match": first})).status_code == 412
    tried = await people("PATCH", f"{TEAM}?dry_run=true", {"name": "Tried"})
    assert tried.json()["name"] == "Tried"
    assert (await people.ok("GET", TEAM))["name"] == "New"
    await people.ok("PUT", f"{TEAM}/members/ada")
    assert (await people("GET", TEAM)).headers["etag"] != second


async def test_an_object_has_preferences_of_its_own(people):
    """As a user has; storing the object again leaves them."""
    await people.ok("PUT", TEAM, BODY)
    chosen = await people.ok("PATCH", f"{TEAM}/preferences", {"channels": {"email": False}})
    assert chosen["stored"]["channels"] == {"email": False}
    await people.ok("PUT", TEAM, BODY)
    assert (await people.ok("GET", f"{TEAM}/preferences"))["stored"]["channels"] == {"email": False}
    missing = await people.problem("GET", "/v1/objects/team/none/preferences")
    assert missing["code"] == "not_found"
