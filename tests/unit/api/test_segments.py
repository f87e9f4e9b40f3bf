"""Segments and searches over HTTP: conditions that are checked, previews, members, and attributes with types."""

from __future__ import annotations

import json

import pytest

TYPES = {
    "plan": {"type": "string", "searchable": True},
    "age": {"type": "number", "searchable": True},
    "since": {"type": "time", "searchable": True},
    "secret": {"type": "string"},
}


@pytest.fixture
async def people(admin):
    """Three users with a plan and an age."""
    await admin.ok("PATCH", "/v1/tenant", {"attributes": TYPES, "searchable": ["locale"]})
    for user_id, plan, age in (("ada", "pro", 36), ("bob", "free", 41), ("cyd", "pro", 17)):
        body = {
            "email": f"{user_id}@example.com",
            "locale": "de-AT",
            "attributes": {"plan": plan, "age": age},
        }
        await admin.ok("PUT", f"/v1/users/{user_id}", body)
    return admin


async def test_a_segment_is_stored_changed_listed_and_deleted(people):
    """PUT, GET, PATCH, DELETE; its members follow each change at once."""
    pros = {"name": "On the plan pro", "where": "user.attributes.plan == 'pro'"}
    put = await people.ok("PUT", "/v1/segments/pros", pros)
    assert put == {"key": "pros", **pros} == await people.ok("GET", "/v1/segments/pros")
    assert (await people.ok("GET", "/v1/segments"))["items"] == [put]
    members = await people.ok("GET", "/v1/segments/pros/members?limit=1")
    assert members["items"] == [{"user_id": "ada"}]
    rest = await people.ok("GET", f"/v1/segments/pros/members?limit=1&cursor={members['next_cursor']}")
    assert rest["items"] == [{"user_id": "cyd"}]
    await people.ok("PATCH", "/v1/users/bob", {"attributes": {"plan": "pro"}})
    status = await people.ok("GET", "/v1/segments/pros/status")
    assert (status["members"], status["running"]) == (3, False)
    changed = await people.ok(
        "PATCH", "/v1/segments/pros", {"where": "user.attributes.age < 18", "name": None}
    )
    assert changed["name"] is None
    assert (await people.ok("GET", "/v1/segments/pros/status"))["members"] == 1
    assert (await people("DELETE", "/v1/segments/pros")).status_code == 204
    missing = await people.problem("GET", "/v1/segments/pros")
    assert missing["code"] == "not_found"


async def test_a_preview_says_whom_a_condition_would_choose(people):
    """Of a segment, or of a condition before there is one. Nothing is stored."""
    await people.ok("PUT", "/v1/segments/pros", {"where": "user.attributes.plan == 'pro'"})
    assert await people.ok("POST", "/v1/segments/pros/preview") == {"count": 2, "user_ids": ["cyd", "ada"]}
    tried = {"where": "user.locale.startsWith('de')", "limit": 2}
    assert await people.ok("POST", "/v1/segments/new/preview", tried) == {
        "count": 3,
        "user_ids": ["cyd", "bob"],
    }
    assert (await people.problem("POST", "/v1/segments/new/preview"))["code"] == "not_found"
    assert len((await people.ok("GET", "/v1/segments"))["items"]) == 1


REFUSED = (
    ("user.attributes.plam == 'x'", "column 1: `user.attributes.plam` is no attribute whose type is known"),
    ("user.attributes.plam == 'x'", "Did you mean 'plan'?"),
    ("user.attributes.secret == 'x'", "is stored encrypted"),
    ("user.timezone == 'UTC'", "add `timezone` to `searchable` of the tenant"),
    ("user.attributes.age == 'old'", "column 24: 'old' is not a number"),
    (
        "true && user.local == 'de'",
        "column 9: `user.local` is nothing of a user: did you mean `user.locale`?",
    ),
    ("user.attributes.plan", "is no condition"),
    ("user.attributes.plan > 'a'", "only numbers and times are more or less than others"),
    ("size(user.topics) > 1", "cannot be answered for many users at once"),
    ("user.attributes.since > 'yesterday'", "is no time"),
    ("user.created_at > timestamp('yesterday')", "write it as 2026-05-04T09:00:00Z"),
    ("now - user.created_at < duration('3 days')", "such as 24h or 1h30m"),
    ("user.created_at > duration('1h')", "compares a time with a duration"),
    ("user.attributes.plan ==", "column"),
    ("person.plan == 'x'", "nothing is called `person`"),
)


