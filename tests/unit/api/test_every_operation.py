"""What holds for every operation of the API, taken from its own description: none is forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from clarion.api import openapi
from clarion.api.problems import CATALOGUE, LONGEST
from clarion.model.setup import NO_TENANT, Scope
from clarion.services.api_keys import ALLOWED
from tests.unit.api.conftest import ACME, ROUTES, Api, Installation

OPERATIONS = list(openapi.operations(openapi.whole(ROUTES)))
WITH_BODY = [(path, method, found) for path, method, found in OPERATIONS if "requestBody" in found]
OWN = "/v1/users/{user_id}/inbox"
"""What a person's own token opens."""
NO_JSON = (b"{", b"\xff", b"[1", b"nil", b'{"a":\xc3\x28}')
WRONG: tuple[Any, ...] = ([], "x", 7, 1e308, None, True, {"": 0}, {"no such field": {"x": [1]}}, [[]] * 3)
STRANGE = (
    "%00",
    "%ff",
    "%C3%28",
    "%2e%2e",
    "a%2Fb",
    "-1",
    "9" * 30,
    "x" * 5_000,
    "%F0%9F%98%80",
    "%ED%A0%80",
)
CURSORS = ("0", "AAAA", "%00", "%ff", "*", "9" * 40, "A" * 5_000, "-1", "null")


def named(path: str, **values: str) -> str:
    """The path with every place filled in."""
    for place in [segment for segment in path.split("/") if segment.startswith("{")]:
        path = path.replace(place, values.get(place[1:-1], values.get("any", "x")))
    return path


def json_of(operation: dict[str, Any]) -> bool:
    """Whether it reads JSON and nothing else."""
    return list(operation["requestBody"]["content"]) == ["application/json"]


async def refused(api: Api, method: str, path: str, **more: Any) -> dict[str, Any]:
    """A problem of the catalogue that says what is wrong, in few words, and of what."""
    shown = await api.problem(method.upper(), path, **more)
    kind = CATALOGUE[shown["code"]]
    assert (shown["title"], shown["status"]) == (kind.title, kind.status), path
    assert shown["status"] < 500, (method, path, more, shown)
    assert 0 < len(shown["detail"]) <= LONGEST
    if shown["code"] == "invalid_request":
        assert all({"pointer", "parameter", "header"} & {*fault} for fault in shown["errors"]), shown
        assert shown["errors"], shown
    return shown


async def test_no_operation_is_open_to_a_smaller_scope(clarion):
    """403 before anything is read or looked up."""
    for scope in Scope:
        api = await clarion.client(scope, NO_TENANT if scope is Scope.OPERATOR else ACME)
        for path, method, found in OPERATIONS:
            needed = found.get("x-scope")
            allowed = ALLOWED[scope] | (
                {"admin"} if scope is Scope.OPERATOR and "x-operator" in found else set()
            )
            if needed is not None and needed not in allowed:
                assert (await refused(api, method, named(path)))["code"] == "forbidden", (scope, method, path)


async def test_a_persons_own_token_opens_their_inbox_and_nothing_else(clarion, admin, ada):
    """Neither anything of the tenant nor the inbox of somebody else."""
    own = await clarion.own("ada")
    await own.ok("GET", "/v1/users/ada/inbox")
    for path, method, found in OPERATIONS:
        if found.get("x-scope") is not None:
            user = "grace" if path.startswith(OWN) else "ada"
            assert (await refused(own, method, named(path, user_id=user)))["code"] in {
                "forbidden",
                "unauthenticated",
            }


