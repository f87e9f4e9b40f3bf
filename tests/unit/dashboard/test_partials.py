"""The pages for what templates share, asked of the real application."""

import msgspec
import pytest

from tests.unit.dashboard.test_authors import post, written
from tests.unit.dashboard.test_site import Answer, Ask

FOOT = "<p>Yours, {{ tenant.name }}</p>"


async def said(ask: Ask, path: str, **body) -> Answer:
    """What an address for partials answers."""
    return await ask(f"/ui/partials/{path}", "POST", msgspec.json.encode(body))


async def used(ask: Ask) -> None:
    """A piece, and a live template that uses it."""
    assert (await said(ask, "foot/publish", source=FOOT, replaces=0)).status == 200
    template = written('<p>Hello {{ name }}</p>{% include "foot" %}')
    await post(ask, "letter/draft", template=template, revision=0)
    assert (await post(ask, "letter/publish")).status == 200


async def test_a_piece_is_listed_with_how_to_use_it_and_who_does(ask):
    """On the list, and on its own page, which opens by its address."""
    await used(ask)
    listed = (await ask("/ui/templates")).body
    assert "/ui/partials/foot" in listed
    assert "1 template<" in listed
    page = await ask("/ui/partials/foot", cookie="")
    assert (page.status, "set-cookie" in page.headers) == (200, True)
    for text in (
        "{% include &quot;foot&quot; %}",
        'href="/ui/templates/letter"',
        'data-version="1"',
        "letter · email",
    ):
        assert text in page.body
    assert "{% extends &quot;letter&quot; %}" in listed  # The demo's layout has blocks to fill.
    assert "Not live" in (await ask("/ui/partials/new-one")).body
    assert (await ask("/ui/partials/not%20a%20key")).status == 400


async def test_looking_shows_it_in_a_template_and_what_it_would_break(ask):
    """As one person would get it; its own faults by line, those of templates by their place."""
    await used(ask)
    asked = {"where": "letter/email", "user": "ada"}
    fine = await said(ask, "foot/look", source="<p>Bye</p>", **asked)
    assert "Safe for 1 template" in fine.body
    assert 'title="Email: Hello"' in fine.body
    broken = await said(ask, "foot/look", source="<p>\n{{ name|uper }}</p>", **asked)
    assert 'data-severity="error" data-line="2"' in broken.body
    assert "This cannot be rendered: partial foot, line 2" in broken.body
    unwise = await said(ask, "foot/look", source='<img src="https://x.example/a.png">', **asked)
    assert "warning" in unwise.body
    assert (await said(ask, "other/look", source="{{")).status == 200
    assert (await said(ask, "other/look", source="x", where="letter/pigeon", user="ada")).status == 200


async def test_publishing_takes_every_template_along_or_changes_nothing(ask):
    """And says which."""
    await used(ask)
    refused = await said(ask, "foot/publish", source="{{ name|uper }}", replaces=1)
    assert (refused.status, "Not published" in refused.body, "line 1" in refused.body) == (422, True, True)
    done = await said(ask, "foot/publish", name="Foot", source="<p>Bye</p>", replaces=1)
    assert (done.status, done.headers["clarion-version"]) == (200, "2")
    assert "letter</a> in version 2" in done.body
    versions = (await ask("/ui/partials/foot/versions")).body
    assert versions.count("Open in editor") == 1


async def test_two_people_are_told_of_one_another(ask):
    """The second one decides."""
    await used(ask)
    assert (await said(ask, "foot/publish", source="<p>Mine</p>", replaces=1)).status == 200
    late = await said(ask, "foot/publish", source="<p>Theirs</p>", replaces=1)
    assert (late.status, "version 2 is live" in late.body) == (412, True)
    assert (await said(ask, "foot/publish", source="<p>Theirs</p>", replaces=None)).status == 200


async def test_it_is_deleted_when_nothing_uses_it(ask):
    """A template that does is named."""
    await used(ask)
    refused = await said(ask, "foot/delete")
    assert (refused.status, "letter" in refused.body) == (409, True)
    await said(ask, "spare/publish", source="x", replaces=0)
    assert (await said(ask, "spare/delete")).status == 204


@pytest.mark.parametrize("body", [b"{", b'{"source": 1}', b"\xff"])
async def test_what_makes_no_sense_is_refused_in_a_sentence(ask, body):
    """No fault of the page is a fault of the server."""
    answer = await ask("/ui/partials/foot/publish", "POST", body)
    assert (answer.status, 'class="error"' in answer.body) == (400, True)
