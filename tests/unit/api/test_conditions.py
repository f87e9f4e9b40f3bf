"""A change is made only to what its caller has seen: `ETag`, `If-Match` and `If-None-Match` on every resource."""

from __future__ import annotations

import asyncio

import pytest

from clarion.model.setup import Scope
from clarion.ports import terms

CATEGORY = {"name": "News"}
DOCUMENTS = (
    ("/v1/categories/news", CATEGORY, {"name": "Latest"}),
    ("/v1/templates/hi", {"channels": {"sms": {"en": {"text": "a"}}}}, {"channels": {"sms": {"en": {"text": "b"}}}}),
    ("/v1/partials/foot", {"source": "a"}, {"source": "b"}),
    ("/v1/integrations/spare", {"channel": "sms", "provider": "capture"}, {"channel": "sms", "provider": "capture", "weight": 5}),
    ("/v1/users/grace", {"email": "grace@example.com"}, {"locale": "de"}),
    ("/v1/topics/nerds", {"name": "a"}, {"name": "b"}),
    ("/v1/objects/team/nerds", {"name": "a"}, {"name": "b"}),
)  # fmt: skip
WORKFLOW = {
    "category": "orders",
    "steps": [{"key": "note", "template": "paid", "to": {"mode": "all", "channels": ["sms"]}}],
}


async def etag(api, path: str) -> str:
    """As a read tells it."""
    answer = await api("GET", path)
    assert answer.is_success, answer.text
    return answer.headers["etag"]


@pytest.mark.parametrize(("path", "first", "second"), DOCUMENTS)
async def test_only_what_was_seen_is_changed(admin, path, first, second):
    """Each write answers the next ETag, and whoever holds an older one is refused with the present one."""
    one = (await admin("PUT", path, first, headers={"if-none-match": "*"})).headers["etag"]
    assert one.startswith('"')
    two = (await admin("PUT", path, second, headers={"if-match": one})).headers["etag"]
    assert two != one
    for method, body in (("PUT", first), ("DELETE", None)):
        late = await admin(method, path, body, headers={"if-match": one})
        assert (late.status_code, late.headers["etag"], late.json()["code"]) == (
            412,
            two,
            "precondition_failed",
        )
        assert late.json()["errors"][0]["header"] == "If-Match"
    assert (await admin("PUT", path, first, headers={"if-none-match": "*"})).status_code == 412
    assert (await admin("PUT", path, first, headers={"if-none-match": two})).status_code == 412
    assert (await admin("DELETE", path, headers={"if-match": f'"other", {two}'})).is_success
    gone = await admin("PUT", path, first, headers={"if-match": two})
    assert (gone.status_code, "etag" in gone.headers) == (412, False)
    assert (await admin("PUT", path, first, headers={"if-match": "*"})).status_code == 412
    assert (await admin("DELETE", path, headers={"if-match": two})).status_code == 404


async def test_reading_tells_the_same_tag_as_writing(admin, ada):
    """Also of a user's preferences, the tenant, a workflow and its old versions."""
    put = await admin("PUT", "/v1/users/ada/preferences", {"channels": {"sms": False}})
    assert (
        put.headers["etag"]
        == await etag(admin, "/v1/users/ada/preferences")
        == await etag(admin, "/v1/users/ada")
    )
    patched = await admin("PATCH", "/v1/tenant", {"name": "Acme"})
    assert patched.headers["etag"] == await etag(admin, "/v1/tenant")
    assert (await admin("PUT", "/v1/workflows/w", WORKFLOW)).headers["etag"] == '"v1"'
    await admin.ok("PUT", "/v1/workflows/w", WORKFLOW)
    assert (await etag(admin, "/v1/workflows/w"), await etag(admin, "/v1/workflows/w?version=1")) == (
        '"v2"',
        '"v1"',
    )