async def things(clarion: Installation, admin: Api) -> dict[str, str]:
    """One of everything that has a name, in the first tenant."""
    event = await admin.ok(
        "POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": 1}}
    )
    await admin.ok("PUT", "/v1/partials/footer", {"source": "Bye"})
    await admin.ok("PUT", "/v1/topics/news", {})
    await admin.ok(
        "PUT", "/v1/templates/paid/draft", {"template": await admin.ok("GET", "/v1/templates/paid")}
    )
    endpoint = await admin.ok("POST", "/v1/endpoints", {"url": "https://example.com/hook"})
    blocked = await admin.ok("POST", "/v1/suppressions", {"channel": "email", "address": "x@example.com"})
    key = await admin.ok("POST", "/v1/keys", {"name": "theirs", "scope": "read"})
    async with asyncio.timeout(10):
        while not (messages := (await admin.ok("GET", "/v1/messages"))["items"]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    contacts = (await admin.ok("GET", "/v1/users/ada/contacts"))["items"]
    return {
        "user_id": "ada",
        "event_id": event["event_id"],
        "message_id": messages[0]["id"],
        "endpoint_id": endpoint["id"],
        "key_id": key["id"],
        "contact_id": contacts[0]["id"],
        "suppression_id": blocked["id"],
        "channel": "email",
    }


KEYS = {
    "categories": "orders",
    "templates": "paid",
    "workflows": "order-paid",
    "integrations": "main-email",
    "partials": "footer",
    "topics": "news",
}


async def test_what_belongs_to_another_tenant_is_not_there(clarion, admin, ada):
    """Reading, changing or deleting by a good name of somebody else's: 404, and nothing happened to it."""
    names = await things(clarion, admin)
    stranger = await clarion.client(Scope.ADMIN, tenant=2)
    seen = 0
    for path, method, found in OPERATIONS:
        if (
            found.get("x-scope") == "operator"
            or "{" not in path
            or method == "put"
            or "requestBody" in found
            or "{locale}" in path
        ):
            continue
        place = named(path, key=KEYS.get(path.split("/")[2], "x"), **names)
        answer = await stranger(method.upper(), place)
        if answer.status_code == 200:  # pages of what was under a key, and is still readable
            assert answer.json().get("items") == [], (method, place)
        else:
            assert answer.status_code == 404, (method, place, answer.text)
            seen += 1
    assert seen > 25
    for kind, key in KEYS.items():
        if kind != "topics":
            await admin.ok("GET", f"/v1/{kind}/{key}")
    await admin.ok("GET", f"/v1/messages/{names['message_id']}")
    await admin.ok("GET", f"/v1/endpoints/{names['endpoint_id']}")


async def test_a_body_that_is_no_json_or_not_the_right_one_is_a_problem(admin, operator, ada):
    """Wherever a body is read: not UTF-8, cut off, another type, fields nobody knows, nested without end."""
    await admin.ok("PUT", "/v1/topics/x", {})
    for path, method, found in WITH_BODY:
        if not json_of(found):
            continue
        place = named(path, user_id="ada", key="x")
        api = operator if found.get("x-scope") == "operator" else admin
        headers = {"content-type": "application/json"}
        for raw in NO_JSON:
            shown = await refused(api, method, place, content=raw, headers=headers)
            assert shown["code"] in {"malformed_json", "invalid_request", "not_found"}, (place, raw, shown)
        for deep in (b"[" * 50_000, b'{"a":' * 500 + b"1" + b"}" * 500):
            shown = await refused(api, method, place, content=deep, headers=headers)
            assert shown["code"] in {"too_deep", "malformed_json"}, (place, shown)
        for body in WRONG:
            answer = await api(method.upper(), place, content=msgspec.json.encode(body), headers=headers)
            assert answer.status_code < 500, (method, place, body, answer.text)
            if not answer.is_success:
                await refused(api, method, place, content=msgspec.json.encode(body), headers=headers)
        shown = await refused(api, method, place, content=b"{}", headers={"content-type": "text/csv"})
        assert shown["code"] in {"unsupported_media_type", "not_found"}
        huge = b'{"a":"' + b"x" * 1_100_000 + b'"}'
        assert (await refused(api, method, place, content=huge, headers=headers))["code"] == "body_too_large"


@pytest.mark.parametrize("strange", STRANGE, ids=lambda text: text[:10])
async def test_strange_names_are_refused_or_not_found(admin, ada, strange):
    """Bytes that are no text, paths in disguise, numbers beyond every column, endless names."""
    for path, method, found in OPERATIONS:
        if "{" in path and "requestBody" not in found:
            place = named(path, any=strange)
            answer = await admin(method.upper(), place)
            if not answer.is_success:
                await refused(admin, method, place)


async def test_a_parameter_that_is_wrong_is_named(admin, operator, ada):
    """Pages: a cursor nobody gave out, a limit that is none. A misspelt filter matches nothing at all."""
    for path, method, found in OPERATIONS:
        parameters = {one["name"] for one in found.get("parameters", ()) if one["in"] == "query"}
        place = named(path, user_id="ada")
        api = operator if found.get("x-scope") == "operator" else admin
        if method != "get" or path.startswith(("/healthz", "/readyz", "/metrics")):
            continue
        shown = await refused(api, method, f"{place}?nonsense=1")
        assert shown["errors"][0]["parameter"] == "nonsense"
        if "cursor" in parameters:
            for cursor in CURSORS:
                answer = await api("GET", f"{place}?cursor={cursor}&limit=5{'&wait_s=0' * ('tail' in path)}")
                if not answer.is_success:
                    assert answer.status_code in (400, 404), (place, cursor, answer.text)
            for limit in ("0", "-1", "x", "1e3", "99999999999999999999", ""):
                shown = await refused(api, method, f"{place}?limit={limit}")
                assert shown["code"] == "not_found" or shown["errors"][0]["parameter"] == "limit", (
                    place,
                    limit,
                )


async def test_a_method_that_is_not_there_is_answered_with_those_that_are(admin):
    """405 and the list of those that work."""
    methods: dict[str, set[str]] = {}
    for path, method, _ in OPERATIONS:
        methods.setdefault(path, set()).add(method.upper())
    for path, known in methods.items():
        if not path.startswith("/v1/"):
            continue
        (wrong, *_) = sorted({"GET", "PUT", "POST", "PATCH", "DELETE"} - known)
        answer = await admin(wrong, named(path))
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), (wrong, path)
        assert set(answer.headers["allow"].split(", ")) >= known


