"""A demo, and a browser on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from clarion.app import App
from clarion.cli import demo
from clarion.cli.migrate import prepare
from clarion.config import DEV_FILE, Settings
from tests.unit.dashboard.test_site import Ask, asker


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """A demo that is ready."""
    settings = Settings.load(mode="dev", data_dir=tmp_path, drain_s=0.5)
    prepare(settings)
    async with App.open(settings) as app:
        tenant = await demo.seed(app.ledger, demo.load())
        told = {"url": "http://127.0.0.1:8080", "api_key": "clr_shown", "tenant": tenant.key}
        (tmp_path / DEV_FILE).write_bytes(msgspec.json.encode(told))
        yield app
        await app.gateway.close(0.5)


@pytest.fixture
async def ask(app: App) -> Ask:
    """A browser that has opened the list of templates."""
    ask = asker(app)
    await ask("/ui/templates")
    return ask