async def test_a_condition_that_cannot_be_answered_is_refused_at_its_place(people):
    """In segments, previews and searches alike: with the column, and what to write instead."""
    paths = (("PUT", "/v1/segments/s"), ("POST", "/v1/segments/s/preview"), ("POST", "/v1/users/search"))
    for place, (where, said) in enumerate(REFUSED):
        refused = await people.problem(*paths[place % len(paths)], {"where": where})
        assert (refused["status"], refused["errors"][0]["pointer"]) == (400, "#/where")
        assert said in refused["detail"]


async def test_users_are_searched_by_condition_page_by_page(people):
    """Newest first, with the number of all of them when it is asked for; a cursor belongs to its condition."""
    asked = {"where": "user.attributes.age > 1 && 'email' in user.channels"}
    first = await people.ok("POST", "/v1/users/search?limit=2&total=true", asked)
    assert [one["user_id"] for one in first["items"]] == ["cyd", "bob"]
    assert first["total"] == {"value": 3, "exact": True}
    rest = await people.ok("POST", f"/v1/users/search?limit=2&cursor={first['next_cursor']}", asked)
    assert ([one["user_id"] for one in rest["items"]], rest["next_cursor"], rest["total"]) == (
        ["ada"],
        None,
        None,
    )
    other = {"where": "user.attributes.age > 2"}
    wrong = await people.problem("POST", f"/v1/users/search?limit=2&cursor={first['next_cursor']}", other)
    assert wrong["errors"][0]["parameter"] == "cursor"
    both = {"where": "true", "email": "ada@example.com"}
    assert (await people.problem("POST", "/v1/users/search", both))["status"] == 400


MISTYPED = (
    ({"age": "old"}, "#/attributes/age"),
    ({"plan": ["pro"]}, "#/attributes/plan"),
    ({"since": "yesterday"}, "#/attributes/since"),
    ({"age": 2**60}, "#/attributes/age"),
)


async def test_attributes_are_of_the_types_that_the_tenant_says(people):
    """422 with the place, in PUT, PATCH, bulk and recipients; null removes, and other names stay free."""
    headers = {"content-type": "application/x-ndjson"}
    for attributes, pointer in MISTYPED:
        for method in ("PUT", "PATCH"):
            refused = await people.problem(method, "/v1/users/ada", {"attributes": attributes})
            assert (refused["status"], refused["errors"][0]["pointer"]) == (422, pointer)
        person = {"user_id": "ada", "attributes": attributes}
        bulk = await people("POST", "/v1/users/bulk", content=json.dumps(person), headers=headers)
        assert bulk.json()["items"][0]["error"]["code"] == "invalid_data"
        event = {"recipients": [person], "data": {"id": "1"}}
        sent = await people.problem("POST", "/v1/workflows/order-paid/trigger", event)
        assert sent["errors"][0]["pointer"] == f"#/recipients/0{pointer.removeprefix('#')}"
    kept = await people.ok("PATCH", "/v1/users/ada", {"attributes": {"age": None, "shoes": 39}})
    assert kept["attributes"] == {"plan": "pro", "shoes": 39}


async def test_unknown_attributes_are_refused_when_the_tenant_says_so(people):
    """With the nearest name."""
    await people.ok("PATCH", "/v1/tenant", {"only_known_attributes": True})
    refused = await people.problem("PATCH", "/v1/users/ada", {"attributes": {"plam": "x"}})
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, "#/attributes/plam")
    assert "'plan'" in refused["detail"]


async def test_what_a_segment_asks_for_stays_searchable(people):
    """Closing it is refused with the name of the segment; afterwards the search says how far users were gone through."""
    await people.ok("PUT", "/v1/segments/pros", {"where": "user.attributes.plan == 'pro'"})
    closed = {"attributes": {"plan": {"type": "string", "searchable": False}}}
    refused = await people.problem("PATCH", "/v1/tenant", closed)
    assert "'pros'" in refused["detail"]
    await people.ok("DELETE", "/v1/segments/pros")
    await people.ok("PATCH", "/v1/tenant", closed)
    assert set(await people.ok("GET", "/v1/tenant/search")) == {"running", "done", "total", "refreshed_at"}
    assert (await people.problem("POST", "/v1/users/search", {"where": "user.attributes.plan == 'pro'"}))[
        "status"
    ] == 400


async def test_names_of_attributes_can_be_written_in_conditions(people):
    """Others are refused."""
    refused = await people.problem("PATCH", "/v1/tenant", {"attributes": {"e-mail": {"type": "string"}}})
    assert refused["errors"][0]["pointer"] == "#/attributes/e-mail"