async def test_a_number_no_computer_holds_is_refused_at_its_place(admin):
    """JSON knows no bounds; the answer points at the body, or into it."""
    shown = await refused(
        admin, "PUT", "/v1/users/ada", content=b"1e999", headers={"content-type": "application/json"}
    )
    assert (shown["code"], shown["errors"][0]["pointer"]) == ("invalid_request", "#")


async def test_what_was_sent_is_quoted_in_part_only(admin):
    """A name as long as a book does not come back as long."""
    shown = await refused(admin, "GET", f"/v1/templates/{'x' * 20_000}")
    assert shown["detail"].endswith("…")
    shown = await refused(admin, "PUT", "/v1/users/ada", json={"y" * 20_000: 1})
    assert len(str(shown)) < 5 * LONGEST


FREE = {
    "thread",
    "collapse_key",
    "data",
    "example_data",
    "attributes",
    "config",
    "channels",
    "content",
    "source",
}
"""Where an empty text is one: the pointer to the whole document, and what callers wrote themselves."""


def empty(value: Any, place: str = "") -> list[str]:
    """Where an answer says nothing with an empty text."""
    if isinstance(value, dict):
        return [at for name, one in value.items() if name not in FREE for at in empty(one, f"{place}/{name}")]
    if isinstance(value, list):
        return [at for one in value for at in empty(one, place)]
    return [place] if value == "" else []


async def test_nothing_is_null_in_every_answer_never_an_empty_text(clarion, admin, operator, ada):
    """Read everything there is, of things of which nothing was said but what is needed."""
    names = await things(clarion, admin)
    seen = 0
    for path, method, found in OPERATIONS:
        if method == "get" and found.get("x-scope"):
            client = operator if found["x-scope"] == "operator" else admin
            query = "?wait_s=0" if path.endswith("/tail") else ""
            answer = await client("GET", named(path, key=KEYS.get(path.split("/")[2], "x"), **names) + query)
            if answer.status_code == 200 and "json" in answer.headers["content-type"]:
                assert empty(answer.json()) == [], path
                seen += 1
    assert seen > 25
