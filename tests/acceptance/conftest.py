"""Real server processes for each test that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bench.server import Server


@pytest.fixture
async def new_server(tmp_path: Path) -> AsyncIterator[Callable[[str], Server]]:
    """Makes servers on empty directories, not started yet. Whatever the test does, they are gone afterwards."""
    made: list[Server] = []

    def make(name: str) -> Server:
        server = Server(tmp_path / name)
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
