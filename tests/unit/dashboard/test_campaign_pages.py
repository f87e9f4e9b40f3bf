"""The pages of campaigns."""

from __future__ import annotations

import msgspec
import pytest

from clarion.model.setup import Scope
from clarion.model.status import Status
from clarion.services.campaigns import CampaignCounts, CampaignService
from tests.unit.dashboard.test_site import asker


@pytest.fixture
async def campaign(app):
    """A draft for two people; its address."""
    (tenant,) = app.ledger.setup.tenants.all().values()
    _, key = await app.keys.create(tenant.id, "test", Scope.ADMIN)
    body = {
        "name": "<b>Sale",
        "workflow": "welcome",
        "audience": {"user_ids": ["ada", "juergen"]},
        "data": {"plan": "p", "voucher": "v"},
    }
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    made = await asker(app)("/v1/campaigns", "POST", msgspec.json.encode(body), **sent)
    return f"/ui/campaigns/{msgspec.json.decode(made.body)['id']}"


async def test_before_there_is_a_campaign_it_says_what_one_is(ask):
    """With how to make one."""
    page = (await ask("/ui/campaigns")).body
    assert "No campaigns yet" in page
    assert 'href="/ui/campaigns" aria-current="page"' in page


async def test_a_draft_shows_what_it_would_do(ask, campaign):
    """To how many people; names are no markup."""
    assert "&lt;b&gt;Sale" in (await ask("/ui/campaigns")).body
    page = (await ask(campaign)).body
    assert "Send to 2 people" in page
    assert "sent by in-app" in page
    assert "Pause" not in page


async def test_a_campaign_is_started_paused_and_canceled(ask, campaign):
    """Each button leads back to the page, which offers what is possible now."""
    answer = await ask(f"{campaign}/start", "POST")
    assert (answer.status, answer.headers["location"]) == (303, campaign)
    page = (await ask(campaign)).body
    assert "people planned" in page
    await ask(f"{campaign}/cancel", "POST")
    page = (await ask(campaign)).body
    assert "Cancel this campaign" not in page


async def test_what_is_not_possible_is_told(ask, campaign):
    """In words."""
    answer = await ask(f"{campaign}/resume", "POST")
    assert answer.status == 409
    assert (await ask("/ui/campaigns/nope")).status == 404
    assert (await ask("/ui/campaigns?before=x")).status == 400


async def test_what_failed_of_a_campaign_is_told_and_sent_again(app, ask, campaign, monkeypatch):
    """How many of how many; the button is there when it is over."""
    await ask(f"{campaign}/start", "POST")
    await ask(f"{campaign}/cancel", "POST")

    async def counts(self, rows):
        counted = {Status.FAILED: 1, Status.SENT: 3}
        return {row.id: CampaignCounts(statuses=counted, as_of=app.clock.now()) for row in rows}

    monkeypatch.setattr(CampaignService, "counts", counts)
    page = (await ask(campaign)).body
    assert "Partly failed: 1 of 4 messages" in page
    assert "Send again what failed" in page
    answer = await ask(f"{campaign}/retry-failed", "POST")
    assert (answer.status, answer.headers["location"]) == (303, campaign)
