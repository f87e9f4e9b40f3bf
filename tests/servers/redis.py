"""A Redis of the tests' own, which notes every write on disk before it answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.process import Started, free_port, listens, run, shared, start, wait_for

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
WHY = "streams, caches and limits live on it"


class Redis(NamedTuple):
    """Where it is. Tests tell their keys apart by a prefix of their own."""

    port: int

    @property
    def url(self) -> str:
        """For Clarion and for clients."""
        return f"redis://127.0.0.1:{self.port}/0"


def serve(home: Path, port: int, options: tuple[str, ...] = DURABLE) -> subprocess.Popen[bytes]:
    """Start a server in `home`, with what it holds already; returns when it answers."""
    program, client = require("redis-server", WHY), require("redis-cli", WHY)
    where = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(home))
    process = start([program, *where, *options], home=home)

    def answers() -> None:
        listens(port)
        run([client, "-e", "-p", str(port), "ping"], home=home)  # An error while it still reads its file.

    wait_for(answers, process, home)
    return process


def _begin(home: Path) -> Started:
    port = free_port()
    return Started(serve(home, port), {"port": port})


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One server for all tests."""
    require("redis-server", WHY)
    with shared("redis", tmp_path_factory, _begin) as facts:
        yield Redis(int(facts["port"]))
