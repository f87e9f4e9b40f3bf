"""What the addresses for authors answer, asked of the real application."""

import asyncio
import re
from html import unescape

import msgspec
import pytest

from clarion.model.channel import Channel
from clarion.model.setup import Money
from tests.unit.dashboard.test_site import Answer, Ask


def written(html: str = "<p>Hello {{ name }}</p>", **more) -> dict:
    return {
        "channels": {"email": {"en": {"subject": "Hello", "html": html}}},
        "example_data": {"name": "<Ada>"},
        **more,
    }


async def post(ask: Ask, path: str, **body) -> Answer:
    return await ask(f"/ui/templates/{path}", "POST", msgspec.json.encode(body))


async def test_both_pages_open_by_their_address_and_hand_out_the_cookie(ask):
    """A bookmark works; nothing else does without the cookie."""
    for path in ("/ui/templates", "/ui/templates/welcome"):
        page = await ask(path, cookie="")
        assert (page.status, "set-cookie" in page.headers) == (200, True)
    assert (await ask("/ui/templates/welcome/versions", cookie="none=1")).status == 403
    assert (await ask("/ui/templates", cookie="", host="evil.example")).status == 403


async def test_the_list_shows_every_template_and_what_is_missing(ask):
    """Live ones and those that are only drafts."""
    await post(ask, "letter/draft", template=written(), revision=0)
    page = (await ask("/ui/templates")).body
    for text in ("order-shipped", "letter", "Draft", "Not live", "100 %", "missing"):
        assert text in page


async def test_a_page_for_a_new_key_is_an_empty_editor_and_a_wrong_key_is_refused(ask):
    """Nothing is stored by looking."""
    assert "Not live" in (await ask("/ui/templates/new-one")).body
    assert "new-one" not in (await ask("/ui/templates")).body
    assert (await ask("/ui/templates/not%20a%20key")).status == 400


async def test_looking_tells_what_is_wrong_with_line_and_place(ask):
    """In the checks, and where the preview would be."""
    answer = await post(
        ask, "letter/look", template=written("<p>\n{{ name|uper }}</p>"), channel="email", user="ada"
    )
    assert answer.status == 200
    assert 'data-field="html" data-line="2"' in answer.body
    assert "This cannot be rendered: email · en · html, line 2" in answer.body
    assert "<code>upper</code>" in answer.body


@pytest.mark.parametrize("html", ["<p>{{", "{% if", "<a href='{{ x", "{#", "<p", "{{ name|", "<mjml>"])
async def test_half_a_tag_is_a_finding_like_any_other(ask, html):
    """The editor looks after every pause, also in the middle of a word."""
    answer = await post(ask, "welcome/look", template=written(html), channel="email", user="ada")
    assert (answer.status, 'id="findings"' in answer.body) == (200, True)


async def test_looking_shows_an_email_in_a_frame_that_may_do_nothing(ask):
    """Values are escaped, scripts do not run, nothing is fetched."""
    answer = await post(ask, "letter/look", template=written(), channel="email", user="ada", locale="en")
    found = re.search(r'<iframe sandbox title="Email: Hello" src="(/ui/previews/[0-9a-f]+)"', answer.body)
    assert found
    frame = await ask(found[1])
    assert "Hello &lt;Ada&gt;" in frame.body
    policy = frame.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert (await ask("/ui/previews/000000")).status == 404


@pytest.mark.parametrize(
    ("channel", "fields", "shown"),
    [
        ("sms", {"text": "Hi {{ name }}"}, "1 · GSM-7 · 8 septets"),
        ("push", {"title": "Hi", "body": "{{ name }}", "url": "https://x.example"}, "of 3993 bytes"),
        ("in_app", {"title": "Hi", "body": "{{ name }}"}, "&lt;Ada&gt;"),
        ("chat", {"text": "Hi {{ name }}"}, "Hi &lt;Ada&gt;"),
        ("voice", {"text": "Hi {{ name }}"}, "Hi &lt;Ada&gt;"),
        ("webhook", {"type": "a.b", "body": '{"n": {{ name|tojson }}}'}, "a.b"),
    ],
)
async def test_every_channel_can_be_looked_at(ask, channel, fields, shown):
    """As it will be, with what it takes."""
    template = written(channels={channel: {"en": fields}})
    answer = await post(ask, "letter/look", template=template, channel=channel, user="ada")
    assert (answer.status, shown in answer.body) == (200, True), answer.body


async def test_a_test_goes_to_oneself_as_a_real_message(ask):
    """What is in the editor, saved or not; the page leads to what became of it."""
    template = written(channels={"sms": {"en": {"text": "Test {{ name }}"}}})
    answer = await post(ask, "letter/test", template=template, channel="sms", user="ada")
    found = re.search(r'data-message="([^"]+)"', answer.body)
    assert found, answer.body
    assert "by SMS" in answer.body
    async with asyncio.timeout(10):  # accepted is not planned yet
        while (planned := await ask(f"/ui/messages/{found[1]}")).status == 404:  # noqa: ASYNC110 - asked as the page asks
            await asyncio.sleep(0.01)
    assert "Test &lt;Ada&gt;" in planned.body
    broken = written(channels={"sms": {"en": {"text": "{{ nothing }}"}}})
    refused = await post(ask, "letter/test", template=broken, channel="sms", user="ada")
    assert (refused.status, "cannot be rendered" in refused.body) == (400, True)