async def test_of_many_who_change_the_same_one_wins(admin, ada):
    """The store decides inside its transaction: the others saw what is no longer there."""
    for path, method, bodies in (
        ("/v1/users/ada", "PATCH", [{"attributes": {"n": n}} for n in range(8)]),
        ("/v1/tenant", "PATCH", [{"name": f"Acme {n}"} for n in range(8)]),
        ("/v1/workflows/order-paid", "PUT", [{**WORKFLOW, "name": f"{n}"} for n in range(8)]),
        (
            "/v1/users/ada/preferences",
            "PUT",
            [{"channels": {one: False}} for one in ("sms", "email", "push")],
        ),
    ):
        seen = {"if-match": await etag(admin, path)}
        answers = await asyncio.gather(*(admin(method, path, body, headers=seen) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [200, *[412] * (len(bodies) - 1)], path


async def test_a_message_is_canceled_only_as_it_was_seen(clarion, admin, ada):
    """Its tag is another one after every change, whoever made it."""
    sent = await admin.ok(
        "POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}}
    )
    path = "/v1/messages"
    found: list[dict[str, object]] = []
    async with asyncio.timeout(10):
        while not found or {one["status"] for one in found} & {"queued", "sending"}:
            found = (await admin.ok("GET", path))["items"]
            await asyncio.sleep(0.01)
    one = f"{path}/{found[0]['id']}"
    assert await etag(admin, one) == await etag(admin, one)
    assert (await admin("POST", f"{one}/cancel", headers={"if-match": '"x0"'})).status_code == 412
    assert (
        await admin("POST", f"{one}/cancel", headers={"if-match": await etag(admin, one)})
    ).status_code == 409
    assert (await admin("GET", f"/v1/events/{sent['event_id']}")).headers["etag"].startswith('"b')


@pytest.mark.parametrize(
    "header", ["v1", '"v1', "", " ", '"v1" "v2"', '"v1",', "*, *", "'v1'", "W/v1", '"a\tb"', '"v1";q=1']
)
async def test_what_is_no_list_of_etags_is_refused(admin, header):
    """With the header named, and what was sent."""
    await admin.ok("PUT", "/v1/categories/news", CATEGORY)
    for name in ("If-Match", "If-None-Match"):
        shown = await admin.problem("PUT", "/v1/categories/news", CATEGORY, headers={name: header})
        assert (shown["code"], shown["errors"][0]["header"]) == ("invalid_request", name)


async def test_weak_and_foreign_tags_never_match(admin):
    """A change needs the strong one; `*` is any."""
    tag = (await admin("PUT", "/v1/categories/news", CATEGORY)).headers["etag"]
    assert (
        await admin("PUT", "/v1/categories/news", CATEGORY, headers={"if-match": f"W/{tag}"})
    ).status_code == 412
    assert (await admin("PUT", "/v1/categories/news", CATEGORY, headers={"if-match": "*"})).is_success
    doubled = [("if-match", '"other"'), ("if-match", tag)]
    assert (
        await admin("PUT", "/v1/categories/news", CATEGORY, headers=dict([doubled[0]]))
    ).status_code == 412


async def test_a_condition_that_means_nothing_is_not_ignored(admin, ada):
    """On what is not about one resource it is refused."""
    for path, body in (
        ("/v1/users/bulk", None),
        ("/v1/keys", {"name": "k", "scope": "read"}),
        ("/v1/users/ada/tokens", {}),
    ):
        shown = await admin.problem("POST", path, body, headers={"if-match": '"v1"'})
        assert (shown["status"], shown["errors"][0]["header"]) == (400, "If-Match"), path


async def test_a_tenant_can_demand_that_every_change_names_what_it_was_made_from(clarion, admin, ada):
    """428 without a condition; creating something below a resource needs none."""
    await admin.ok("PATCH", "/v1/tenant", {"require_if_match": True})
    for method, path, body in (
        ("PATCH", "/v1/users/ada", {"locale": "de"}),
        ("DELETE", "/v1/users/ada", None),
        ("PUT", "/v1/categories/news", CATEGORY),
        ("PATCH", "/v1/tenant", {"require_if_match": False}),
    ):
        shown = await admin.problem(method, path, body)
        assert (shown["status"], shown["code"]) == (428, "precondition_required")
    assert (await admin("PUT", "/v1/categories/news", CATEGORY, headers={"if-none-match": "*"})).is_success
    await admin.ok("POST", "/v1/users/ada/tokens", {})
    other = await clarion.client(Scope.ADMIN, 2)
    await other.ok("PUT", "/v1/categories/news", CATEGORY)
    await admin.ok(
        "PATCH",
        "/v1/tenant",
        {"require_if_match": None},
        headers={"if-match": await etag(admin, "/v1/tenant")},
    )
    await admin.ok("PUT", "/v1/categories/news", CATEGORY)


async def test_conditions_end_with_their_request(admin, ada):
    """What is written afterwards by the same task is free of them."""
    await admin(
        "PATCH", "/v1/users/ada", {"locale": "de"}, headers={"if-match": await etag(admin, "/v1/users/ada")}
    )
    assert terms.current() is None
    await admin("PATCH", "/v1/users/ada", {"locale": "fr"}, headers={"if-match": '"x0"'})
    assert terms.current() is None
