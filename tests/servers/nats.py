"""NATS with JetStream: one server for all tests, or several of a test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.process import Started, free_port, listens, shared, start, wait_for

WHY = "a broker to keep events in"


class Nats(NamedTuple):
    """Where it is. Tests tell their streams apart by a prefix of their own."""

    port: int

    @property
    def url(self) -> str:
        """For clients."""
        return f"nats://127.0.0.1:{self.port}"

    def broker(self, prefix: str, options: str = "replicas=1&hold_s=1") -> str:
        """The URL of a broker of Clarion whose streams begin so."""
        return f"{self.url}/{prefix}?{options}"


def serve(home: Path, port: int, *options: str | Path) -> subprocess.Popen[bytes]:
    """Start a server on what is in `home`; returns when it answers."""
    where = ("-a", "127.0.0.1", "-p", str(port), "-js", "-sd", home / "jetstream", *options)
    process = start([require("nats-server", WHY), *where], home=home)
    wait_for(lambda: listens(port), process, home)
    return process


def _begin(home: Path) -> Started:
    port = free_port()
    return Started(serve(home, port), {"port": port})


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """One server for all tests."""
    require("nats-server", WHY)
    with shared("nats", tmp_path_factory, _begin) as facts:
        yield Nats(int(facts["port"]))
