"""The API describes itself, completely and offline."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

import pytest
from openapi_spec_validator import validate

from clarion.adapters.telemetry.prometheus import METRICS
from clarion.api import reference
from tests.architecture.source_tree import ROOT
from tests.unit.api.conftest import ACME, ROUTES
from tests.unit.api.test_access import handlers


@pytest.fixture
async def document(clarion):
    """The document as a client gets it, without a credential."""
    return await clarion.bearer("").ok("GET", "/openapi.json")


async def test_the_document_is_valid_openapi_3_1(document):
    """Generators can read it."""
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == "1.2.3"
    validate(document)


async def test_every_route_stands_in_the_document_with_a_scope_and_the_problem(document):
    """Ordinary routes and the two ingest routes alike."""
    for path in ("/v1/events", "/v1/workflows/{key}/trigger"):
        assert "post" in document["paths"][path]
    for path, handler in handlers():
        if handler.opt["scope"] is None:
            continue
        shown = document["paths"][re.sub(r":\w+}", "}", path)]
        for method in handler.http_methods:
            if method != "HEAD":
                operation = shown[str(method).lower()]
                assert operation["x-scope"] == handler.opt["scope"]
                assert "application/problem+json" in operation["responses"]["default"]["content"]
                assert operation["description"], path


async def test_the_examples_can_be_sent_as_they_stand(admin, ada, document):
    """What the documentation shows is accepted."""
    await admin.ok("PUT", "/v1/topics/shareholders")
    paths = document["paths"]
    trigger = paths["/v1/workflows/{key}/trigger"]["post"]["requestBody"]["content"]["application/json"]
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", trigger["example"])
    event = paths["/v1/events"]["post"]["requestBody"]["content"]["application/cloudevents+json"]
    assert (await admin.ok("POST", "/v1/events", event["example"]))["accepted"] == 1


async def test_names_are_plain(document):
    """No module path of ours is part of the contract."""
    assert [name for name in document["components"]["schemas"] if "." in name or "_" in name] == []


async def test_docstrings_of_fields_are_descriptions(document):
    """Written once, read everywhere."""
    fields = document["components"]["schemas"]["Trigger"]["properties"]
    assert fields["expires_at"]["description"] == "No message of this event is sent after this time."


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
async def test_the_pages_load_nothing_from_elsewhere(clarion, path):
    """They work without a network, in light and dark, and run no script but the search of the page itself."""
    answer = await clarion.bearer("")("GET", path)
    assert answer.headers["content-type"].startswith("text/html")
    assert re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", answer.text) == []
    assert "light dark" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert answer.text.count("<script") == len(scripts)
    allowed = re.findall(r"script-src ([^;]*)", policy)
    hashes = [f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts]
    assert allowed == hashes


async def test_every_link_inside_the_pages_leads_somewhere(clarion):
    """Anchors, types and error codes."""
    text = (await clarion.bearer("")("GET", "/docs")).text
    ids = set(re.findall(r'id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
    assert 'id="invalid_request"' in (await clarion.bearer("")("GET", "/docs/errors")).text


@pytest.mark.parametrize("name", ["http-api.md", "errors.md"])
def test_the_written_reference_is_up_to_date(name):
    """Run `python -m clarion.api.reference docs/reference` after a change of routes, types or codes."""
    written = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert reference.pages(ROUTES)[name] == written


async def test_health_metrics_and_readiness_need_no_credential(clarion):
    """For machines; readiness names the part that is not ready."""
    nobody = clarion.bearer("")
    assert (await nobody.ok("GET", "/healthz")) == {"status": "ok", "version": "1.2.3"}
    assert (await nobody.ok("GET", "/readyz")) == {
        "status": "ready",
        "parts": {"engine": "ok"},
        "warnings": {},
    }
    await clarion.ledger.setup.integrations.delete(ACME, "main-sms")
    warned = await nobody.ok("GET", "/readyz")
    assert (warned["status"], list(warned["warnings"])) == ("ready", ["tenant 1"])
    clarion.health["ledger"] = "the disk is full"
    answer = await nobody("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["ledger"] == "the disk is full"


async def test_metrics_speak_prometheus_and_openmetrics(clarion, admin):
    """Numbers of ledger, engine and edge on one page, nothing about tenants."""
    await admin("GET", "/v1/users/nobody")
    plain = await clarion.bearer("")("GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "clarion_events_accepted_total 0.0" in plain.text
    assert "ada" not in plain.text
    opened = await clarion.bearer("")(
        "GET", "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


async def test_every_number_of_store_and_engine_is_explained(clarion, admin, ada):
    """Nothing is counted that the reference does not explain."""
    await admin.ok("POST", "/v1/workflows/order-paid/trigger", {"recipients": ["ada"], "data": {"id": "1"}})
    for part, stats in (
        ("store", (await clarion.ledger.stats())),
        ("pipeline", (await clarion.pipeline.stats())),
    ):
        assert {key for key in stats if (part, key.partition(".")[0]) not in METRICS} == set()


async def test_an_unknown_address_is_a_page_for_a_browser_and_a_problem_for_a_program(clarion):
    """The page leads on; below /v1 everybody gets the problem."""
    call = clarion.bearer("")
    page = await call("GET", "/nothing", headers={"accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="/docs"' in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    for path, accept in (("/nothing", "*/*"), ("/v1/nothing", "text/html")):
        answer = await call("GET", path, headers={"accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"


async def test_health_is_a_page_for_a_browser_and_json_for_a_program(clarion):
    """The same parts in both; a program that takes anything gets JSON."""
    call = clarion.bearer("")
    page = await call("GET", "/readyz", headers={"accept": "text/html,*/*;q=0.8"})
    told = (await call("GET", "/readyz", headers={"accept": "*/*"})).json()
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in told["parts"]:
        assert f"<code>{name}</code>" in page.text