async def test_what_is_shown_is_what_they_get(ask):
    """In the language they would get anyway, with the dates of their region; any other as its readers write."""
    sources = {tag: {"text": "{{ '2026-05-01'|date('short') }} {{ 0|time }}"} for tag in ("en", "de")}
    template = written(channels={"sms": sources})
    asked = {"template": template, "channel": "sms", "user": "ada"}
    shown = {
        tag: unescape((await post(ask, "letter/look", **asked, locale=tag)).body) for tag in ("", "en", "de")
    }
    assert "01/05/2026" in shown[""]
    assert shown["en"] == shown[""]
    assert 'data-theirs="en"' in shown["en"]
    assert "01.05.26" in shown["de"]
    sent = await post(ask, "letter/test", **asked, locale="de")
    found = re.search(r'data-message="([^"]+)"', sent.body)
    assert found
    async with asyncio.timeout(10):
        while (planned := await ask(f"/ui/messages/{found[1]}")).status == 404:  # noqa: ASYNC110 - asked as the page asks
            await asyncio.sleep(0.01)
    bubble = re.search(r'class="bubble">([^<]+)<', shown["en"])
    assert bubble
    assert bubble[1] in unescape(planned.body)


async def test_a_text_message_shows_what_it_costs(app, ask):
    """Without a price list, where one comes from; with one, the price of their number and the whole list."""
    template = written(channels={"sms": {"en": {"text": "Hi"}}})
    asked = {"template": template, "channel": "sms", "user": "juergen"}
    assert "clarion prices import" in (await post(ask, "letter/look", **asked)).body
    setup = app.ledger.setup
    (clarion,) = setup.tenants.all().values()
    priced = msgspec.structs.replace(
        clarion,
        prices={
            Channel.SMS: {
                row: Money(amount=amount, currency="EUR")
                for row, amount in (("DE", "0.075"), ("US", "0.008"))
            }
        },
    )
    await setup.tenants.put(priced)
    shown = (await post(ask, "letter/look", **asked)).body
    assert "<b>0.075 EUR</b> to Jürgen’s number · Germany" in shown
    assert "United States" in shown
    shown = (await post(ask, "letter/look", **{**asked, "user": "misaki"})).body
    assert "no price for 美咲’s number" in shown


async def test_a_broken_draft_is_kept_but_not_published(ask):
    """422 with the place; what is live stays."""
    broken = written("{{ name|uper }}")
    saved = await post(ask, "letter/draft", template=broken, revision=0)
    assert (saved.status, int(saved.headers["clarion-revision"]) > 0) == (200, True)
    refused = await post(ask, "letter/publish")
    assert (refused.status, "Not published" in refused.body, "line 1" in refused.body) == (422, True, True)


async def test_publish_compare_and_roll_back(ask):
    """The whole life of two versions."""
    await post(ask, "letter/draft", template=written(), revision=0)
    assert (await post(ask, "letter/publish")).headers["clarion-version"] == "1"
    changed = written("<p>Bye {{ name }}</p>")
    compared = (await post(ask, "letter/compare", template=changed)).body
    assert "against version 1, which is live" in compared
    assert "Bye {{ name }}" in compared
    await post(ask, "letter/draft", template=changed, revision=0)
    assert (await post(ask, "letter/publish")).headers["clarion-version"] == "2"
    assert (await post(ask, "letter/rollback", version=1)).headers["clarion-version"] == "3"
    versions = (await ask("/ui/templates/letter/versions")).body
    assert "Rolled back to version 1" in versions
    assert versions.count("Roll back to this") == 2


async def test_two_people_do_not_overwrite_one_another(ask):
    """The second one is told, and decides."""
    first = await post(ask, "letter/draft", template=written(), revision=0)
    second = await post(ask, "letter/draft", template=written("<p>mine</p>"), revision=0)
    assert (first.status, second.status) == (200, 412)
    assert (await post(ask, "letter/draft", template=written("<p>mine</p>"), revision=None)).status == 200
    assert (await post(ask, "letter/discard")).status == 204


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("letter/draft", b"{", 400),
        ("letter/draft", b'{"template": {"channels": {"pigeon": {}}}}', 400),
        ("letter/publish", b"{}", 404),
        ("letter/rollback", b'{"version": 9}', 404),
        ("letter/compare", b'{"template": {"channels": {}}}', 404),
        ("letter/look", b'{"template": {"channels": {}}, "channel": "email", "user": "nobody"}', 404),
    ],
)
async def test_what_makes_no_sense_is_refused_in_a_sentence(ask, path, body, status):
    """No fault of the page is a fault of the server."""
    answer = await ask(f"/ui/templates/{path}", "POST", body)
    assert (answer.status, 'class="error"' in answer.body) == (status, True)
