"""Secrets and connections over HTTP: values that nobody reads again, and services that steps may call."""

from __future__ import annotations

import json
import re
from typing import Any

from clarion.model.setup import Scope
from tests.architecture.source_tree import ROOT
from tests.unit.api.conftest import ACME

VALUE = "Bearer s3cret-of-the-shop"
SHOP: dict[str, Any] = {
    "url": "https://93.184.215.14/v1",
    "methods": ["get", "post"],
    "headers": {"Authorization": {"secret": "shop-token"}, "X-Client": "clarion"},
}


async def test_a_secret_is_written_and_never_read(admin, clarion, tmp_path):
    """Its key, when it was written and what names it are shown, in no answer its value; on disk it is sealed."""
    stored = await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    assert (stored["key"], stored["used_by"], {*stored}) == (
        "shop-token",
        [],
        {"key", "updated_at", "used_by"},
    )
    await admin.ok("PUT", "/v1/connections/shop", SHOP)
    (shown,) = (await admin.ok("GET", "/v1/secrets"))["items"]
    assert shown["used_by"] == [{"kind": "connections", "key": "shop"}]
    assert await admin.ok("GET", "/v1/secrets/shop-token") == shown
    assert clarion.ledger.setup.secrets.all(ACME)["shop-token"].value == VALUE
    assert VALUE not in repr(clarion.ledger.setup.secrets.all(ACME))
    held = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    assert b"shop-token" in held
    assert VALUE.encode() not in held


async def test_a_new_value_has_another_tag(admin):
    """Whoever replaced it meanwhile is noticed."""
    first = await admin("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": "another"})
    old = {"if-match": first.headers["etag"]}
    problem = await admin.problem("PUT", "/v1/secrets/shop-token", {"value": "mine"}, headers=old)
    assert problem["code"] == "precondition_failed"


async def test_a_secret_that_is_in_use_stays(admin):
    """The answer says by what; once nothing names it, it goes."""
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    await admin.ok("PUT", "/v1/connections/shop", SHOP)
    problem = await admin.problem("DELETE", "/v1/secrets/shop-token")
    assert (problem["code"], "connections/shop" in problem["detail"]) == ("conflict", True)
    await admin.ok("DELETE", "/v1/connections/shop")
    await admin.ok("DELETE", "/v1/secrets/shop-token")
    problem = await admin.problem("DELETE", "/v1/secrets/shop-tokn")
    assert problem["code"] == "not_found"


async def test_a_secret_that_cannot_be_one_is_refused(admin):
    """And what was sent is not repeated."""
    for value in ("", 7, None, "x" * 20_000):
        problem = await admin.problem("PUT", "/v1/secrets/shop-token", {"value": value})
        assert [one["pointer"] for one in problem["errors"]] == ["#/value"]
        assert "xxxxx" not in json.dumps(problem)


async def test_a_wrong_field_of_a_secret_does_not_show_its_value(admin):
    """Who misspells `value` has sent a secret all the same."""
    problem = await admin.problem("PUT", "/v1/secrets/shop-token", {"valu": VALUE})
    assert VALUE not in json.dumps(problem)


async def test_only_admins_see_secrets(clarion, admin):
    """A key that reads everything else does not list them."""
    reader = await clarion.client(Scope.READ)
    assert (await reader.problem("GET", "/v1/secrets"))["code"] == "forbidden"
    assert (await reader.ok("GET", "/v1/connections"))["items"] == []


async def test_a_connection_is_stored_and_changed(admin):
    """With the name of its secret; what is left out has its default."""
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    stored = await admin.ok("PUT", "/v1/connections/shop", SHOP)
    assert stored["headers"] == SHOP["headers"]
    assert (stored["timeout_s"], stored["limits"]) == (10, {"at_once": 8, "tokens_per_day": None})
    changed = await admin.ok("PATCH", "/v1/connections/shop", {"timeout_s": 3, "methods": None})
    assert (changed["timeout_s"], changed["methods"]) == (3, ["get"])
    assert await admin.ok("GET", "/v1/connections/shop") == changed
    assert (await admin.ok("GET", "/v1/connections"))["items"] == [changed]


