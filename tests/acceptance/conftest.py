"""Real server processes for each test that asks for them."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from bench.server import Server
from tests.acceptance.backends import backends, settings_of
from tests.acceptance.forks import ForkedServer
from tests.acceptance.topology import STORE
from tests.needs import require_browser
from tests.servers.postgresql import PostgreSql

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


HEART = {
    "test_inbox_recovery",
    "test_lanes",
    "test_operations",
    "test_own_topic",
    "test_provider_outage",
    "test_reconnect",
    "test_stop",
}
"""What these modules hold is held on every backend; on others than SQLite when tests go deep."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of the heart run on several backends."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if module in HEART and "backend" in metafunc.fixturenames:
        some = [pytest.param(one, marks=pytest.mark.heart) for one in backends("sqlite")]
        metafunc.parametrize("backend", some, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """What servers run on."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
async def new_server(
    request: pytest.FixtureRequest, backend: str, tmp_path: Path
) -> AsyncIterator[Callable[[str], Server]]:
    """Makes servers on empty directories, not started yet. Whatever the test does, they are gone afterwards."""
    made: list[Server] = []

    def make(name: str) -> Server:
        server = ForkedServer(tmp_path / name)
        server.settings = settings_of(request, backend)
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


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Where the processes meet: the store process of one machine, or a server."""
    if request.param == "store":
        return STORE
    name = f"acceptance_{os.getpid()}_{random.randrange(1 << 30):x}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.create(name)
