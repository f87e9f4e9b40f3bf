"""The problem catalogue is complete, documented, and the only way an error leaves the house."""

from __future__ import annotations

import pytest

import clarion.api.problems as catalogue
from clarion import errors
from clarion.api import ApiLimits
from clarion.api.problems import CATALOGUE, problem
from tests.architecture.source_tree import ROOT


def tree(kind=errors.ClarionError):
    """Every class of the error tree."""
    return [kind, *(found for child in kind.__subclasses__() for found in tree(child))]


ERRORS = [kind for kind in tree() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_place_in_the_catalogue(kind):
    """Same code, same status: what the engine raises is what the caller reads about."""
    assert kind.code in CATALOGUE
    assert CATALOGUE[kind.code].status == kind.status


def test_a_code_that_nobody_catalogued_says_nothing():
    """An error of a plug-in cannot leak through its own code."""

    class Strange(errors.ClarionError):
        code = "strange"

    shown = problem(Strange("secret"))
    assert (shown.code, shown.status) == ("internal", 500)
    assert "secret" not in str(shown)


def test_every_code_is_documented_with_its_status():
    """The page and the catalogue say the same."""
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    for code, kind in CATALOGUE.items():
        assert f"| `{code}` | {kind.status} | {kind.title} | {kind.advice} |" in page


async def test_an_unexpected_error_shows_an_incident_and_nothing_else(clarion, admin, capsys):
    """500, the id under which the log has the cause, and no internals; ordinary and ingest routes alike."""

    class Broken:
        async def submit(self, tenant, submissions):
            raise RuntimeError("the password is hunter2")

        async def dry_run(self, tenant, submission):
            raise ZeroDivisionError

    from clarion.model.setup import Scope

    def sick():
        raise RuntimeError("the password is hunter2")

    edge = clarion.with_limits(ApiLimits(), pipeline=Broken(), health=sick)
    client = await clarion.client(Scope.ADMIN, edge=edge)
    for method, path, body in (
        ("POST", "/v1/events", {"workflow": "w", "recipients": ["a"]}),
        ("GET", "/readyz", None),
    ):
        answer = await client(method, path, body)
        assert answer.status_code == 500
        shown = answer.json()
        assert shown["code"] == "internal"
        assert "hunter2" not in answer.text
        logged = capsys.readouterr().out
        assert shown["incident"] in logged
        assert logged.count("unexpected error in a request") == 1


async def test_every_answer_carries_the_safe_headers(admin, ada):
    """No sniffing, no caching; also on errors."""
    for method, path, body in (
        ("GET", "/v1/users/ada", None),
        ("GET", "/v1/users/nobody", None),
        ("GET", "/nothing", None),
        ("GET", "/docs", None),
        ("POST", "/v1/events", []),
        ("POST", "/v1/events", {}),
    ):
        answer = await admin(method, path, body)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_codes_are_words_and_titles_are_short():
    """A code is an identifier; a title fits a line."""
    for code, kind in CATALOGUE.items():
        assert code.isidentifier()
        assert code == code.lower()
        assert len(kind.title) < 60
        assert kind.advice.endswith(".")
    assert catalogue.DOCS == "/docs/errors#"


async def test_what_is_not_there_is_told_as_it_was_sent(admin, clarion):
    """An escaped slash stays one in a path, and is a slash in a name; nobody is shown what stands for it inside."""
    for path in ("/v1/nothing%2Fhere", "/v1/no/%2f%2F", "/a%2fb"):
        told = await admin.problem("GET", path)
        assert (told["status"], f"no route {path}." in told["detail"]) == (404, True)
    for kind in (
        "categories",
        "workflows",
        "templates",
        "partials",
        "integrations",
        "topics",
        "messages",
        "keys",
    ):
        method = "DELETE" if kind == "keys" else "GET"
        told = await admin.problem(method, f"/v1/{kind}/a%2Fb")
        assert told["status"] == 404
        assert "\ue000" not in told["detail"]
    told = await admin.problem("POST", "/v1/workflows/a%2Fb/trigger", {"recipients": ["ada"]})
    assert (told["status"], "'a/b'" in str(told)) == (404, True)