WRONG_CONNECTIONS: tuple[Any, ...] = (
    ({"url": "ftp://example.com"}, "#/url", "http"),
    ({"url": "http://169.254.169.254/latest"}, "#/url", "169.254.169.254"),
    ({"url": "https://user:pw@93.184.215.14/"}, "#/url", "user name"),
    ({"url": "https://93.184.215.14/?a=1"}, "#/url", "?"),
    ({"methods": ["delete"]}, "#/methods/0", "get"),
    ({"methods": []}, "#/methods", "at least one"),
    ({"headers": {"Host": "x"}}, "#/headers/Host", "set by Clarion"),
    ({"headers": {"Authorization": "Bearer open"}}, "#/headers/Authorization", "secret"),
    ({"headers": {"X-A": "a\r\nX-B: b"}}, "#/headers/X-A", "printable"),
    ({"headers": {"a b": "x"}}, "#/headers/a b", "no name"),
    ({"headers": {f"X-{n}": "x" for n in range(21)}}, "#/headers", "at most 20"),
    ({"headers": {"X-A": {"secret": "shop-tokn"}}}, "#/headers/X-A/secret", "shop-token"),
    ({"timeout_s": 31}, "#/timeout_s", "30"),
    ({"limits": {"at_once": 0}}, "#/limits/at_once", "1"),
)
"""What is changed, and where and how that is refused."""


async def test_a_connection_that_cannot_work_is_refused(admin):
    """With the field that is wrong and what to do."""
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    for change, pointer, said in WRONG_CONNECTIONS:
        problem = await admin.problem("PUT", "/v1/connections/shop", {**SHOP, **change})
        assert pointer in [one["pointer"] for one in problem["errors"]]
        assert said in json.dumps(problem)


async def test_a_plan_names_the_secret_that_is_missing(admin):
    """Files name secrets and never hold them: a new environment needs them first."""
    documents = {"connections": {"shop": SHOP}}
    plan = await admin.ok("POST", "/v1/config/plan", {"documents": documents})
    (error,) = plan["errors"]
    assert error["pointer"] == "#/documents/connections/shop/headers/Authorization/secret"
    assert "clarion secrets set" in error["detail"]
    assert plan["plan_id"] is None
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    plan = await admin.ok("POST", "/v1/config/plan", {"documents": documents})
    assert [(one["kind"], one["key"]) for one in plan["changes"]] == [("connections", "shop")]
    await admin.ok("POST", "/v1/config/apply", {"documents": documents, "plan_id": plan["plan_id"]})
    exported = await admin.ok("GET", "/v1/config")
    assert exported["documents"]["connections"] == {"shop": SHOP}
    assert VALUE not in json.dumps(exported)


PAGE = (ROOT / "docs/how-to/call-your-services.md").read_text(encoding="utf-8")
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
CONNECTION, WORKFLOW, WRITTEN = BLOCKS


async def with_workflow(admin: Any, **fetch: Any) -> Any:
    """The documented connection and workflow, its step changed."""
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    await admin.ok("PUT", "/v1/connections/shop", {**CONNECTION, "url": SHOP["url"]})
    asks, _, mail = WORKFLOW["steps"]
    steps = [{**asks, **fetch}, {**mail, "template": "paid"}]
    return {**WORKFLOW, "category": "orders", "steps": steps}


async def test_the_documented_workflow_is_published(admin):
    """And its connection stays for as long as it is there."""
    await admin.ok("PUT", "/v1/workflows/priced", await with_workflow(admin))
    problem = await admin.problem("DELETE", "/v1/connections/shop")
    assert "priced" in problem["detail"]
    await admin.ok("DELETE", "/v1/workflows/priced")
    await admin.ok("DELETE", "/v1/connections/shop")


