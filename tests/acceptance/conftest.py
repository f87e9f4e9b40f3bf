"""Real server processes for each test that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from bench.server import Server
from tests.acceptance.forks import ForkedServer
from tests.needs import require_browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def new_server(tmp_path: Path) -> AsyncIterator[Callable[[str], Server]]:
    """Makes servers on empty directories, not started yet. Whatever the test does, they are gone afterwards."""
    made: list[Server] = []

    def make(name: str) -> Server:
        server = ForkedServer(tmp_path / name)
        server.log = tmp_path / f"{name.replace('/', '-')}.log"
        made.append(server)
        return server

    yield make
    for server in made:
        await server.discard()
        print(server.tail())


@pytest.fixture
def server(new_server: Callable[[str], Server]) -> Server:
    """One server."""
    return new_server("data")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium without a profile."""
    path = require_browser("the page is tested in it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()
