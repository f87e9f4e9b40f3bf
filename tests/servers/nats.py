"""A NATS server of the tests' own, with JetStream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.process import Started, free_port, listens, shared, start, wait_for

WHY = "streams live on it"


class Nats(NamedTuple):
    """Where it is. Tests tell their streams apart by names of their own."""

    port: int

    @property
    def url(self) -> str:
        """For Clarion and for clients."""
        return f"nats://127.0.0.1:{self.port}"


def _begin(home: Path) -> Started:
    port = free_port()
    program = require("nats-server", WHY)
    process = start([program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", home / "data"], home=home)
    wait_for(lambda: listens(port), process, home)
    return Started(process, {"port": port})


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """One server for all tests."""
    require("nats-server", WHY)
    with shared("nats", tmp_path_factory, _begin) as facts:
        yield Nats(int(facts["port"]))
