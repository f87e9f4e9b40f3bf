"""ElasticMQ, a Java program: queues as those of Amazon SQS. It forgets them when it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.needs import require
from tests.servers.java import SMALL, SOURCES, libraries
from tests.servers.process import Started, free_port, listens, shared, start, wait_for

ACCOUNT = "000000000000"
REGION = "us-east-1"
WHY = "ElasticMQ runs on it"


class ElasticMq(NamedTuple):
    """Where it is. Tests tell their queues apart by a prefix of their own. It takes any credentials."""

    port: int

    @property
    def endpoint(self) -> str:
        """What requests are sent to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def account(self) -> str:
        """What the URLs of queues begin with."""
        return f"{self.endpoint}/{ACCOUNT}"


def _begin(home: Path) -> Started:
    java, folder = require("java", WHY), libraries("elasticmq", WHY)
    port = free_port()
    where = (f"-Dconfig.file={SOURCES / 'elasticmq' / 'elasticmq.conf'}", "-cp", f"{folder}/*")
    program = [java, "-Xmx128m", *SMALL, *where, "org.elasticmq.server.Main"]
    process = start(program, home=home, env={"PORT": str(port)})
    wait_for(lambda: listens(port), process, home)
    return Started(process, {"port": port}, signal.SIGKILL)  # It has nothing to keep.


@pytest.fixture(scope="session")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticMq]:
    """One server for all tests."""
    require("java", WHY)
    with shared("elasticmq", tmp_path_factory, _begin) as facts:
        yield ElasticMq(int(facts["port"]))
