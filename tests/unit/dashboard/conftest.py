"""A demo, and a browser on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from clarion.app.process import App
from clarion.config import DEV_FILE
from tests.demos import new_demo, running
from tests.unit.dashboard.test_site import Ask, asker


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    """A demo that is ready."""
    async with running(await new_demo(tmp_path)) as app:
        (tenant,) = app.ledger.setup.tenants.all().values()
        told = {"url": "http://127.0.0.1:8080", "api_key": "clr_shown", "tenant": tenant.key}
        (tmp_path / DEV_FILE).write_bytes(msgspec.json.encode(told))
        yield app


@pytest.fixture
async def ask(app: App) -> Ask:
    """A browser that has opened the list of templates."""
    ask = asker(app)
    await ask("/ui/templates")
    return ask
