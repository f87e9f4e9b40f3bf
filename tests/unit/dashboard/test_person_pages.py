"""The pages of people."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from urllib.parse import quote

import msgspec
import pytest

from clarion.dashboard import person_timeline
from clarion.model.setup import Scope
from clarion.model.submission import Submission
from tests.unit.dashboard.test_site import asker


async def test_everybody_is_listed_with_ways_to_reach_them(ask):
    """Each leads to their own page."""
    page = (await ask("/ui/people")).body
    for text in ('href="/ui/people/ada"', "Ada Lovelace", "email", 'href="/ui/people" aria-current="page"'):
        assert text in page, text
    assert page.count('class="with-face"') == 3


@pytest.mark.parametrize("wanted", ["ada", "ada@example.com", "ADA@example.com", "+447700900123"])
async def test_a_person_is_found_by_id_or_address(ask, wanted):
    """The address is not part of a URL."""
    page = (await ask("/ui/people", "POST", b"wanted=" + quote(wanted).encode())).body
    assert page.count('class="with-face"') == 1
    assert 'href="/ui/people/ada"' in page


async def test_nobody_found_and_a_broken_number_are_told(ask):
    """What was asked for stays in the field."""
    assert "Nobody found" in (await ask("/ui/people", "POST", b"wanted=nobody")).body
    page = (await ask("/ui/people", "POST", b"wanted=%2B12")).body
    assert 'role="alert"' in page
    assert 'value="+12"' in page
    assert (await ask("/ui/people?after=x")).status == 400


async def test_people_are_looked_for_by_the_page_alone(app):
    """Another site cannot: without the cookie nothing is answered."""
    assert (await asker(app)("/ui/people", "POST", b"wanted=ada")).status == 403


async def test_a_person_is_shown_with_what_they_get(app, ask):
    """Messages open their explanation; names and attributes are no markup."""
    (tenant,) = app.ledger.setup.tenants.all().values()
    welcome = Submission(
        workflow="welcome", recipients=("ada",), data=msgspec.Raw(b'{"plan":"p","voucher":"v"}')
    )
    await app.pipeline.submit(tenant.id, [welcome])
    page = ""
    while 'data-message="' not in page:
        page = (await ask("/ui/people/ada")).body
    for text in ("Ada Lovelace", "ada@example.com", "Verified", "Nothing is recorded", "London"):
        assert text in page, text
    assert (await ask("/ui/people/nobody")).status == 404


async def test_what_a_person_wants_is_shown_with_what_decided_it(ask):
    """By category and channel, and the quiet hours."""
    page = (await ask("/ui/people/misaki")).body
    assert 'title="default">On' in page
    assert "Quiet hours 22:00 to 07:00." in page


async def test_what_happened_to_a_person_is_one_list_with_filters_and_older_pages(app, ask, monkeypatch):
    """Messages, consents and suppressed addresses, newest first: each once, page by page."""
    monkeypatch.setattr(person_timeline, "SHOWN", 2)
    (tenant,) = app.ledger.setup.tenants.all().values()
    _, key = await app.keys.create(tenant.id, "test", Scope.ADMIN)
    api, sent = asker(app), {"authorization": f"Bearer {key}", "content-type": "application/json"}
    for channel in ("email", "sms", "push"):
        body = {"purpose": "account", "channel": channel, "action": "granted", "source": "form"}
        assert (await api("/v1/users/ada/consents", "POST", msgspec.json.encode(body), **sent)).status < 300
    body = {"channel": "email", "address": "ada@example.com", "reason": "manual"}
    assert (await api("/v1/suppressions", "POST", msgspec.json.encode(body), **sent)).status < 300
    data = msgspec.Raw(b'{"plan":"p","voucher":"v"}')
    for _ in range(3):
        await app.pipeline.submit(tenant.id, [Submission(workflow="welcome", recipients=("ada",), data=data)])
    page = ""
    async with asyncio.timeout(60):
        while page.count('data-message="') < 3:
            page = await _all(ask, "?show=message")
    whole = await _all(ask, "")
    messages = re.findall(r'data-message="(.*?)"', whole)
    assert len(messages) == len(set(messages)) == page.count('data-message="')
    assert re.findall(r"Consent: account, (\w+)", whole) == ["push", "SMS", "email"]
    assert whole.count(">Suppressed</span><span>email ada@example.com") == 1
    assert whole.rindex("data-message") < whole.index("Consent:")
    only = await _all(ask, "?show=consent")
    assert (only.count("Consent: "), only.count("data-message")) == (3, 0)
    for strange in ("?show=odd", "?before=x", "?before=99999999999999999"):
        assert (await ask(f"/ui/people/ada{strange}")).status == 400


async def _all(ask, query):
    """Every page of the timeline, one behind the other."""
    pages = []
    while query is not None:
        page = (await ask(f"/ui/people/ada{query}")).body
        timeline = page.partition('id="timeline-title"')[2].partition("</section>")[0]
        pages.append(timeline)
        found = re.search(r'<a href="(\?show=[^"#]*)#timeline-title">Older', timeline)
        query = None if found is None else unescape(found[1])
    return "".join(pages)
