"""The visitor's own browser as a device of one of the demo's people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from clarion.app.process import App
from clarion.cli.dev import _ready
from clarion.model.channel import Channel
from clarion.ports.vault import normal_address
from tests.browsers import Browser
from tests.demos import new_demo, running
from tests.unit.dashboard.test_site import Ask, asker


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """A demo that is ready, as `clarion dev` makes it."""
    async with running(await new_demo(tmp_path)) as app:
        await _ready(app)
        yield app


@pytest.fixture
async def ask(app: App) -> Ask:
    """A browser that has opened the page."""
    ask = asker(app)
    await ask("/")
    return ask


async def pushes(app: App) -> dict[str, list[str]]:
    """The endpoints and tokens that everybody's pushes go to, in order."""
    (tenant,) = app.ledger.setup.tenants.all()
    users = await app.ledger.users.page(tenant, None, 10)
    return {
        user.id: [normal_address(Channel.PUSH, one.address) for one in user.usable(Channel.PUSH)]
        for user in users
    }


def form(browser: Browser) -> bytes:
    return f"subscription={quote(browser.address)}".encode()


async def test_a_browser_belongs_to_one_person_at_a_time(app, ask):
    """The newest of that person's devices; given to somebody else, it leaves the first; stopped, it is gone."""
    before = await pushes(app)
    browser = Browser()
    assert (await ask("/ui/browsers/ada", "POST", form(browser))).status == 204
    assert (await pushes(app))["ada"] == [*before["ada"], browser.endpoint]
    assert (await ask("/ui/browsers/juergen", "POST", form(browser))).status == 204
    after = await pushes(app)
    assert (after["ada"], after["juergen"][-1]) == (before["ada"], browser.endpoint)
    assert (await ask("/ui/browsers", "POST", form(browser))).status == 204
    assert await pushes(app) == before


async def test_only_subscriptions_of_known_people_are_taken(app, ask):
    """Everything else is refused in words."""
    before = await pushes(app)
    assert "no user" in (await ask("/ui/browsers/nobody", "POST", form(Browser()))).body
    assert "no subscription" in (await ask("/ui/browsers/ada", "POST", b"")).body
    broken = await ask("/ui/browsers/ada", "POST", b"subscription=" + quote('{"endpoint": "x"}').encode())
    assert broken.status == 400
    assert await pushes(app) == before


async def test_other_pages_cannot_subscribe_anybody(app, ask):
    """It takes the page's own cookie and origin."""
    before = await pushes(app)
    assert (await ask("/ui/browsers/ada", "POST", form(Browser()), cookie="")).status == 403
    assert (
        await ask("/ui/browsers/ada", "POST", form(Browser()), origin="https://evil.example")
    ).status == 403
    assert await pushes(app) == before


async def test_the_page_knows_the_public_key_and_nothing_else(app, ask):
    """Each data directory has a pair of its own; the private key never leaves the store."""
    (tenant,) = app.ledger.setup.tenants.all()
    config = app.ledger.setup.integrations.all(tenant)["browsers"].config
    page = (await ask("/")).body
    assert f'data-key="{config["public_key"]}"' in page
    assert config["private_key"] not in page
    await _ready(app)
    assert app.ledger.setup.integrations.all(tenant)["browsers"].config == config


async def test_the_worker_is_served_where_its_scope_is_the_pages_own(ask):
    """Script type, asked for anew each time, and without the page's cookie: browsers fetch it on their own."""
    worker = await ask("/ui/push-worker.js", cookie="")
    assert worker.status == 200
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    assert "showNotification" in worker.body
