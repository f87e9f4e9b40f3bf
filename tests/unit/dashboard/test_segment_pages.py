"""The pages of segments."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
import pytest

from clarion.model.setup import Scope
from tests.unit.dashboard.test_site import asker

REACHABLE = "'email' in user.channels"


@pytest.fixture
async def segment(app):
    """One with everybody who has an email address."""
    (tenant,) = app.ledger.setup.tenants.all().values()
    _, key = await app.keys.create(tenant.id, "test", Scope.ADMIN)
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    body = msgspec.json.encode({"name": "<b>Mail", "where": REACHABLE})
    assert (await asker(app)("/v1/segments/mail", "PUT", body, **sent)).status == 200


async def test_before_there_is_a_segment_it_says_what_one_is(ask):
    """With how to make one."""
    page = (await ask("/ui/segments")).body
    assert "No segments yet" in page
    assert 'href="/ui/segments" aria-current="page"' in page


async def test_segments_are_listed_and_lead_to_their_people(ask, segment):
    """Names are no markup."""
    page = (await ask("/ui/segments")).body
    assert "&lt;b&gt;Mail" in page
    assert 'href="/ui/segments/mail"' in page
    assert (await ask("/ui/segments/mail")).body.count('href="/ui/people/') == 3
    assert (await ask("/ui/segments/nope")).status == 404


async def test_a_condition_can_be_tried(ask):
    """It says how many it chooses, and who; nothing is stored."""
    page = (await ask("/ui/segments", "POST", b"where=" + quote(REACHABLE).encode())).body
    assert "<b>3</b> people" in page
    assert page.count('href="/ui/people/') == 3
    assert "No segments yet" in page


async def test_a_condition_that_makes_no_sense_is_explained(ask):
    """It stays in the field."""
    page = (await ask("/ui/segments", "POST", b"where=user.chanels")).body
    assert 'role="alert"' in page
    assert 'value="user.chanels"' in page


async def test_conditions_are_tried_by_the_page_alone(app):
    """Another site cannot: without the cookie nothing is answered."""
    assert (await asker(app)("/ui/segments", "POST", b"where=true")).status == 403
