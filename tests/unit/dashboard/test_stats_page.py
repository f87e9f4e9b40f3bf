"""The page with numbers."""

from __future__ import annotations

from msgspec.structs import replace

from clarion.dashboard import stats_page
from clarion.model.channel import Channel
from clarion.model.ids import TenantId
from clarion.model.retention import MessageTotal
from clarion.model.status import Status
from clarion.services.retention import RetentionService

ONE = MessageTotal(
    tenant=TenantId(1), day=20_000, workflow="welcome", channel=Channel.EMAIL, status=Status.SENT, count=1_200
)


async def test_before_anything_was_sent_it_says_where_to_begin(ask):
    """Instead of empty tables."""
    page = await ask("/ui/stats")
    assert page.status == 200
    assert "No messages yet" in page.body
    assert 'href="/ui/stats" aria-current="page"' in page.body


async def test_it_counts_by_day_and_by_workflow(ask, monkeypatch):
    """With a column for each status that occurs, and the sum; names of workflows are no markup."""
    totals = [ONE, replace(ONE, status=Status.FAILED, count=3), replace(ONE, workflow="<b>", count=7)]

    async def told(service, tenant, since, until):
        return totals

    monkeypatch.setattr(RetentionService, "totals", told)
    page = (await ask("/ui/stats")).body
    for text in (
        "2024-10-04",
        "1,207",
        "1,203",
        "&lt;b&gt;",
        "email",
        "Failed",
        f"last {stats_page.DAYS} days",
    ):
        assert text in page, text
    assert "Delivered" not in page


async def test_the_other_pages_lead_to_it(ask):
    """From the navigation."""
    for path in ("/", "/ui/templates"):
        assert 'href="/ui/stats"' in (await ask(path)).body


async def test_it_shows_how_each_integration_does(ask):
    """Its state, and the share of the messages that it gets."""
    page = (await ask("/ui/stats")).body
    assert '<h2 id="integrations-title">Integrations</h2>' in page
    assert ">inbox</th>" in page
    assert "100%" in page