WRONG_STEPS: tuple[Any, ...] = (
    ({"connection": "shpo"}, "#/steps/0/connection", "Did you mean 'shop'?"),
    ({"method": "put"}, "#/steps/0/method", "post"),
    ({"attempts": 11}, "#/steps/0/attempts", "10"),
    ({"within_s": 1}, "#/steps/0/within_s", "2"),
    ({"fallback": 3}, "#/steps/0/fallback", "object"),
)
"""What is changed, and where and how that is refused."""


async def test_a_workflow_that_asks_wrongly_is_refused(admin):
    """With where and the nearest name."""
    for change, pointer, said in WRONG_STEPS:
        problem = await admin.problem("PUT", "/v1/workflows/priced", await with_workflow(admin, **change))
        assert pointer in [one["pointer"] for one in problem["errors"]]
        assert said in json.dumps(problem)


async def test_a_method_that_the_connection_does_not_allow_is_refused(admin):
    """Where the step says it."""
    body = await with_workflow(admin, method="post", cache_s=None)
    await admin.ok("PATCH", "/v1/connections/shop", {"methods": None})
    problem = await admin.problem("PUT", "/v1/workflows/priced", body)
    assert [one["pointer"] for one in problem["errors"]] == ["#/steps/0/method"]


async def test_a_dry_run_says_what_it_would_ask_and_asks_nobody(admin, ada):
    """It goes on with the fallback."""
    await admin.ok("PUT", "/v1/workflows/priced", await with_workflow(admin))
    body = {"recipients": ["ada"], "data": {"order_id": "A-1"}}
    answer = await admin.ok("POST", "/v1/workflows/priced/trigger?dry_run=true&skip_waits=true", body)
    (run,) = answer["runs"]
    asked = [step["text"] for step in run["steps"]]
    assert "Step 'price': would ask GET /orders/A-1 of shop." in asked
    assert [step["result"] for step in run["steps"]] == ["calls", "done", "sent"]


GENERATED = {
    "key": "words",
    "type": "generate",
    "connection": "shop",
    "model": "small",
    "prompt": "One friendly line.",
    "input": "data",
    "output": {"type": "object", "required": ["line"]},
    "fallback": {"line": "Thanks"},
}


async def test_the_documented_words_are_published(admin):
    """With the connection that the page describes."""
    await admin.ok("PUT", "/v1/connections/llm", {"url": SHOP["url"], "methods": ["post"]})
    words, tell, mail = WRITTEN["steps"]
    steps = [words, {**tell, "workflow": "order-paid"}, {**mail, "template": "paid"}]
    await admin.ok("PUT", "/v1/workflows/written", {"category": "orders", "steps": steps})


WRITTEN_STEPS: tuple[Any, ...] = (
    ({"output": {"type": "objekt"}}, False, "#/steps/0/output/type"),
    ({"fallback": {"lin": "x"}}, False, "#/steps/0/fallback"),
    ({"fallback": None}, False, "#/steps/0"),
    ({"input": "data."}, False, "#/steps/0/input"),
    ({}, True, "#/steps/1/when"),
)
"""What is changed, and where and how that is refused."""


async def test_a_step_that_generates_is_checked_when_it_is_published(admin):
    """Its fallback fits its schema, and no alarm goes by what a model wrote."""
    await admin.ok("PUT", "/v1/secrets/shop-token", {"value": VALUE})
    await admin.ok("PUT", "/v1/connections/shop", SHOP)
    mail = {"key": "mail", "template": "paid", "to": {"mode": "all", "channels": ["email"]}}
    for change, critical, pointer in WRITTEN_STEPS:
        await admin.ok("PUT", "/v1/categories/alarms", {"critical": critical})
        steps = [{**GENERATED, **change}, {**mail, "when": "steps.words.value.line != ''"}]
        body = {"category": "alarms", "steps": steps}
        problem = await admin.problem("PUT", "/v1/workflows/written", body)
        assert pointer in [one["pointer"] for one in problem["errors"]]
    written = {"category": "orders", "steps": [GENERATED, {**mail, "when": "steps.words.value.line != ''"}]}
    await admin.ok("PUT", "/v1/workflows/written", written)
    problem = await admin.problem("PATCH", "/v1/categories/orders", {"critical": True})
    assert "written" in problem["detail"]
