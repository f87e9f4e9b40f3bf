"""Apicurio Registry, a Java program, with the API of Confluent's schema registry. It forgets everything when it ends."""

from __future__ import annotations

import signal
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.java import SMALL, libraries
from tests.servers.process import Started, free_port, shared, start, wait_for

WHY = "Apicurio Registry runs on it"


class Apicurio(NamedTuple):
    """Where it is. Tests tell their subjects apart by names of their own."""

    port: int

    @property
    def url(self) -> str:
        """Where it has the API of Confluent's."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"


def _begin(home: Path) -> Started:
    java, folder = require("java", WHY), libraries("apicurio", WHY)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(home)
    port = free_port()
    program: list[str | Path] = [java, "-Xmx256m", *SMALL, "-jar", next(home.glob("*-runner.jar"))]
    process = start(
        program, home=home, env={"QUARKUS_HTTP_PORT": str(port), "QUARKUS_HTTP_HOST": "127.0.0.1"}
    )

    def answers() -> None:
        with urllib.request.urlopen(f"{Apicurio(port).url}/subjects", timeout=5) as answer:
            assert answer.status == 200

    wait_for(answers, process, home)
    return Started(process, {"port": port}, signal.SIGKILL)  # It has nothing to keep.


@pytest.fixture(scope="session")
def apicurio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apicurio]:
    """One server for all tests."""
    require("java", WHY)
    with shared("apicurio", tmp_path_factory, _begin) as facts:
        yield Apicurio(int(facts["port"]))
