"""Layouts and partials: shared by templates, copied into every version, and never able to break one unseen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clarion.model.setup import Scope


def mail(text: str, **more: object) -> dict[str, object]:
    """A template with one email."""
    return {"channels": {"email": {"en": {"subject": "Hi", "text": text}}}, **more}


async def text_of(admin, key: str, **asked: object) -> str:
    """What the email of a template says."""
    shown = await admin.ok("POST", f"/v1/templates/{key}/preview", asked)
    return str(shown["previews"][0]["content"]["text"])


@pytest.fixture
async def branded(admin):
    """A layout that includes a footer, one template in it, one that only has the footer, one with neither."""
    await admin.ok("PUT", "/v1/partials/footer", {"source": "Acme, Street 1"})
    layout = "Dear reader,\n{% block body %}{% endblock %}\n{% include 'footer' %}"
    await admin.ok("PUT", "/v1/partials/letter", {"source": layout, "name": "Letter"})
    written = "{% extends 'letter' %}{% block body %}Hello{% endblock %}"
    await admin.ok("PUT", "/v1/templates/hello", mail(written, example_data={"name": "Ada"}))
    await admin.ok("PUT", "/v1/templates/short", mail("Bye. {% include 'footer' %}"))
    await admin.ok("PUT", "/v1/templates/plain", mail("Plain"))


@pytest.mark.usefixtures("branded")
async def test_a_version_carries_what_it_uses(admin):
    """Directly and through others; and nothing else."""
    for key, used in (("hello", {"letter", "footer"}), ("short", {"footer"}), ("plain", set())):
        assert set((await admin.ok("GET", f"/v1/templates/{key}"))["partials"]) == used
    assert await text_of(admin, "hello") == "Dear reader,\nHello\nAcme, Street 1"


@pytest.mark.usefixtures("branded")
async def test_a_changed_partial_goes_live_with_the_templates_that_use_it(admin):
    """They get their next version in the same moment; old versions keep saying what they said."""
    changed = await admin.ok("PUT", "/v1/partials/footer", {"source": "Acme, Street 2"})
    assert changed["partial"]["version"] == 2
    assert changed["templates"] == [{"key": "hello", "version": 2}, {"key": "short", "version": 2}]
    assert await text_of(admin, "hello") == "Dear reader,\nHello\nAcme, Street 2"
    assert await text_of(admin, "hello", version=1) == "Dear reader,\nHello\nAcme, Street 1"
    assert (await admin.ok("GET", "/v1/templates/plain"))["version"] == 1
    (newest, _) = (await admin.ok("GET", "/v1/templates/short/versions"))["items"]
    assert newest["origin"] == "partial footer"
    shown = await admin.ok("GET", "/v1/partials/letter")
    assert shown["templates"] == [{"key": "hello", "version": 2}]
    assert (await admin.ok("GET", "/v1/partials/footer?version=1"))["partial"]["source"] == "Acme, Street 1"


@pytest.mark.usefixtures("branded")
async def test_a_partial_that_would_break_a_template_is_refused_and_names_it(admin):
    """Nothing has changed then: neither the partial nor the templates that could have gone along."""
    refused = await admin.problem("PUT", "/v1/partials/footer", {"source": "{{ nobody.name }}"})
    assert (refused["status"], refused["code"]) == (422, "content_error")
    assert "'hello'" in " ".join(one["detail"] for one in refused["errors"])
    assert {one["pointer"] for one in refused["errors"]} == {"#/source"}
    assert (await admin.ok("GET", "/v1/partials/footer"))["partial"]["version"] == 1
    assert [(await admin.ok("GET", f"/v1/templates/{key}"))["version"] for key in ("hello", "short")] == [
        1,
        1,
    ]


@pytest.mark.usefixtures("branded")
async def test_a_partial_in_use_is_not_deleted(admin):
    """Whoever uses it is named; then it can go, and its name is free."""
    refused = await admin.problem("DELETE", "/v1/partials/footer")
    assert (refused["status"], "hello, short" in refused["detail"]) == (409, True)
    for key in ("hello", "short"):
        await admin.ok("PUT", f"/v1/templates/{key}", mail("Plain"))
    await admin.ok("DELETE", "/v1/partials/footer")
    assert (await admin.problem("GET", "/v1/partials/footer"))["code"] == "not_found"
    assert (await admin.problem("DELETE", "/v1/partials/footer"))["code"] == "not_found"


@pytest.mark.usefixtures("branded")
async def test_a_version_rolled_back_to_brings_its_partials_along(admin):
    """Exactly what people read then, though the partial has changed since."""
    await admin.ok("PUT", "/v1/partials/footer", {"source": "Acme, Street 2"})
    await admin.ok("POST", "/v1/templates/hello/rollback", {"version": 1})
    assert await text_of(admin, "hello") == "Dear reader,\nHello\nAcme, Street 1"
    changed = await admin.ok("PUT", "/v1/partials/footer", {"source": "Acme, Street 3"})
    assert {"key": "hello", "version": 4} in changed["templates"]
    assert await text_of(admin, "hello") == "Dear reader,\nHello\nAcme, Street 3"


@pytest.mark.usefixtures("branded")
async def test_an_unknown_partial_is_refused_with_the_nearest_name(admin):
    """When a template is published and when a draft of it is saved."""
    body = mail("{% include 'footr' %}")
    refused = await admin.problem("PUT", "/v1/templates/new", body)
    assert "footer" in refused["errors"][0]["detail"]
    draft = await admin.ok("PUT", "/v1/templates/new/draft", {"template": body})
    assert any("footer" in one["detail"] for one in draft["findings"] if one["severity"] == "error")


@pytest.mark.usefixtures("branded")
async def test_what_is_published_while_a_partial_changes_has_the_one_or_the_other(admin):
    """Never an old footer in a template that went live after the new one."""
    texts = [f"Bye {n}. {{% include 'footer' %}}" for n in range(6)]
    await asyncio.gather(
        *(admin.ok("PUT", f"/v1/templates/t{n}", mail(text)) for n, text in enumerate(texts)),
        *(admin.ok("PUT", "/v1/partials/footer", {"source": f"Street {n}"}) for n in range(3)),
    )
    last = (await admin.ok("GET", "/v1/partials/footer"))["partial"]["source"]
    for n in range(6):
        assert (await admin.ok("GET", f"/v1/templates/t{n}"))["partials"] == {"footer": last}


@pytest.mark.parametrize(
    "source", ["\n{{ oops", "\n{% include 'nowhere' %}", "\n{% include 'mine' %}", "\n{{ 1|twist }}"]
)
async def test_a_broken_partial_is_refused_before_anybody_uses_it(admin, source):
    """With its line."""
    refused = await admin.problem("PUT", "/v1/partials/mine", {"source": source})
    assert (refused["status"], refused["code"]) == (422, "content_error")
    assert refused["errors"][0]["pointer"] == "#/source"
    assert refused["errors"][0]["detail"].startswith("line 2: ")
    assert (await admin.problem("GET", "/v1/partials/mine"))["code"] == "not_found"


async def test_only_an_admin_changes_partials_and_keys_are_plain(clarion, admin):
    """Of their own tenant."""
    sender = await clarion.client(Scope.SEND)
    assert (await sender.problem("PUT", "/v1/partials/x", {"source": ""}))["code"] == "forbidden"
    assert (await admin.problem("PUT", "/v1/partials/a b", {"source": ""}))["errors"][0]["pointer"] == "#/key"
    await admin.ok("PUT", "/v1/partials/x", {"source": "mine"})
    other = await clarion.client(Scope.ADMIN, tenant=2)
    assert (await other.ok("GET", "/v1/partials"))["items"] == []


async def test_what_is_live_can_be_sent_back(admin):
    """GET, then PUT what was got."""
    put = await admin.ok("PUT", "/v1/partials/x", {"source": "mine", "name": "X"})
    again = await admin.ok("PUT", "/v1/partials/x", put["partial"])
    assert (again["partial"]["version"], again["partial"]["name"]) == (2, "X")


async def test_a_partial_that_was_changed_meanwhile_is_not_replaced(admin):
    """Who names the version they have seen is told when it is another by now."""
    path, seen = "/v1/partials/foot", {"if-match": '"v1"'}
    await admin.ok("PUT", path, {"source": "one"}, headers={"if-none-match": "*"})
    await admin.ok("PUT", path, {"source": "two"}, headers=seen)
    refused = await admin.problem("PUT", path, {"source": "mine"}, headers=seen)
    assert (refused["status"], '"v2"' in refused["detail"]) == (412, True)
    assert (await admin.ok("GET", "/v1/partials/foot"))["partial"]["source"] == "two"


@pytest.mark.usefixtures("branded")
async def test_a_patch_of_a_partial_changes_what_it_names(admin):
    """The name alone, or the source with all templates that use it; nothing that would break them."""
    named = await admin.ok("PATCH", "/v1/partials/footer", {"name": "Foot"})
    assert (named["partial"]["name"], named["partial"]["source"]) == ("Foot", "Acme, Street 1")
    changed = await admin.ok("PATCH", "/v1/partials/footer", {"name": None, "source": "Acme, Street 2"})
    assert (changed["partial"]["name"], changed["partial"]["version"]) == (None, 3)
    assert await text_of(admin, "hello") == "Dear reader,\nHello\nAcme, Street 2"
    for wrong in ({"source": None}, {"sauce": "x"}, {"source": 7}):
        assert (await admin.problem("PATCH", "/v1/partials/footer", wrong))["code"] == "invalid_request"
    refused = await admin.problem("PATCH", "/v1/partials/footer", {"source": "{{ nobody.name }}"})
    assert refused["code"] == "content_error"
    assert (await admin.problem("PATCH", "/v1/partials/foot", {"name": "x"}))["code"] == "not_found"


@pytest.mark.usefixtures("branded")
async def test_a_patch_of_a_template_changes_one_field_in_one_language(admin):
    """Everything else stays; null takes out what it names; a broken one is refused."""
    before = await admin.ok("GET", "/v1/templates/plain")
    german = {"channels": {"email": {"de": {"subject": "Hallo", "text": "Guten Tag"}}}}
    after = await admin.ok("PATCH", "/v1/templates/plain", german)
    assert after["channels"]["email"] == {**before["channels"]["email"], **german["channels"]["email"]}
    assert (after["version"], after["default_locale"]) == (before["version"] + 1, before["default_locale"])
    back = await admin.ok("PATCH", "/v1/templates/plain", {"channels": {"email": {"de": None}}})
    assert back["channels"] == before["channels"]
    broken = {"channels": {"email": {"en": {"text": "{% if %}"}}}}
    assert (await admin.problem("PATCH", "/v1/templates/plain", broken))["code"] == "content_error"
    wrongs: tuple[dict[str, Any], ...] = ({"channels": None}, {"chanels": {}}, {"key": "other"})
    for wrong in wrongs:
        assert (await admin.problem("PATCH", "/v1/templates/plain", wrong))["code"] == "invalid_request"
    assert (await admin.problem("PATCH", "/v1/templates/plane", german))["code"] == "not_found"
