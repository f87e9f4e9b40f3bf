"""A real server process for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.server import Server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server on an empty data directory, not started yet. Whatever the test does, it is gone afterwards."""
    server = Server(tmp_path / "data")
    yield server
    await server.discard()
    print(server.tail())
